import Testing

import func Glibc.getenv

@testable import UpstreamPool

@Suite struct PoolSimulationTests {
  /// Thousands of schedules, each from its seed. `GALAXY_LB_SEED` replays one.
  @Test func randomSchedulesKeepTheInvariants() {
    let given = getenv("GALAXY_LB_SEED").flatMap { UInt64(String(cString: $0)) }
    let first = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("randomSchedulesKeepTheInvariants: GALAXY_LB_SEED=\(first)")
    var held = 0
    var answered = 0
    for seed in first..<(first + (given == nil ? 1_500 : 1)) {
      var simulation = PoolSimulation(seed: seed)
      let violations = simulation.run()
      held += simulation.held
      answered += simulation.answered
      guard violations.isEmpty else {
        Issue.record("GALAXY_LB_SEED=\(seed): \(violations.joined(separator: "; "))")
        return
      }
    }
    // A simulation in which nothing waits, or nothing is answered, would prove nothing.
    if given == nil {
      #expect(held > 5_000)
      #expect(answered > 5_000)
    }
  }
}
