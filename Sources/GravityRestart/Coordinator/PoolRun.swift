import SystemCalls

/// Drives one `RestartMachine`: carries out what it decides, and tells it what happens to the upstreams of its pool.
///
/// Confined to the thread that calls it. Nothing blocks: what has to wait runs on threads of its own, and is looked at
/// with everything else whenever `look` is called, every 20 ms or so.
final class PoolRun {
  let subject: RestartSubject
  private(set) var machine: RestartMachine
  /// Set with the end.
  private(set) var outcome: RestartOutcome?
  /// What commands printed, by upstream.
  private(set) var outputs: [Int: String] = [:]
  /// When each upstream came into the phase that it is in, in milliseconds of the monotonic clock.
  private(set) var phaseBegan: [Int: Int64] = [:]

  private let tell: (News) -> Void
  private let notes: StoppedUnits
  private let work = BackgroundWork<(upstream: Int, result: WorkResult)>()
  /// What was last seen of each upstream.
  private var seen: [Observation]
  /// The main process of each, where a process manager knows it.
  private var processes: [Int: Int32] = [:]
  /// Those at whose address nobody listened before anything was touched.
  private var down: Set<Int> = []
  /// Those whose work in flight the machine wants to know, with what it knows.
  private var drains: [Int: WorkInFlight?] = [:]
  /// Those on probation, with when they were last sampled.
  private var probations: [Int: Int64] = [:]
  private var orders: [Int: Cancellation] = [:]
  private var longestWait: Int64 = 0
  private var first: [RestartAction] = []

  /// What is told while it goes on.
  enum News {
    case preflight(Int, PreflightFacts, notes: [String])
    case progress(RestartProgress)
    /// Something about an upstream that changes nothing.
    case remark(String)
  }

  private enum WorkResult: Sendable {
    case preflight(PreflightLook.Finding)
    case order(ServiceOrder.News)
    case probed(ProbeAnswer)
  }

  private struct Observation {
    var administration: UpstreamAdministration?
    var liveness: UpstreamLiveness
    var incarnation: ServerIncarnation?
  }

  private static let sampleInterval: Int64 = 1_000
  /// What is kept of the output of commands, in bytes.
  private static let keptOutput = 16_384

  init(
    _ subject: RestartSubject, isDryRun: Bool, notes: StoppedUnits, now: Int64, tell: @escaping (News) -> Void
  ) throws(RestartPlanError) {
    self.subject = subject
    self.notes = notes
    self.tell = tell
    (machine, first) = RestartMachine.begin(try subject.plan(isDryRun: isDryRun), now: now)
    let traffic = subject.traffic
    seen = subject.upstreams.indices.map { number in
      Observation(
        administration: traffic.administration(of: number), liveness: traffic.liveness(of: number),
        incarnation: traffic.incarnation(of: number))
    }
  }

  /// Begins, notices what has happened, and does what is due. To be called every 20 ms or so until there is an outcome.
  func look(now: Int64) {
    guard outcome == nil else { return }
    let begun = first
    first = []
    carryOut(begun, now)
    for (upstream, result) in work.take() { note(result, upstream, now) }
    for upstream in subject.upstreams.indices { observe(upstream, now) }
    let wait = subject.traffic.oldestWait
    if wait > longestWait {
      longestWait = wait
      handle(.held(wait), now)
    }
    if let deadline = machine.nextDeadline, deadline <= now { handle(.tick, now) }
  }

  func abort(now: Int64) { handle(.abort, now) }

  /// A user's request to an upstream failed.
  func requestFailed(_ upstream: Int, _ failure: RequestFailure, now: Int64) {
    handle(.upstream(upstream, .requestFailed(failure)), now)
  }

  /// What the machine allows for the phase that an upstream is in, in milliseconds; nil for no bound.
  func timeAllowed(_ upstream: Int) -> Int64? {
    let policy = machine.plan.policy
    switch machine.phase(of: upstream) {
    case .waiting, .completed, .failed: return nil
    case .draining:
      if let time = machine.settlingTime(of: upstream) { return time }
      let work = workInFlight(upstream)
      return DrainClass.allCases.filter { work[$0] > 0 }.map(policy.budgets.cut).max()
    case .restarting, .awaitingReadiness: return machine.plan.upstreams[upstream].restartTimeout
    case .probation: return policy.probation.map { $0.longestDuration * Int64($0.shares.count) }
    }
  }

  /// What an upstream that drains still has, as far as it is known.
  func workInFlight(_ upstream: Int) -> WorkInFlight { (drains[upstream] ?? nil) ?? WorkInFlight() }

  // MARK: What has happened

  private func handle(_ event: RestartEvent, _ now: Int64) {
    carryOut(machine.handle(event, now: now), now)
  }

  private func handle(_ upstream: Int, _ event: WalkEvent, _ now: Int64) {
    handle(.upstream(upstream, event), now)
  }

  private func note(_ result: WorkResult, _ upstream: Int, _ now: Int64) {
    switch result {
    case .preflight(let finding):
      processes[upstream] = finding.process
      if finding.isDown { down.insert(upstream) }
      tell(.preflight(upstream, finding.facts, notes: finding.notes))
      handle(.preflight(upstream, finding.facts), now)
    case .probed(let answer):
      // Others use what is learnt here: the pool may not be probed otherwise.
      if case .good = answer { subject.traffic.noteGoodProbe(of: upstream) }
      handle(upstream, .probed(answer), now)
    case .order(let news): note(news, upstream, now)
    }
  }

  private func note(_ news: ServiceOrder.News, _ upstream: Int, _ now: Int64) {
    switch news {
    case .done(let process):
      processes[upstream] = process
      handle(upstream, .restartDone, now)
    case .handedOver: handle(upstream, .handedOver, now)
    case .refused(let reason): handle(upstream, .restartFailed(reason), now)
    case .died(let failure): handle(upstream, .processFailed(failure), now)
    case .remark(let text): tell(.remark(text))
    case .output(let text):
      outputs[upstream] = String(((outputs[upstream] ?? "") + text).suffix(Self.keptOutput))
    }
  }

  private func observe(_ upstream: Int, _ now: Int64) {
    let traffic = subject.traffic
    let administration = traffic.administration(of: upstream)
    if administration != seen[upstream].administration {
      seen[upstream].administration = administration
      handle(upstream, .standing(administration?.standing ?? .withdrawn), now)
    }
    let liveness = traffic.liveness(of: upstream)
    if liveness != seen[upstream].liveness {
      seen[upstream].liveness = liveness
      handle(upstream, .liveness(liveness), now)
    }
    let incarnation = traffic.incarnation(of: upstream)
    if let incarnation, incarnation != seen[upstream].incarnation {
      let isFirst = seen[upstream].incarnation == nil
      seen[upstream].incarnation = incarnation
      if !isFirst { handle(upstream, .incarnationChanged(incarnation), now) }
    }
    if let known = drains[upstream], let work = traffic.inFlight(of: upstream), known != work {
      drains[upstream] = .some(work)
      handle(upstream, .inFlight(work), now)
    }
    if let sampled = probations[upstream], now - sampled >= Self.sampleInterval {
      probations[upstream] = now
      let (own, others) = traffic.sample(of: upstream)
      handle(upstream, .sampled(own: own, others: others), now)
    }
  }

  // MARK: What is to be done

  private func carryOut(_ actions: [RestartAction], _ now: Int64) {
    for action in actions { carryOut(action, now) }
  }

  private func carryOut(_ action: RestartAction, _ now: Int64) {
    let traffic = subject.traffic
    switch action {
    case .beginPreflight(let upstreams): for upstream in upstreams { beginPreflight(upstream) }
    case .setDraining(let upstream):
      traffic.drain(upstream)
      seen[upstream].administration = traffic.administration(of: upstream)
      drains[upstream] = .some(nil)
    case .endEventStreams(let upstream): traffic.endEventStreams(of: upstream)
    case .closeTunnels(let upstream): traffic.closeTunnels(of: upstream)
    case .cutRemaining(let upstream, let kind): traffic.cut(kind, of: upstream)
    case .restart(let upstream): order(upstream, isReload: false)
    case .reload(let upstream): order(upstream, isReload: true)
    case .probe(let upstream): probe(upstream)
    case .beginProbation(let upstream, let share), .raiseShare(let upstream, let share):
      admit(upstream, share: share)
      traffic.beginSample(of: upstream)
      probations[upstream] = now
    case .resume(let upstream):
      traffic.resume(upstream, excusedFor: machine.plan.upstreams[upstream].restartTimeout)
      seen[upstream].administration = traffic.administration(of: upstream)
    case .admit(let upstream): admit(upstream, share: 100)
    case .keepOut(let upstream):
      traffic.keepOut(upstream, reason: "its restart failed")
      seen[upstream].administration = traffic.administration(of: upstream)
    case .report(let progress): note(progress, now)
    case .finish(let outcome):
      for cancellation in orders.values { cancellation.cancel() }
      self.outcome = outcome
    }
  }

  private func note(_ progress: RestartProgress, _ now: Int64) {
    if case .phase(let upstream, let phase) = progress {
      phaseBegan[upstream] = now
      if phase != .draining { drains[upstream] = nil }
      if phase != .probation { probations[upstream] = nil }
      // What became of the process is of no interest any more.
      if !phase.isUnderWay { orders.removeValue(forKey: upstream)?.cancel() }
    }
    tell(.progress(progress))
  }

  private func admit(_ upstream: Int, share: Int) {
    subject.traffic.admit(upstream, share: share)
    seen[upstream].administration = subject.traffic.administration(of: upstream)
  }

  // MARK: What has to wait

  private func beginPreflight(_ upstream: Int) {
    let look = PreflightLook(
      target: subject.target(upstream, process: nil), service: subject.restart.services[upstream],
      probe: subject.upstreams[upstream].probe, probeTimeout: subject.restart.probeTimeout,
      versionSource: subject.restart.versionSource)
    let limit = WaitLimit(until: .after(.milliseconds(machine.plan.policy.preflightTimeout)))
    do throws(SystemError) {
      try work.start { [work] in work.post((upstream, .preflight(look.look(within: limit)))) }
    } catch {
      let facts = PreflightFacts(unit: .managerUnreachable("\(error)"), answers: false)
      work.post((upstream, .preflight(.init(facts: facts, notes: []))))
    }
  }

  private func order(_ upstream: Int, isReload: Bool) {
    let order = ServiceOrder(
      target: subject.target(upstream, process: processes[upstream]),
      service: subject.restart.services[upstream], isReload: isReload, isDown: down.contains(upstream),
      notes: notes)
    do throws(SystemError) {
      let cancellation = try Cancellation()
      orders[upstream] = cancellation
      try work.start { [work] in order.run(cancellation) { work.post((upstream, .order($0))) } }
    } catch {
      work.post((upstream, .order(.refused("\(error)"))))
    }
  }

  private func probe(_ upstream: Int) {
    let probe = subject.upstreams[upstream].probe
    let process = processes[upstream]
    let limit = WaitLimit(until: .after(.milliseconds(subject.restart.probeTimeout)))
    do throws(SystemError) {
      try work.start { [work] in
        work.post((upstream, .probed(probe.ask(process: process, within: limit))))
      }
    } catch {
      work.post((upstream, .probed(.bad("\(error)"))))
    }
  }
}
