import Testing

@testable import UpstreamPool

@Suite struct RoundRobinTests {
  private func sequence(_ weights: [Int?], _ length: Int, _ balancer: inout RoundRobin) -> [Int?] {
    (0..<length).map { _ in
      balancer.choose(count: weights.count) { place in weights[place].map { (0, $0) } }
    }
  }

  @Test func turnsAreSpreadOverTheRound() {
    var balancer = RoundRobin()
    // The example of nginx's commit.
    #expect(sequence([5, 1, 1], 7, &balancer) == [0, 0, 1, 0, 2, 0, 0])
    #expect(sequence([5, 1, 1], 7, &balancer) == [0, 0, 1, 0, 2, 0, 0])
  }

  @Test func everyRoundIsExact() {
    let weights = [7, 1, 30, 4, 4, 100, 1]
    var balancer = RoundRobin()
    let round = weights.reduce(0, +)
    for _ in 0..<20 {
      var counts = Array(repeating: 0, count: weights.count)
      for place in sequence(weights, round, &balancer) { counts[place!] += 1 }
      #expect(counts == weights)
    }
  }

  @Test func whoMayNotBeChosenIsLeftOut() {
    var balancer = RoundRobin()
    #expect(Set(sequence([1, nil, 1], 10, &balancer)) == [0, 2])
    #expect(sequence([nil, nil, nil], 2, &balancer) == [nil, nil])
    #expect(Set(sequence([1, 1, 1], 3, &balancer)) == [0, 1, 2])
  }

  /// Guards against debts of a time with weights a thousand times as large.
  @Test func changedWeightsHoldSoon() {
    var balancer = RoundRobin()
    _ = sequence([100_000, 300_000, 50_000], 3, &balancer)
    _ = sequence([1, 1, 1], 24, &balancer)
    var counts = [0, 0, 0]
    for place in sequence([1, 1, 1], 30, &balancer) { counts[place!] += 1 }
    #expect(counts == [10, 10, 10])
  }
}
