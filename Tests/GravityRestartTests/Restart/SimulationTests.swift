import Testing

import func Glibc.getenv

@testable import GravityRestart

@Suite struct RestartSimulationTests {
  /// Thousands of restarts, each from its seed. `GALAXY_LB_SEED` replays one, and
  /// prints its events and actions.
  @Test func randomRestartsKeepTheInvariants() {
    let given = getenv("GALAXY_LB_SEED").flatMap { UInt64(String(cString: $0)) }
    let first = given ?? UInt64.random(in: 0...UInt64(UInt32.max))
    print("randomRestartsKeepTheInvariants: GALAXY_LB_SEED=\(first)")
    var ends: [Int32: Int] = [:]
    var boots: [Simulation.Boot: Int] = [:]
    var seen = Seen()
    for seed in first..<(first + (given == nil ? 2_000 : 1)) {
      var simulation = Simulation(seed: seed, isTraced: given != nil)
      let violations = simulation.run()
      guard violations.isEmpty, let outcome = simulation.outcome else {
        Issue.record("GALAXY_LB_SEED=\(seed): \(violations.joined(separator: "; "))")
        return
      }
      ends[outcome.result.exitStatus, default: 0] += 1
      boots.merge(simulation.invariants.boots, uniquingKeysWith: +)
      seen.note(outcome)
      seen.resumed += simulation.invariants.resumed
    }
    guard given == nil else { return }
    print("ends by exit status: \(ends.sorted { $0.key < $1.key }), seen: \(seen)")
    // A simulation in which something never happens would prove nothing about it.
    for status: Int32 in [0, 1, 4, 5] { #expect(ends[status, default: 0] > 50, "exit status \(status)") }
    for boot in Simulation.Boot.allCases { #expect(boots[boot, default: 0] > 5, "\(boot)") }
    for often in [seen.cuts, seen.leftOver, seen.undone, seen.foreign, seen.resumed] {
      #expect(often > 20, "\(seen)")
    }
    #expect(seen.faults.count >= 7, "\(seen)")
  }

  /// How often what is rare has happened.
  private struct Seen {
    var cuts = 0
    var leftOver = 0
    var undone = 0
    var foreign = 0
    var resumed = 0
    var faults: [String: Int] = [:]

    mutating func note(_ outcome: RestartOutcome) {
      for report in outcome.upstreams {
        if report.cut.total > 0 { cuts += 1 }
        if report.leftOver.total > 0 { leftOver += 1 }
        undone += report.drainsUndone
        foreign += report.foreignRestarts
        guard case .failed(let fault) = report.fate else { continue }
        faults[String("\(fault)".prefix { $0 != "(" }), default: 0] += 1
      }
    }
  }
}
