import SystemCalls
import TestSupport
import Testing

@testable import UpstreamPool

/// What a part of a share brings about under traffic, in virtual time.
@Suite struct ShareTests {
  /// Loops that don't know of each other's choices, and requests that last.
  private final class Traffic {
    private final class Work {
      let lease: UpstreamLease
      let endsAt: Int64

      init(_ lease: consuming UpstreamLease, until end: Int64) {
        self.lease = lease
        endsAt = end
      }
    }

    let pool: Pool
    private var selectors: [PoolSelector]
    private var random: SeededGenerator
    private var work: [Work] = []
    private var now: Int64 = 1_000_000
    /// Milliseconds that a request takes, by upstream.
    var durations: [Int64]

    init(
      _ algorithm: BalancingAlgorithm, upstreams count: Int, duration: Int64, loops: Int = 1,
      slowStart: Int64 = 0,
      seed: UInt64 = 1
    ) {
      var settings = PoolSettings(
        name: "p",
        upstreams: (0..<count).map { UpstreamSettings(name: "u\($0)", endpoint: .unix(path: "/u\($0)")) })
      settings.balance = algorithm
      settings.slowStart = slowStart
      pool = Pool(
        settings,
        upstreams: settings.upstreams.enumerated().map { index, upstream in
          Upstream(
            upstream, health: settings.health, index: index, address: SocketAddress(unixPath: "/u\(index)"),
            loops: loops, now: 0
          ) { _, _ in }
        })
      selectors = (0..<loops).map { [pool] in PoolSelector(pool, loop: $0, seed: seed + UInt64($0)) }
      random = SeededGenerator(seed: seed)
      durations = Array(repeating: duration, count: count)
    }

    /// How many of so many requests each gets. They come every 10 ms, give or take, to any loop.
    func counts(_ requests: Int, keyed: Bool = true) -> [Int] {
      var counts = Array(repeating: 0, count: pool.upstreams.count)
      for _ in 0..<requests {
        now += Int64.random(in: 0...20, using: &random)
        work.removeAll { $0.endsAt <= now }
        let loop = Int.random(in: 0..<selectors.count, using: &random)
        let key = keyed ? UInt64.random(in: 0..<100_000, using: &random) : nil
        guard
          let upstream = selectors[loop].choose(
            .eligible, key: key.map(KeyHash.mixed), excluding: UpstreamSet(), now: now)
        else { continue }
        counts[upstream.index] += 1
        let duration = durations[upstream.index]
        guard duration > 0 else { continue }
        let most = duration * 2 - 1
        work.append(
          Work(upstream.lease(.ordinary), until: now + Int64.random(in: 1...most, using: &random))
        )
      }
      return counts
    }
  }

  private static let byLoadOrTurn: [BalancingAlgorithm] = [.leastConnections, .roundRobin, .randomTwo]

  /// Idle, a few at a time, and many: 0, about 1, 3, 10 and 100 requests in flight.
  private static let durations: [Int64] = [0, 10, 30, 100, 1_000]

  private func expectTenth(_ counts: [Int], of place: Int, _ label: String) {
    let others = counts.indices.filter { $0 != place }.map { counts[$0] }
    let full = Double(others.reduce(0, +)) / Double(others.count)
    let part = Double(counts[place]) / full
    #expect((0.085...0.115).contains(part), "\(label): \(counts)")
  }

  @Test(arguments: byLoadOrTurn, durations)
  func aTenthIsATenthHoweverBusyThePoolIs(_ algorithm: BalancingAlgorithm, _ duration: Int64) {
    for (count, loops) in [(2, 1), (2, 4), (4, 1), (4, 4)] {
      let traffic = Traffic(algorithm, upstreams: count, duration: duration, loops: loops)
      let place = count - 2
      traffic.pool.upstreams[place].share = 10
      expectTenth(traffic.counts(10_000), of: place, "\(count) upstreams, \(loops) loops")
    }
  }

  /// Requests without the key of a pool that hashes go by load.
  @Test(arguments: durations) func requestsWithoutKeyKeepToIt(_ duration: Int64) {
    let traffic = Traffic(.hash(.cookie("c")), upstreams: 3, duration: duration)
    traffic.pool.upstreams[0].share = 10
    expectTenth(traffic.counts(10_000, keyed: false), of: 0, "hash without keys")
  }

  /// A tenth of its keys, and always the same ones: those that it gets stay when it gets more.
  @Test(arguments: [1, 2, 3] as [UInt64]) func ofKeysATenthIsGivenToIt(_ seed: UInt64) {
    let traffic = Traffic(.hash(.clientAddress), upstreams: 3, duration: 0, seed: seed)
    traffic.pool.upstreams[1].share = 10
    expectTenth(traffic.counts(10_000), of: 1, "seed \(seed)")
    var selector = PoolSelector(traffic.pool, loop: 0, seed: seed)
    func keys() -> Set<UInt64> {
      Set(
        (0..<3_000).filter {
          selector.choose(.eligible, key: KeyHash.mixed($0), excluding: UpstreamSet(), now: 0)?.index == 1
        })
    }
    let few = keys()
    traffic.pool.upstreams[1].share = 50
    let more = keys()
    traffic.pool.upstreams[1].share = 100
    #expect(!few.isEmpty && few.isStrictSubset(of: more) && more.isStrictSubset(of: keys()))
  }

  /// The bound on the load of each holds for parts too, so that one that is a little busy gets less.
  @Test func ofKeysItNeverGetsMoreThanItsPartWhenBusy() {
    for duration in [30, 100, 1_000] as [Int64] {
      let traffic = Traffic(.hash(.clientAddress), upstreams: 3, duration: duration)
      traffic.pool.upstreams[1].share = 10
      let counts = traffic.counts(10_000)
      let full = Double(counts[0] + counts[2]) / 2
      #expect(counts[1] > 0 && Double(counts[1]) < 0.125 * full, "\(duration): \(counts)")
    }
  }

  @Test(arguments: byLoadOrTurn) func half(_ algorithm: BalancingAlgorithm) {
    let traffic = Traffic(algorithm, upstreams: 3, duration: 50, loops: 2)
    traffic.pool.upstreams[2].share = 50
    let counts = traffic.counts(10_000)
    let part = Double(counts[2]) / (Double(counts[0] + counts[1]) / 2)
    #expect((0.45...0.55).contains(part), "\(counts)")
    traffic.pool.upstreams[2].share = 100
    let whole = traffic.counts(30_000)
    #expect(whole.allSatisfy { (9_000...11_000).contains($0) }, "\(whole)")
  }

  /// A share is never a reason to serve nobody.
  @Test(arguments: byLoadOrTurn + [.hash(.clientAddress)])
  func whenNobodyElseServesAPartIsAll(_ algorithm: BalancingAlgorithm) {
    let traffic = Traffic(algorithm, upstreams: 3, duration: 30)
    for upstream in traffic.pool.upstreams { upstream.share = 10 }
    let even = traffic.counts(3_000)
    #expect(even.allSatisfy { (800...1_200).contains($0) }, "\(even)")
    traffic.pool.upstreams[0].setAdministrative(.draining)
    traffic.pool.upstreams[1].setAdministrative(.draining)
    #expect(traffic.counts(500) == [0, 0, 500])
  }

  /// Where the number of leases decides, one that doesn't answer must not gather requests turn by turn.
  @Test(arguments: [.leastConnections, .randomTwo] as [BalancingAlgorithm])
  func oneThatHangsGathersNoMoreThanOthers(_ algorithm: BalancingAlgorithm) {
    let traffic = Traffic(algorithm, upstreams: 3, duration: 40)
    traffic.durations[0] = 1_000_000_000
    traffic.pool.upstreams[0].share = 50
    let counts = traffic.counts(5_000)
    #expect(traffic.pool.upstreams[0].inFlight <= 20, "\(counts)")
  }

  /// The share says how much at most while it comes back slowly.
  @Test func aSlowStartAndAShareAreNotMultiplied() {
    let upstream = makeUpstream(weight: 3)
    upstream.noteFailure(.unreachable, now: 0)
    upstream.noteSuccess(now: 1_000)
    func weights() -> [Int] {
      [1_000, 4_000, 11_000].map { upstream.balancingWeight(slowStart: 10_000, now: $0) }
    }
    #expect(weights() == [30, 90, 300])
    upstream.share = 20
    #expect(weights() == [30, 60, 60])
    upstream.share = 5
    #expect(weights() == [15, 15, 15])
  }

  @Test func aShareLiesBetweenOneAndAHundred() {
    let upstream = makeUpstream()
    #expect(upstream.share == 100)
    for (given, taken) in [(0, 1), (-5, 1), (10, 10), (1_000, 100)] {
      upstream.share = given
      #expect(upstream.share == taken && upstream.weight == 1 && upstream.state == UpstreamState(.ready, .up))
    }
  }
}
