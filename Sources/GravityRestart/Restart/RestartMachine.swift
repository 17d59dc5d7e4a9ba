/// How far a restart is.
public enum RestartPhase: Hashable, Sendable {
  case preflight
  /// Upstream after upstream is restarted.
  case walking
  /// No further upstream is begun; those whose restart was ordered go on to their end.
  case stopping(StopReason)
  case finished(RestartResult)
}

/// A restart of the upstreams of one pool, without a drop of I/O: events and the time go in, actions come out.
///
/// The one who drives it carries out the actions in their order, tells every event as it happens, and sends
/// `RestartEvent.tick` when `nextDeadline` has come. Time is in milliseconds of a monotonic clock. `docs/restart-machine.md`
/// has states, rules and invariants.
public struct RestartMachine: Hashable, Sendable {
  public let plan: RestartPlan
  public private(set) var phase = RestartPhase.preflight
  private let began: Int64
  private var now: Int64
  /// One for each upstream of the pool; those that are not of the plan's order wait for ever.
  private var walks: [UpstreamWalk]
  /// Those whose turn has not come.
  private var queue: [Int] = []
  private var pool: PoolAvailability
  private var facts: [Int: PreflightFacts] = [:]
  /// When too few upstreams were eligible for the first time since the last progress; nil when they never were.
  private var capacityLostAt: Int64?
  private var isWaitingForCapacity = false
  private var longestHold: Int64 = 0
  private var downtime: Int64 = 0

  private init(_ plan: RestartPlan, now: Int64) {
    self.plan = plan
    self.now = now
    began = now
    walks = plan.upstreams.enumerated().map { UpstreamWalk(upstream: $0.offset, name: $0.element.name) }
    pool = PoolAvailability(plan.upstreams)
  }

  /// A new machine, and what is to be done first.
  public static func begin(_ plan: RestartPlan, now: Int64) -> (machine: Self, actions: [RestartAction]) {
    (Self(plan, now: now), [.report(.approach(plan.approach)), .beginPreflight(plan.order)])
  }

  /// How far an upstream is.
  public func phase(of upstream: Int) -> UpstreamPhase { walks[upstream].phase }

  /// Milliseconds that its drain takes at most when it is one before a reload, which waits for nothing longer; nil for
  /// any other.
  public func settlingTime(of upstream: Int) -> Int64? { walks[upstream].settlingTime }

  /// What is known of an upstream's restart until now.
  public func report(of upstream: Int) -> UpstreamReport { walks[upstream].report }

  /// When the next `tick` is due; nil when only events can change something.
  public var nextDeadline: Int64? {
    switch phase {
    case .preflight: began + plan.policy.preflightTimeout
    case .finished: nil
    case .walking, .stopping:
      (walks.compactMap { $0.deadline(plan.policy) } + [capacityDeadline].compactMap(\.self)).min()
    }
  }

  private var capacityDeadline: Int64? {
    isWaitingForCapacity ? capacityLostAt.map { $0 + plan.policy.capacityWait } : nil
  }

  // MARK: Events

  /// What is to be done after `event`, which happened at `time`. Nothing follows `RestartAction.finish`: whatever is
  /// told later is late.
  public mutating func handle(_ event: RestartEvent, now time: Int64) -> [RestartAction] {
    if case .finished = phase { return [] }
    var actions: [RestartAction] = []
    advance(to: time)
    switch event {
    case .preflight(let upstream, let found): preflightEnded(event, upstream, found, into: &actions)
    case .upstream(let upstream, let happened): handle(event, upstream, happened, into: &actions)
    case .held(let milliseconds): longestHold = max(longestHold, milliseconds)
    case .abort: abort(into: &actions)
    case .tick: break
    }
    settle(into: &actions)
    return actions
  }

  private mutating func advance(to time: Int64) {
    let time = max(time, now)
    if !plan.upstreams.indices.contains(where: takesWork) { downtime += time - now }
    now = time
  }

  private mutating func preflightEnded(
    _ event: RestartEvent, _ upstream: Int, _ found: PreflightFacts, into actions: inout [RestartAction]
  ) {
    switch phase {
    case .preflight where plan.order.contains(upstream):
      facts[upstream] = found
      walks[upstream].note(found, allowsVersionSkew: plan.policy.readiness.allowsVersionSkew)
    case .preflight, .walking, .stopping, .finished: actions.append(.report(.misplaced(event)))
    }
  }

  private mutating func handle(
    _ event: RestartEvent, _ upstream: Int, _ happened: WalkEvent, into actions: inout [RestartAction]
  ) {
    guard walks.indices.contains(upstream) else {
      actions.append(.report(.misplaced(event)))
      return
    }
    pool.note(happened, of: upstream)
    step(upstream, into: &actions) { $0.handle(happened, $1, into: &$2) }
  }

  private mutating func abort(into actions: inout [RestartAction]) {
    switch phase {
    case .preflight: finish(.stopped(.aborted), into: &actions)
    case .walking: stop(.aborted, into: &actions)
    // It ends already.
    case .stopping, .finished: break
    }
  }

  // MARK: What follows

  /// Everything that time and the event make due.
  private mutating func settle(into actions: inout [RestartAction]) {
    switch phase {
    case .preflight: judgePreflight(into: &actions)
    case .walking, .stopping:
      undoDrainsIfTooFew(into: &actions)
      for upstream in plan.order { step(upstream, into: &actions) { $0.pass($1, into: &$2) } }
    case .finished: break
    }
    beginWhatCanBegin(into: &actions)
    finishIfDone(into: &actions)
  }

  private mutating func judgePreflight(into actions: inout [RestartAction]) {
    guard facts.count == plan.order.count || now >= began + plan.policy.preflightTimeout else { return }
    let available = Set(plan.upstreams.indices.filter(isAvailable))
    let problems = plan.problems(facts, standing: pool.standing, available: available)
    guard problems.isEmpty else { return finish(.refused(problems), into: &actions) }
    guard !plan.isDryRun else { return finish(.rehearsed, into: &actions) }
    let starters = plan.order.filter { !isAvailable($0) || facts[$0]?.isUp == false }
    queue = starters + plan.order.filter { !starters.contains($0) }
    phase = .walking
  }

  /// Lets an upstream go on, and draws the consequences for the others.
  private mutating func step(
    _ upstream: Int, into actions: inout [RestartAction],
    _ change: (inout UpstreamWalk, UpstreamWalk.Surroundings, inout [RestartAction]) -> Void
  ) {
    let before = walks[upstream].phase
    let around = surroundings(of: upstream)
    change(&walks[upstream], around, &actions)
    let after = walks[upstream].phase
    guard after != before else { return }
    actions.append(.report(.phase(upstream, after)))
    switch after {
    case .waiting, .draining, .awaitingReadiness: break
    case .restarting: capacityLostAt = nil
    case .probation: pool.set(.ready, of: upstream)
    case .completed:
      capacityLostAt = nil
      admit(upstream, into: &actions)
    case .failed(let fault):
      setAside(upstream, fault.aftermath, into: &actions)
      stop(.halted(.upstreamFailed(upstream, fault)), into: &actions)
    }
  }

  private func surroundings(of upstream: Int) -> UpstreamWalk.Surroundings {
    UpstreamWalk.Surroundings(
      now: now, policy: plan.policy, restartTimeout: plan.upstreams[upstream].restartTimeout,
      method: method(upstream), settling: settling(upstream),
      hasOthers: plan.upstreams.indices.contains { $0 != upstream && isAvailable($0) })
  }

  private func method(_ upstream: Int) -> RestartMethod {
    let method = plan.method(upstream)
    // There is nobody to send a HUP to when it is down.
    return method == .reload && pool.liveness[upstream] != .up ? .replace : method
  }

  /// Only what serves has something that could be lost.
  private func settling(_ upstream: Int) -> SettlingRule? {
    plan.skipsDrain && method(upstream) == .reload && pool.isEligible(upstream) ? plan.settling : nil
  }

  private mutating func setAside(
    _ upstream: Int, _ aftermath: UpstreamFault.Aftermath, into actions: inout [RestartAction]
  ) {
    switch aftermath {
    case .isLeftAlone: break
    case .returns: giveBack(upstream, into: &actions)
    // Nothing is gained by keeping out the only one, which may still come up: its health decides.
    case .staysOut where plan.upstreams.count == 1: admit(upstream, into: &actions)
    case .staysOut: keepOut(upstream, into: &actions)
    }
  }

  /// Makes an upstream that was not restarted what it was before.
  private mutating func giveBack(_ upstream: Int, into actions: inout [RestartAction]) {
    switch pool.standing[upstream] {
    case .ready: admit(upstream, into: &actions)
    case .keptOut: keepOut(upstream, into: &actions)
    case .withdrawn: break
    }
  }

  private mutating func admit(_ upstream: Int, into actions: inout [RestartAction]) {
    pool.set(.ready, of: upstream)
    actions.append(.admit(upstream))
  }

  private mutating func keepOut(_ upstream: Int, into actions: inout [RestartAction]) {
    pool.set(.keptOut, of: upstream)
    actions.append(.keepOut(upstream))
  }

  private mutating func undoDrain(_ upstream: Int, into actions: inout [RestartAction]) {
    step(upstream, into: &actions) { walk, _, _ in walk.undoDrain() }
    giveBack(upstream, into: &actions)
  }

  private mutating func stop(_ reason: StopReason, into actions: inout [RestartAction]) {
    switch (phase, reason) {
    case (.walking, _):
      for upstream in plan.order where walks[upstream].phase == .draining {
        undoDrain(upstream, into: &actions)
      }
    // A failure is worse news than the wish to stop.
    case (.stopping(.aborted), .halted): break
    // What came first is the reason.
    case (.stopping, _), (.preflight, _), (.finished, _): return
    }
    phase = .stopping(reason)
    isWaitingForCapacity = false
    actions.append(.report(.stopping(reason)))
  }

  private mutating func finishIfDone(into actions: inout [RestartAction]) {
    guard !walks.contains(where: { $0.phase.isUnderWay }) else { return }
    let isComplete = plan.order.allSatisfy { walks[$0].phase == .completed }
    switch phase {
    case .preflight, .finished: break
    case .walking: if isComplete { finish(.completed, into: &actions) }
    // An abort that came too late to leave anything undone has aborted nothing.
    case .stopping(let reason): finish(isComplete ? .completed : .stopped(reason), into: &actions)
    }
  }

  private mutating func finish(_ result: RestartResult, into actions: inout [RestartAction]) {
    phase = .finished(result)
    let outcome = RestartOutcome(
      result: result, approach: plan.approach, upstreams: plan.order.map { walks[$0].finalReport },
      facts: facts, longestHold: longestHold, downtime: downtime, total: now - began)
    actions.append(.finish(outcome))
  }

  // MARK: Capacity

  /// True when it serves, and is not the restart's to count out.
  private func isAvailable(_ upstream: Int) -> Bool {
    guard pool.isEligible(upstream) else { return false }
    switch walks[upstream].phase {
    case .waiting, .completed: return true
    case .draining, .restarting, .awaitingReadiness, .probation, .failed: return false
    }
  }

  private var availableCount: Int { plan.upstreams.indices.count(where: isAvailable) }

  /// True when users' requests go there, proven or not.
  private func takesWork(_ upstream: Int) -> Bool {
    guard pool.isEligible(upstream) else { return false }
    switch walks[upstream].phase {
    case .waiting, .probation, .completed, .failed: return true
    case .draining: return false
    case .restarting, .awaitingReadiness: return walks[upstream].isOpen
    }
  }

  /// Other upstreams went down: those that drain and still work are needed more than the restart is.
  private mutating func undoDrainsIfTooFew(into actions: inout [RestartAction]) {
    for upstream in plan.order.reversed()
    where walks[upstream].phase == .draining && pool.isEligible(upstream) {
      guard availableCount < plan.minimumAvailable else { return }
      undoDrain(upstream, into: &actions)
      queue.insert(upstream, at: 0)
      capacityLostAt = capacityLostAt ?? now
    }
  }

  private mutating func beginWhatCanBegin(into actions: inout [RestartAction]) {
    while phase == .walking, !queue.isEmpty {
      let underWay = walks.count { $0.phase.isUnderWay }
      guard underWay < plan.maximumUnavailable else { return }
      guard let place = queue.firstIndex(where: canBegin) else {
        if underWay == 0 { waitForCapacity(into: &actions) }
        return
      }
      isWaitingForCapacity = false
      begin(queue.remove(at: place), into: &actions)
    }
  }

  /// True when enough others are eligible, or it is to be brought up so that nothing is lost. One that went down
  /// meanwhile is waited for: its process manager, or whoever restarted it, may be bringing it back.
  private func canBegin(_ upstream: Int) -> Bool {
    // When its turn comes, this ends the restart.
    if pool.standing[upstream] == .withdrawn { return upstream == queue.first }
    return isAvailable(upstream)
      ? availableCount > plan.minimumAvailable : plan.policy.startsStopped
  }

  private mutating func begin(_ upstream: Int, into actions: inout [RestartAction]) {
    let isWithdrawn = pool.standing[upstream] == .withdrawn
    let skipsDrain = plan.skipsDrain && pool.liveness[upstream] == .up
    step(upstream, into: &actions) { walk, around, actions in
      if isWithdrawn {
        walk.giveUp(.takenOver)
      } else if skipsDrain, around.settling == nil {
        walk.restart(around, into: &actions)
      } else {
        walk.drain(around, into: &actions)
      }
    }
  }

  private mutating func waitForCapacity(into actions: inout [RestartAction]) {
    let since = capacityLostAt ?? now
    let (count, needed) = (availableCount, plan.minimumAvailable)
    capacityLostAt = since
    if now >= since + plan.policy.capacityWait {
      if let missing = queue.first(where: { pool.standing[$0] == .ready && pool.liveness[$0] != .up }) {
        step(missing, into: &actions) { walk, _, _ in walk.giveUp(.notBack) }
      } else {
        stop(.halted(.tooFewAvailable(available: count, needed: needed)), into: &actions)
      }
    } else if !isWaitingForCapacity {
      isWaitingForCapacity = true
      actions.append(.report(.waitingForCapacity(available: count, needed: needed)))
    }
  }
}
