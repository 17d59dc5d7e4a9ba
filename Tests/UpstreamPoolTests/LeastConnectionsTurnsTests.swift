import Testing

@testable import UpstreamPool

/// How those that are equal take turns.
@Suite struct LeastConnectionsTurnsTests {
  private func sequence(_ weights: [Int?], _ length: Int, _ balancer: inout LeastConnections) -> [Int?] {
    (0..<length).map { _ in
      balancer.choose(count: weights.count) { place in weights[place].map { (0, $0) } }
    }
  }

  @Test func equalOnesRotate() {
    var balancer = LeastConnections()
    #expect(sequence([7, 7, 7], 6, &balancer) == [0, 1, 2, 0, 1, 2])
  }

  /// Guards against a lighter upstream that gets nothing while there is little to do.
  @Test(arguments: [[1, 2, 5], [100, 1000], [3, 3, 1, 1]]) func idleOnesTakeTurnsByWeight(_ weights: [Int]) {
    var balancer = LeastConnections()
    var counts = Array(repeating: 0, count: weights.count)
    let round = weights.reduce(0, +)
    for place in sequence(weights, 100 * round, &balancer) { counts[place!] += 1 }
    for (count, weight) in zip(counts, weights) { #expect(abs(count - 100 * weight) <= 2, "\(counts)") }
  }

  /// Guards against a burst on an upstream that came back.
  @Test func whoWasAwayHasNothingToMakeUpFor() {
    var balancer = LeastConnections()
    _ = sequence([1, nil, 1], 1000, &balancer)
    #expect(sequence([1, 1, 1], 30, &balancer).count { $0 == 1 } <= 11)
  }

  @Test func theLessBusyOneGoesBeforeTheOneWhoseTurnItIs() {
    var balancer = LeastConnections()
    let leases = [3, 2, 6]
    for _ in 0..<5 { #expect(balancer.choose(count: 3) { (leases[$0], 1) } == 1) }
    // 3 of 2, 2 of 1, 6 of 10.
    for _ in 0..<5 { #expect(balancer.choose(count: 3) { (leases[$0], [2, 1, 10][$0]) } == 2) }
  }
}
