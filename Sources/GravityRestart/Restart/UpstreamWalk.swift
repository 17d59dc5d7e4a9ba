/// The way of one upstream through a restart. A value: events and the time go in, actions come out.
struct UpstreamWalk: Hashable, Sendable {
  /// Its number in the plan.
  let upstream: Int
  private(set) var report: UpstreamReport
  private var state = State.waiting
  /// The version that must run afterwards; nil when any will do.
  private var versionOnDisk: String?
  /// True when it takes work from its restart on.
  private(set) var isOpen = false

  private enum State: Hashable {
    case waiting
    case draining(UpstreamDrain)
    case restarting(RestartOrder)
    case awaitingReadiness(ReadinessWatch, RestartMethod)
    case probation(ProbationWatch)
    case completed
    case failed(UpstreamFault)
  }

  /// When a restart was ordered, and until when it may take.
  private struct RestartOrder: Hashable {
    var began: Int64
    var deadline: Int64
    var method: RestartMethod
    /// Until when requests are held; nil when they are not, or are until it is ready.
    var heldUntil: Int64?
  }

  /// What a walk has to know of its surroundings.
  struct Surroundings {
    var now: Int64
    var policy: RestartPolicy
    var restartTimeout: Int64
    var method: RestartMethod
    /// For how long requests are held around its reload; nil when they are not.
    var settling: SettlingRule?
    /// True when other upstreams take traffic to compare with.
    var hasOthers: Bool
  }

  init(upstream: Int, name: String) {
    self.upstream = upstream
    report = UpstreamReport(name: name)
  }

  var phase: UpstreamPhase {
    switch state {
    case .waiting: .waiting
    case .draining: .draining
    case .restarting: .restarting
    case .awaitingReadiness: .awaitingReadiness
    case .probation: .probation
    case .completed: .completed
    case .failed(let fault): .failed(fault)
    }
  }

  /// Milliseconds that its drain takes at most, if it is one before a reload.
  var settlingTime: Int64? {
    if case .draining(let drain) = state { drain.settlingTime } else { nil }
  }

  /// The report with what became of it.
  var finalReport: UpstreamReport {
    var report = report
    switch state {
    case .completed: report.fate = .restarted
    case .failed(let fault): report.fate = .failed(fault)
    case .waiting, .draining, .restarting, .awaitingReadiness, .probation: report.fate = .untouched
    }
    return report
  }

  // MARK: Orders

  /// What preflight found, to be compared with later.
  mutating func note(_ facts: PreflightFacts, allowsVersionSkew: Bool) {
    report.versionBefore = facts.versionRunning
    report.incarnationBefore = facts.incarnation
    versionOnDisk = allowsVersionSkew ? nil : facts.versionOnDisk
  }

  /// - Precondition: it waits.
  mutating func drain(_ around: Surroundings, into actions: inout [RestartAction]) {
    precondition(phase == .waiting)
    state = .draining(UpstreamDrain(began: around.now, settlingTime: around.settling?.before))
    actions.append(.setDraining(upstream))
  }

  /// Back to waiting. Whoever calls gives it back its standing.
  ///
  /// - Precondition: it drains.
  mutating func undoDrain() {
    precondition(phase == .draining)
    state = .waiting
    report.drainsUndone += 1
  }

  /// It is not restarted, for this reason.
  ///
  /// - Precondition: it waits.
  mutating func giveUp(_ fault: UpstreamFault) {
    precondition(phase == .waiting)
    state = .failed(fault)
  }

  /// - Precondition: it has not been restarted.
  mutating func restart(_ around: Surroundings, into actions: inout [RestartAction]) {
    precondition(phase == .waiting || phase == .draining)
    isOpen = phase == .waiting
    // Whatever has become of it meanwhile: what began as a drain before a reload holds no longer than that.
    let heldUntil = settlingTime.map { _ in around.now + (around.settling?.after ?? 0) }
    state = .restarting(
      RestartOrder(
        began: around.now, deadline: around.now + around.restartTimeout, method: around.method,
        heldUntil: heldUntil))
    actions.append(around.method == .reload ? .reload(upstream) : .restart(upstream))
  }

  // MARK: Events

  /// Every pair of state and event is one of: acted upon, noted in the report, late (it was true when it was sent), or
  /// misplaced (it can't happen, and is reported).
  mutating func handle(_ event: WalkEvent, _ around: Surroundings, into actions: inout [RestartAction]) {
    switch event {
    case .inFlight(let work): handle(work, around, into: &actions)
    case .handedOver: handedOver(event, into: &actions)
    case .restartDone: restartDone(event, around, into: &actions)
    case .restartFailed(let reason): restartFailed(event, reason, into: &actions)
    case .processFailed(let failure): processFailed(failure)
    case .probed(let answer): probed(event, answer, around, into: &actions)
    case .sampled(let own, let others): sampled(event, own, others, around, into: &actions)
    case .incarnationChanged(let incarnation): incarnationChanged(incarnation)
    case .liveness(let liveness): livenessChanged(liveness)
    case .standing: takenOver()
    case .requestFailed(let failure): report.add(failure)
    }
  }

  private mutating func handle(
    _ work: WorkInFlight, _ around: Surroundings, into actions: inout [RestartAction]
  ) {
    switch state {
    case .draining(var drain):
      drain.note(work, at: around.now, of: upstream, in: &report, into: &actions)
      state = .draining(drain)
      endDrain(drain, around, into: &actions)
    // Late: its drain was put off, or work that was left over ends.
    case .waiting, .restarting, .awaitingReadiness, .probation, .completed, .failed: break
    }
  }

  private mutating func handedOver(_ event: WalkEvent, into actions: inout [RestartAction]) {
    switch state {
    // Late if nothing is held, or no longer.
    case .restarting(let order): resume(order, into: &actions)
    // Late: it was given up.
    case .failed: break
    case .waiting, .draining, .awaitingReadiness, .probation, .completed: misplaced(event, into: &actions)
    }
  }

  /// Ends the hold around a reload.
  private mutating func resume(_ order: RestartOrder, into actions: inout [RestartAction]) {
    guard order.heldUntil != nil else { return }
    var order = order
    order.heldUntil = nil
    state = .restarting(order)
    isOpen = true
    actions.append(.resume(upstream))
  }

  private mutating func restartDone(
    _ event: WalkEvent, _ around: Surroundings, into actions: inout [RestartAction]
  ) {
    switch state {
    case .restarting(let clock):
      resume(clock, into: &actions)
      report.restartTime = around.now - clock.began
      let watch = ReadinessWatch(began: around.now, deadline: clock.deadline)
      state = .awaitingReadiness(watch, clock.method)
      actions.append(.probe(upstream))
    // Late: it was given up.
    case .failed: break
    case .waiting, .draining, .awaitingReadiness, .probation, .completed: misplaced(event, into: &actions)
    }
  }

  private mutating func restartFailed(
    _ event: WalkEvent, _ reason: String, into actions: inout [RestartAction]
  ) {
    switch state {
    case .restarting: state = .failed(.notRestarted(reason))
    // Late: it was given up.
    case .failed: break
    case .waiting, .draining, .awaitingReadiness, .probation, .completed: misplaced(event, into: &actions)
    }
  }

  private mutating func processFailed(_ failure: ProcessFailure) {
    switch state {
    case .restarting, .awaitingReadiness, .probation: state = .failed(.process(failure))
    // Its restart is still to come, or its health is not the restart's business any more.
    case .waiting, .draining, .completed, .failed: break
    }
  }

  private mutating func probed(
    _ event: WalkEvent, _ answer: ProbeAnswer, _ around: Surroundings, into actions: inout [RestartAction]
  ) {
    switch state {
    case .awaitingReadiness(var watch, let method):
      let expected = ReadinessWatch.Expectation(
        method, before: report.incarnationBefore, versionBefore: report.versionBefore, version: versionOnDisk)
      switch watch.note(answer, at: around.now, expected, around.policy.readiness) {
      case .undecided: state = .awaitingReadiness(watch, method)
      case .failed(let fault): state = .failed(fault)
      case .ready: becomeReady(watch, around, into: &actions)
      }
    // Late: it was given up while the probe was under way.
    case .failed: break
    case .waiting, .draining, .restarting, .probation, .completed: misplaced(event, into: &actions)
    }
  }

  private mutating func becomeReady(
    _ watch: ReadinessWatch, _ around: Surroundings, into actions: inout [RestartAction]
  ) {
    report.readinessTime = around.now - watch.began
    report.versionAfter = watch.version
    report.incarnationAfter = watch.incarnation
    // Alone it can't be compared with anything, nor have a share.
    guard around.hasOthers, let share = around.policy.probation?.shares.first else {
      state = .completed
      return
    }
    state = .probation(ProbationWatch(began: around.now, incarnation: watch.incarnation))
    actions.append(.beginProbation(upstream, share: share))
  }

  private mutating func sampled(
    _ event: WalkEvent, _ own: TrafficSample, _ others: TrafficSample, _ around: Surroundings,
    into actions: inout [RestartAction]
  ) {
    switch state {
    case .probation(var watch):
      watch.note(own: own, others: others)
      judge(watch, around, into: &actions)
    // Late: probation has ended.
    case .completed, .failed: break
    case .waiting, .draining, .restarting, .awaitingReadiness: misplaced(event, into: &actions)
    }
  }

  private mutating func incarnationChanged(_ incarnation: ServerIncarnation) {
    switch state {
    case .waiting, .draining:
      // Restarted by somebody else: it is this one that has to go now.
      if incarnation != report.incarnationBefore { report.foreignRestarts += 1 }
      report.incarnationBefore = incarnation
    // What answers a probe is what counts.
    case .restarting, .awaitingReadiness: break
    case .probation(let watch):
      // The pool may notice only now what the probes have seen.
      if incarnation != watch.incarnation { state = .failed(.replaced) }
    case .completed:
      if incarnation != report.incarnationAfter { report.foreignRestarts += 1 }
    // It was given up, whoever runs there now.
    case .failed: break
    }
  }

  private mutating func livenessChanged(_ liveness: UpstreamLiveness) {
    switch (state, liveness) {
    case (.probation, .down): state = .failed(.wentDown)
    // Starting is what the health checks say of a new incarnation that they have only just noticed.
    case (.probation, .starting), (.probation, .up): break
    // Before the restart it matters for capacity only, then the probes tell, then it is over.
    case (.waiting, _), (.draining, _), (.restarting, _), (.awaitingReadiness, _), (.completed, _),
      (.failed, _):
      break
    }
  }

  private mutating func takenOver() {
    switch state {
    case .draining, .restarting, .awaitingReadiness, .probation: state = .failed(.takenOver)
    // Not the restart's yet, or not any more.
    case .waiting, .completed, .failed: break
    }
  }

  private func misplaced(_ event: WalkEvent, into actions: inout [RestartAction]) {
    actions.append(.report(.misplaced(.upstream(upstream, event))))
  }

  // MARK: Time

  /// Does what is due.
  mutating func pass(_ around: Surroundings, into actions: inout [RestartAction]) {
    switch state {
    case .draining(var drain):
      drain.pass(to: around.now, around.policy.budgets, of: upstream, in: &report, into: &actions)
      state = .draining(drain)
      endDrain(drain, around, into: &actions)
    case .restarting(let clock):
      if around.now >= clock.deadline {
        state = .failed(.restartTimedOut)
      } else if let until = clock.heldUntil, around.now >= until {
        resume(clock, into: &actions)
      }
    case .awaitingReadiness(var watch, let method):
      if around.now >= watch.deadline {
        state = .failed(.notReady(watch.obstacle))
      } else if let next = watch.nextProbe, around.now >= next {
        watch.sendProbe()
        state = .awaitingReadiness(watch, method)
        actions.append(.probe(upstream))
      }
    case .probation(let watch): judge(watch, around, into: &actions)
    case .waiting, .completed, .failed: break
    }
  }

  private mutating func endDrain(
    _ drain: UpstreamDrain, _ around: Surroundings, into actions: inout [RestartAction]
  ) {
    switch drain.standing(at: around.now, around.policy.budgets) {
    case .waiting: return
    case .unobserved: state = .failed(.drainUnobserved)
    case .leftOver(let work):
      report.leftOver = work
      report.drainTime = around.now - drain.began
      restart(around, into: &actions)
    case .drained, .settled:
      report.drainTime = around.now - drain.began
      restart(around, into: &actions)
    }
  }

  private mutating func judge(
    _ before: ProbationWatch, _ around: Surroundings, into actions: inout [RestartAction]
  ) {
    guard let rule = around.policy.probation else { preconditionFailure("probation without a rule") }
    var watch = before
    let verdict = watch.judge(at: around.now, rule)
    switch verdict {
    case .undecided: break
    case .raise(let share): actions.append(.raiseShare(upstream, share: share))
    case .passed, .failed: report.probationTime = around.now - watch.began
    }
    switch verdict {
    case .undecided, .raise: state = .probation(watch)
    case .passed: state = .completed
    case .failed(let fault): state = .failed(fault)
    }
  }

  /// When something is due next; nil when nothing will be by time alone.
  func deadline(_ policy: RestartPolicy) -> Int64? {
    switch state {
    case .draining(let drain): drain.deadline(policy.budgets)
    case .restarting(let clock): min(clock.heldUntil ?? clock.deadline, clock.deadline)
    case .awaitingReadiness(let watch, _): min(watch.nextProbe ?? watch.deadline, watch.deadline)
    case .probation(let watch): policy.probation.map(watch.deadline)
    case .waiting, .completed, .failed: nil
    }
  }
}
