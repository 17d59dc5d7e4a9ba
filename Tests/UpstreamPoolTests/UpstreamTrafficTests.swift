import Testing

@testable import UpstreamPool

@Suite struct UpstreamTrafficTests {
  private func answer(_ upstream: Upstream, _ status: Int = 200, milliseconds: Int64, loop: Int = 0) {
    upstream.statistics[loop].requests.add()
    upstream.statistics[loop].noteAnswer(status: status, firstByte: milliseconds * 1_000_000)
  }

  @Test func allLoopsAreSummedAndOnlyWhatIsTheUpstreamsFaultIsAFailure() {
    let upstream = makeUpstream()
    answer(upstream, 200, milliseconds: 3, loop: 0)
    answer(upstream, 404, milliseconds: 3, loop: 1)
    answer(upstream, 500, milliseconds: 30, loop: 2)
    answer(upstream, 503, milliseconds: 90_000, loop: 0)
    upstream.statistics[1].note(.unreachable)
    upstream.statistics[1].note(.truncatedResponse)
    upstream.statistics[2].note(.busy)
    let traffic = UpstreamTraffic(of: upstream)
    #expect(traffic.requests == 4 && traffic.failures == 4 && traffic.answers == 4)
    #expect(traffic.firstBytes[2] == 2 && traffic.firstBytes[5] == 1 && traffic.firstBytes.last == 1)
  }

  @Test func differencesAndSums() {
    let (first, second) = (makeUpstream(0), makeUpstream(1))
    for _ in 0..<5 { answer(first, 500, milliseconds: 7) }
    let before = UpstreamTraffic(of: first)
    for _ in 0..<3 { answer(first, 200, milliseconds: 70, loop: 1) }
    answer(second, 200, milliseconds: 700)
    let since = UpstreamTraffic(of: first) - before
    #expect(since.requests == 3 && since.failures == 0 && since.answers == 3 && since.firstBytes[3] == 0)
    #expect(since + before == UpstreamTraffic(of: first))
    #expect(before - before == UpstreamTraffic())
    let both = UpstreamTraffic(of: first) + UpstreamTraffic(of: second)
    #expect(both.requests == 9 && both.failures == 5 && both.answers == 9)
  }

  @Test func quantilesLieInTheClassOfTheirAnswer() throws {
    let upstream = makeUpstream()
    #expect(UpstreamTraffic(of: upstream).firstByteQuantile(0.5) == nil)
    for _ in 0..<90 { answer(upstream, milliseconds: 15) }
    for _ in 0..<9 { answer(upstream, milliseconds: 400) }
    answer(upstream, milliseconds: 100_000)
    let traffic = UpstreamTraffic(of: upstream)
    func quantile(_ fraction: Double) throws -> Double { try #require(traffic.firstByteQuantile(fraction)) }
    #expect(try quantile(0) == 10 && quantile(0.45) == 17.5 && quantile(0.9) == 25)
    #expect(try quantile(0.91) > 250 && quantile(0.99) == 500)
    #expect(try quantile(1) == 60_000)
    let rising = try (0...100).map { try quantile(Double($0) / 100) }
    #expect(rising == rising.sorted())
  }
}
