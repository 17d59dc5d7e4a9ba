import Testing

@testable import GravityRestart

/// Every state of one upstream's walk with every kind of event, and what comes of it.
@Suite struct WalkTableTests {
  /// What an event comes to.
  enum Effect: Equatable {
    /// Nothing but the report of a fault of the coordinator.
    case misplaced
    /// Nothing at all: it was true when it was sent.
    case late
    /// Something in it or its report changes, or is to be done, and it stays in its phase.
    case changes
    case becomes(UpstreamPhase)
  }

  /// The columns of the table.
  static let events: [WalkEvent] = [
    .inFlight(work(ordinary: 2)), .inFlight(WorkInFlight()), .handedOver, .restartDone, .restartFailed("no"),
    .processFailed(.fatal("exit status 1")), .probed(.good(new, version: "2")),
    .probed(.good(old, version: "1")), .probed(.bad("503")),
    .sampled(own: TrafficSample(requests: 100), others: TrafficSample(requests: 100)),
    .sampled(own: TrafficSample(requests: 100, failures: 50), others: TrafficSample(requests: 100)),
    .incarnationChanged(new), .incarnationChanged(newer), .liveness(.down), .liveness(.starting),
    .liveness(.up),
    .standing(.withdrawn), .standing(.ready), .standing(.keptOut),
    .requestFailed(RequestFailure(request: "GET /", reason: "closed")),
  ]

  static let process = UpstreamFault.process(.fatal("exit status 1"))
  static let worse = UpstreamFault.worseThanOthers(
    .errors(own: TrafficSample(requests: 100, failures: 50), others: TrafficSample(requests: 100)))
  static let takenOver = UpstreamPhase.failed(.takenOver)

  /// The rows, in the order of `events`.
  static let table: [(state: State, effects: [Effect])] = [
    (
      .waiting,
      [
        .late, .late, .misplaced, .misplaced, .misplaced, .late, .misplaced, .misplaced, .misplaced,
        .misplaced,
        .misplaced,
        .changes, .changes, .late, .late, .late, .late, .late, .late, .changes,
      ]
    ),
    (
      .draining,
      [
        .changes, .becomes(.restarting), .misplaced, .misplaced, .misplaced, .late, .misplaced, .misplaced,
        .misplaced,
        .misplaced, .misplaced, .changes, .changes, .late, .late, .late, .becomes(takenOver),
        .becomes(takenOver),
        .becomes(takenOver), .changes,
      ]
    ),
    (
      .restarting,
      [
        .late, .late, .late, .becomes(.awaitingReadiness), .becomes(.failed(.notRestarted("no"))),
        .becomes(.failed(process)), .misplaced, .misplaced, .misplaced, .misplaced, .misplaced, .late, .late,
        .late,
        .late, .late, .becomes(takenOver), .becomes(takenOver), .becomes(takenOver), .changes,
      ]
    ),
    (
      .awaitingReadiness,
      [
        .late, .late, .misplaced, .misplaced, .misplaced, .becomes(.failed(process)), .becomes(.probation),
        .changes,
        .changes,
        .misplaced, .misplaced, .late, .late, .late, .late, .late, .becomes(takenOver), .becomes(takenOver),
        .becomes(takenOver), .changes,
      ]
    ),
    (
      .probation,
      [
        .late, .late, .misplaced, .misplaced, .misplaced, .becomes(.failed(process)), .misplaced, .misplaced,
        .misplaced,
        .changes, .becomes(.failed(worse)), .late, .becomes(.failed(.replaced)), .becomes(.failed(.wentDown)),
        .late,
        .late, .becomes(takenOver), .becomes(takenOver), .becomes(takenOver), .changes,
      ]
    ),
    (
      .completed,
      [
        .late, .late, .misplaced, .misplaced, .misplaced, .late, .misplaced, .misplaced, .misplaced, .late,
        .late, .late,
        .changes, .late, .late, .late, .late, .late, .late, .changes,
      ]
    ),
    (
      .failed,
      [
        .late, .late, .late, .late, .late, .late, .late, .late, .late, .late, .late, .late, .late, .late,
        .late,
        .late,
        .late, .late, .late, .changes,
      ]
    ),
  ]

  /// The rows of the only upstream, which reloads: what differs from `table`.
  static let reloading: [(state: State, event: WalkEvent, effect: Effect)] = [
    (.draining, .inFlight(work(ordinary: 2)), .changes),
    (.draining, .inFlight(work(upload: 1, eventStream: 1)), .changes),
    (.draining, .inFlight(work(download: 1, eventStream: 2, tunnel: 3)), .becomes(.restarting)),
    (.draining, .handedOver, .misplaced),
    (.restarting, .handedOver, .changes), (.restarting, .inFlight(work(ordinary: 1)), .late),
    (.restarting, .restartDone, .becomes(.awaitingReadiness)),
    (.restarting, .restartFailed("no"), .becomes(.failed(.notRestarted("no")))),
    (.restarting, .processFailed(.fatal("exit status 1")), .becomes(.failed(process))),
    (.restarting, .standing(.withdrawn), .becomes(takenOver)),
    (.awaitingReadiness, .handedOver, .misplaced), (.failed, .handedOver, .late),
  ]

  enum State: CaseIterable {
    case waiting, draining, restarting, awaitingReadiness, probation, completed, failed
  }

  static let around: UpstreamWalk.Surroundings = {
    var policy = RestartPolicy()
    policy.readiness.successes = 1
    policy.probation?.shares = [10]
    return UpstreamWalk.Surroundings(
      now: 0, policy: policy, restartTimeout: 1_000, method: .replace, settling: nil, hasOthers: true)
  }()

  static let alone: UpstreamWalk.Surroundings = {
    var alone = around
    alone.method = .reload
    alone.settling = SettlingRule()
    alone.hasOthers = false
    return alone
  }()

  /// A walk in this state, by the way that leads there.
  static func walk(in state: State, _ around: UpstreamWalk.Surroundings = around) -> UpstreamWalk {
    var walk = UpstreamWalk(upstream: 0, name: "gunicorn0")
    var actions: [RestartAction] = []
    walk.note(
      PreflightFacts(incarnation: old, versionRunning: "1", versionOnDisk: "2"), allowsVersionSkew: false)
    let way: [State] = State.allCases.filter { $0 != .failed }
    for stage in way[...(way.firstIndex(of: state) ?? 2)] {
      switch stage {
      case .waiting, .failed: break
      case .draining: walk.drain(around, into: &actions)
      case .restarting: walk.handle(.inFlight(WorkInFlight()), around, into: &actions)
      case .awaitingReadiness: walk.handle(.restartDone, around, into: &actions)
      case .probation: walk.handle(.probed(.good(new, version: "2")), around, into: &actions)
      case .completed:
        var later = around
        later.now = 60_000
        walk.pass(later, into: &actions)
      }
    }
    if state == .failed { walk.handle(.restartFailed("no"), around, into: &actions) }
    return walk
  }

  @Test func everyStateMeetsEveryEvent() {
    #expect(Self.table.map(\.state) == State.allCases)
    for (state, effects) in Self.table {
      #expect(effects.count == Self.events.count, "\(state)")
      for (event, effect) in zip(Self.events, effects) {
        #expect(Self.effect(of: event, in: state) == effect, "\(state), \(event)")
      }
    }
  }

  @Test func theOnlyOneThatReloadsDiffersInThis() {
    for (state, event, effect) in Self.reloading {
      #expect(Self.effect(of: event, in: state, Self.alone) == effect, "\(state), \(event)")
    }
  }

  static func effect(
    of event: WalkEvent, in state: State, _ around: UpstreamWalk.Surroundings = around
  ) -> Effect {
    let before = walk(in: state, around)
    var after = before
    var actions: [RestartAction] = []
    after.handle(event, around, into: &actions)
    if actions == [.report(.misplaced(.upstream(0, event)))], after == before { return .misplaced }
    if after.phase != before.phase { return .becomes(after.phase) }
    return after == before && actions.isEmpty ? .late : .changes
  }

  @Test func statesAreWhatTheyAreCalled() {
    let phases = State.allCases.map { Self.walk(in: $0).phase }
    #expect(
      phases == [
        .waiting, .draining, .restarting, .awaitingReadiness, .probation, .completed,
        .failed(.notRestarted("no")),
      ])
  }

  @Test func onlyTimeEndsWhatNobodyAnswers() {
    var later = Self.around
    later.now = 10_000_000
    let expected: [(State, UpstreamPhase)] = [
      (.waiting, .waiting), (.draining, .failed(.drainUnobserved)), (.restarting, .failed(.restartTimedOut)),
      (.awaitingReadiness, .failed(.notReady(.neverAnswered))), (.probation, .completed),
      (.completed, .completed),
      (.failed, .failed(.notRestarted("no"))),
    ]
    for (state, phase) in expected {
      var walk = Self.walk(in: state)
      var actions: [RestartAction] = []
      walk.pass(later, into: &actions)
      #expect(walk.phase == phase, "\(state)")
    }
  }
}
