import Testing

@testable import GravityRestart

/// Every phase of a run with every kind of event that concerns the run.
@Suite struct MachineTableTests {
  enum Phase: CaseIterable {
    case preflight, walking, stopping, finished
  }

  enum Effect: Equatable {
    case misplaced
    /// Nothing is to be done.
    case nothing
    case becomes(RestartPhase)
    case acts([RestartAction])
  }

  static let withdrawn = WalkEvent.standing(.withdrawn)
  static let events: [RestartEvent] = [
    .preflight(0, PreflightFacts()), .preflight(1, PreflightFacts()), .preflight(7, PreflightFacts()),
    .upstream(1, .liveness(.down)), .upstream(1, withdrawn), .upstream(7, .liveness(.down)), .held(10),
    .abort, .tick,
  ]

  /// Upstream 0 of two is at work: found in order in preflight, draining when walking, restarting when stopping.
  static let table: [(Phase, [Effect])] = [
    (
      .preflight,
      [
        .nothing, .becomes(.walking), .misplaced, .nothing, .nothing, .misplaced, .nothing,
        .becomes(.finished(.stopped(.aborted))), .nothing,
      ]
    ),
    (
      .walking,
      [
        .misplaced, .misplaced, .misplaced, .acts([.admit(0)]), .acts([.admit(0)]), .misplaced, .nothing,
        .becomes(.finished(.stopped(.aborted))), .nothing,
      ]
    ),
    (
      .stopping,
      [
        .misplaced, .misplaced, .misplaced, .nothing, .nothing, .misplaced, .nothing, .nothing, .nothing,
      ]
    ),
    (
      .finished,
      [.nothing, .nothing, .nothing, .nothing, .nothing, .nothing, .nothing, .nothing, .nothing]
    ),
  ]

  private static func run(in phase: Phase) throws -> DrivenMachine {
    var run = DrivenMachine(try RestartPlan(upstreams: upstreams(2)))
    run.tell(.preflight(0, PreflightFacts(incarnation: incarnation(0))))
    if phase == .preflight { return run }
    run.tell(.preflight(1, PreflightFacts(incarnation: incarnation(1))))
    if phase == .walking { return run }
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(.abort)
    if phase == .stopping { return run }
    run.tell(0, .restartFailed("no"))
    return run
  }

  @Test func everyPhaseMeetsEveryEvent() throws {
    #expect(Self.table.map(\.0) == Phase.allCases)
    for (phase, effects) in Self.table {
      #expect(effects.count == Self.events.count)
      for (event, effect) in zip(Self.events, effects) {
        var run = try Self.run(in: phase)
        let before = run.machine.phase
        let actions = run.tell(event)
        let after = run.machine.phase
        let found: Effect =
          run.misplaced == [event] && actions.isEmpty && before == after
          ? .misplaced : after != before ? .becomes(after) : actions.isEmpty ? .nothing : .acts(actions)
        #expect(found == effect, "\(phase), \(event)")
      }
    }
  }

  @Test func phasesAreWhatTheyAreCalled() throws {
    #expect(try Self.run(in: .preflight).machine.phase == .preflight)
    #expect(try Self.run(in: .walking).machine.phase == .walking)
    #expect(try Self.run(in: .stopping).machine.phase == .stopping(.aborted))
    #expect(
      try Self.run(in: .finished).machine.phase
        == .finished(.stopped(.halted(.upstreamFailed(0, .notRestarted("no"))))))
  }
}
