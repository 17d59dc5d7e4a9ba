import Testing

@testable import UpstreamPool

@Suite struct RandomTwoTests {
  @Test(arguments: [1, 2, 3] as [UInt64])
  func idleUpstreamsGetTheirShares(_ seed: UInt64) {
    let weights = [10, 20, 30, 40]
    var random = SplitMix(seed: seed)
    var balancer = RandomTwo()
    var counts = [0, 0, 0, 0]
    for _ in 0..<20_000 {
      counts[balancer.choose(count: 4, random: &random) { (0, weights[$0]) }!] += 1
    }
    for place in 0..<4 {
      // Of two that are equal the first drawn is taken, and that one is drawn by weight. Six standard deviations.
      let expected = 200.0 * Double(weights[place])
      #expect(abs(Double(counts[place]) - expected) < 6 * expected.squareRoot(), "seed \(seed): \(counts)")
    }
  }

  /// Ten requests each that stay. With one draw the loads are Poisson's and reach from 2 to 20; with the better of two
  /// they keep within a few of ten (Berenbrink and others 2006).
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func theBetterOfTwoKeepsLoadsEven(_ seed: UInt64) {
    var random = SplitMix(seed: seed)
    var balancer = RandomTwo()
    var leases = Array(repeating: 0, count: 256)
    for _ in 0..<2560 {
      let place = balancer.choose(count: 256, random: &random) { (leases[$0], 1) }!
      leases[place] += 1
    }
    #expect(leases.max()! <= 13, "seed \(seed)")
    #expect(leases.min()! >= 4, "seed \(seed)")
  }

  @Test func loadsGoByWeight() {
    var random = SplitMix(seed: 7)
    var balancer = RandomTwo()
    var leases = [0, 0, 0]
    let weights = [100, 200, 500]
    for _ in 0..<800 {
      leases[balancer.choose(count: 3, random: &random) { (leases[$0], weights[$0]) }!] += 1
    }
    for (held, weight) in zip(leases, weights) { #expect(abs(held - weight) <= 30, "\(leases)") }
  }

  @Test func ofTwoTheLessBusyOneIsTaken() {
    var random = SplitMix(seed: 8)
    var balancer = RandomTwo()
    for _ in 0..<1000 {
      #expect(balancer.choose(count: 2, random: &random) { ($0 == 0 ? 5 : 4, 1) } == 1)
    }
  }

  @Test func whoMayNotBeChosenIsLeftOut() {
    var random = SplitMix(seed: 9)
    var balancer = RandomTwo()
    for _ in 0..<100 {
      #expect(balancer.choose(count: 3, random: &random) { $0 == 1 ? (9, 1) : nil } == 1)
      #expect(balancer.choose(count: 3, random: &random) { _ in nil } == nil)
    }
  }
}
