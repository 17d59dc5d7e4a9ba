@testable import GravityRestart

/// Values that the tests of a restart share.
let old = ServerIncarnation(process: 100, inode: 1)
let new = ServerIncarnation(process: 200, inode: 2)
let newer = ServerIncarnation(process: 300, inode: 3)

func work(
  ordinary: Int = 0, upload: Int = 0, download: Int = 0, eventStream: Int = 0, tunnel: Int = 0
) -> WorkInFlight {
  var work = WorkInFlight()
  work[.ordinary] = ordinary
  work[.upload] = upload
  work[.download] = download
  work[.eventStream] = eventStream
  work[.tunnel] = tunnel
  return work
}

/// Upstreams `g0`, `g1`, ... that are ready and up.
func upstreams(_ count: Int) -> [PlannedUpstream] {
  (0..<count).map { PlannedUpstream(name: "g\($0)") }
}

/// A machine in virtual time that remembers what it was told to do.
struct DrivenMachine {
  private(set) var machine: RestartMachine
  private(set) var now: Int64 = 0
  private(set) var actions: [RestartAction]

  init(_ plan: RestartPlan) {
    (machine, actions) = RestartMachine.begin(plan, now: 0)
  }

  /// What it answers, without what only watchers are told.
  @discardableResult
  mutating func tell(_ event: RestartEvent, after milliseconds: Int64 = 0) -> [RestartAction] {
    now += milliseconds
    let answer = machine.handle(event, now: now)
    actions += answer
    return answer.filter { if case .report = $0 { false } else { true } }
  }

  /// As `tell`, of one upstream.
  @discardableResult
  mutating func tell(
    _ upstream: Int, _ event: WalkEvent, after milliseconds: Int64 = 0
  ) -> [RestartAction] {
    tell(.upstream(upstream, event), after: milliseconds)
  }

  /// Everything is found in order.
  @discardableResult
  mutating func passPreflight(version: String? = nil) -> [RestartAction] {
    var last: [RestartAction] = []
    for upstream in machine.plan.order {
      last = tell(
        .preflight(
          upstream,
          PreflightFacts(incarnation: incarnation(upstream), versionRunning: "1", versionOnDisk: version)))
    }
    return last
  }

  /// Lets time pass to the next deadline.
  @discardableResult
  mutating func tick() -> [RestartAction] {
    let due = machine.nextDeadline ?? now
    return tell(.tick, after: max(due - now, 0))
  }

  /// From the drain to the end of the readiness.
  @discardableResult
  mutating func restart(_ upstream: Int, took milliseconds: Int64 = 0) -> [RestartAction] {
    tell(upstream, .inFlight(WorkInFlight()))
    tell(upstream, .restartDone, after: milliseconds)
    return becomeReady(upstream)
  }

  @discardableResult
  mutating func becomeReady(_ upstream: Int, version: String? = nil) -> [RestartAction] {
    var last: [RestartAction] = []
    for _ in 0..<machine.plan.policy.readiness.successes {
      last = tell(upstream, .probed(.good(incarnation(upstream, generation: 1), version: version)))
      if machine.phase(of: upstream) == .awaitingReadiness { tick() }
    }
    return last
  }

  var outcome: RestartOutcome? {
    guard case .finish(let outcome)? = actions.last else { return nil }
    return outcome
  }

  var misplaced: [RestartEvent] {
    actions.compactMap { if case .report(.misplaced(let event)) = $0 { event } else { nil } }
  }
}

/// Who listens for an upstream of the tests, restarted so many times.
func incarnation(_ upstream: Int, generation: Int = 0) -> ServerIncarnation {
  ServerIncarnation(process: Int32(1_000 * (upstream + 1) + generation), inode: UInt64(generation + 1))
}

extension RestartAction {
  /// The upstream that this changes something about; nil for questions and reports.
  var touched: Int? {
    switch self {
    case .setDraining(let upstream), .endEventStreams(let upstream), .closeTunnels(let upstream),
      .cutRemaining(let upstream, _), .restart(let upstream), .reload(let upstream),
      .resume(let upstream), .beginProbation(let upstream, _), .raiseShare(let upstream, _),
      .admit(let upstream), .keepOut(let upstream):
      upstream
    case .beginPreflight, .probe, .report, .finish: nil
    }
  }
}
