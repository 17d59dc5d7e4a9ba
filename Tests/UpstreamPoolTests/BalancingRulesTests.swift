import Dispatch
import Synchronization
import SystemCalls
import Testing

@testable import UpstreamPool

/// What holds for every algorithm: weights, backups, limits and the slow start.
@Suite struct BalancingRulesTests {
  static let algorithms: [BalancingAlgorithm] = [
    .leastConnections, .roundRobin, .randomTwo, .hash(.clientAddress),
  ]

  private final class Bench {
    let pool: Pool
    private var selector: PoolSelector
    private var keys = SplitMix(seed: 11)

    init(
      _ algorithm: BalancingAlgorithm, slowStart: Int64 = 0,
      _ change: (Int, inout UpstreamSettings) -> Void = { _, _ in }
    ) throws {
      let upstreams = (0..<3).map { index in
        var settings = UpstreamSettings(name: "u\(index)", endpoint: .unix(path: "/nowhere/\(index)"))
        change(index, &settings)
        return settings
      }
      var settings = PoolSettings(name: "p", upstreams: upstreams)
      settings.balance = algorithm
      settings.slowStart = slowStart
      pool = Pool(
        settings,
        upstreams: try upstreams.enumerated().map { index, upstream in
          Upstream(
            upstream, health: settings.health, index: index,
            address: try SocketAddress.resolve(upstream.endpoint), loops: 4, now: 0
          ) { _, _ in }
        })
      selector = PoolSelector(pool, loop: 0, seed: 5)
    }

    func choose(excluding tried: UpstreamSet = UpstreamSet(), now: Int64 = 0) -> Int? {
      selector.choose(.eligible, key: keys.next(), excluding: tried, now: now)?.index
    }

    /// How often each is chosen when no request lasts.
    func counts(_ requests: Int, now: Int64 = 0) -> [Int] {
      var counts = [0, 0, 0]
      for _ in 0..<requests {
        guard let place = choose(now: now) else { break }
        counts[place] += 1
      }
      return counts
    }
  }

  @Test(arguments: algorithms) func weightsAreShares(_ algorithm: BalancingAlgorithm) throws {
    let bench = try Bench(algorithm) { $1.weight = [1, 2, 5][$0] }
    let counts = bench.counts(8000)
    for (count, weight) in zip(counts, [1, 2, 5]) { #expect(abs(count - weight * 1000) < 200, "\(counts)") }
  }

  @Test(arguments: algorithms) func aChangedWeightIsFollowed(_ algorithm: BalancingAlgorithm) throws {
    let bench = try Bench(algorithm) { $1.weight = [1000, 1, 1][$0] }
    _ = bench.counts(1000)
    bench.pool.upstreams[0].weight = 1
    let counts = bench.counts(3000)
    #expect(counts.allSatisfy { abs($0 - 1000) < 200 }, "\(counts)")
  }

  @Test(arguments: algorithms) func aBackupStandsBy(_ algorithm: BalancingAlgorithm) throws {
    let bench = try Bench(algorithm) { $1.backup = $0 == 1 }
    var counts = bench.counts(100)
    #expect(counts[1] == 0 && counts[0] > 0 && counts[2] > 0)
    for index in [0, 2] { bench.pool.upstreams[index].setAdministrative(.draining) }
    counts = bench.counts(100)
    #expect(counts == [0, 100, 0])
  }

  @Test(arguments: algorithms) func limitsHold(_ algorithm: BalancingAlgorithm) throws {
    let bench = try Bench(algorithm) { $1.maximumConnections = $0 == 2 ? 3 : 2 }
    var leases: [Box] = []
    for _ in 0..<7 {
      let place = try #require(bench.choose())
      let box = Box(room: bench.pool.upstreams[place])
      leases.append(try #require(box))
    }
    #expect(bench.pool.upstreams.map(\.inFlight) == [2, 2, 3])
    #expect(bench.choose() == nil)
    for upstream in bench.pool.upstreams {
      #expect(Box(room: upstream) == nil)
    }
    let freed = leases.removeFirst().index
    #expect(bench.choose() == freed)
  }

  /// Guards against a look and a counting that another loop can come between.
  @Test func limitsHoldOverLoops() throws {
    let upstream = try Bench(.leastConnections) { $1.maximumConnections = 1 }.pool.upstreams[0]
    let held = Atomic<Int>(0)
    let most = Atomic<Int>(0)
    DispatchQueue.concurrentPerform(iterations: 4) { loop in
      let local = LocalUpstream(upstream, loop: loop)
      for _ in 0..<500_000 {
        guard let lease = local.leaseIfRoom(.ordinary) else { continue }
        most.max(held.add(1, ordering: .relaxed).newValue, ordering: .relaxed)
        held.subtract(1, ordering: .relaxed)
        _ = consume lease
      }
    }
    #expect(most.load(ordering: .relaxed) == 1)
    #expect(upstream.inFlight == 0)
  }

  @Test(arguments: algorithms) func whatWasTriedIsLeftOut(_ algorithm: BalancingAlgorithm) throws {
    let bench = try Bench(algorithm)
    var tried = UpstreamSet()
    var seen: Set<Int> = []
    for _ in 0..<3 {
      let place = try #require(bench.choose(excluding: tried))
      tried.insert(place)
      seen.insert(place)
    }
    #expect(seen.count == 3)
    #expect(bench.choose(excluding: tried) == nil)
  }

  @Test(arguments: algorithms) func sharesGrowAfterComingBack(_ algorithm: BalancingAlgorithm) throws {
    let bench = try Bench(algorithm, slowStart: 10_000)
    bench.pool.upstreams[0].noteFailure(.unreachable, now: 0)
    #expect(bench.counts(300, now: 100)[0] == 0)
    bench.pool.upstreams[0].noteSuccess(now: 1000)
    let shares = [1000, 3500, 6000, 8500, 11_000].map { bench.counts(2000, now: $0)[0] }
    #expect(shares[0] > 0)
    #expect(zip(shares, shares.dropFirst()).allSatisfy { $0 < $1 }, "\(shares)")
    #expect((600...734).contains(shares[4]), "\(shares)")
  }

  /// nginx and HAProxy do otherwise; a request without the cookie has nothing that it should stick to.
  @Test func aRequestWithoutKeyGoesByLoad() throws {
    let bench = try Bench(.hash(.cookie("galaxysession")))
    var selector = PoolSelector(bench.pool, loop: 0)
    let chosen = (0..<6).map { _ in
      selector.choose(.eligible, excluding: UpstreamSet(), now: 0)?.index
    }
    #expect(chosen == [0, 1, 2, 0, 1, 2])
  }

  /// A lease in an array.
  private final class Box {
    let lease: UpstreamLease

    /// Nil when the upstream has no room.
    init?(room upstream: Upstream) {
      guard let lease = LocalUpstream(upstream, loop: 0).leaseIfRoom(.ordinary) else { return nil }
      self.lease = lease
    }

    var index: Int { lease.upstream.index }
  }
}
