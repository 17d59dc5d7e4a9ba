/// One loop's view of a pool: where its turn-taking stands, and what it may still send again.
public struct PoolSelector {
  public let pool: Pool
  private let algorithm: Algorithm
  private var leastConnections = LeastConnections()
  private var roundRobin = RoundRobin()
  private var randomTwo = RandomTwo()
  private var consistentHash: ConsistentHash
  private var random: SplitMix
  private var budget = RetryBudget()

  /// `BalancingAlgorithm` without what it carries, so that looking at it for every request costs no reference count.
  private enum Algorithm {
    case leastConnections
    case roundRobin
    case randomTwo
    case hash

    init(_ algorithm: BalancingAlgorithm) {
      switch algorithm {
      case .leastConnections: self = .leastConnections
      case .roundRobin: self = .roundRobin
      case .randomTwo: self = .randomTwo
      case .hash: self = .hash
      }
    }
  }

  /// - Parameter seed: of what is random in its choices; by default one of the system's.
  public init(_ pool: Pool, seed: UInt64 = .random(in: 0 ... .max)) {
    self.pool = pool
    algorithm = Algorithm(pool.settings.balance)
    consistentHash = ConsistentHash(
      names: algorithm == .hash ? pool.upstreams.map(\.settings.name) : [])
    random = SplitMix(seed: seed)
  }

  /// A request is about to be sent for the first time.
  public mutating func noteRequest() { budget.noteRequest() }

  /// False when too many requests of this pool were sent again lately.
  public mutating func takeRetry() -> Bool { budget.takeRetry() }

  /// What may be chosen.
  public enum Scope: Sendable {
    /// Only what is eligible and not full.
    case eligible
    /// Also, when there is nothing else, what is down.
    case anything
  }

  /// Chooses an upstream that is not in `tried`. Nil when there is none within `scope`.
  ///
  /// - Parameters:
  ///   - key: a `KeyHash` of what a pool with `BalancingAlgorithm.hash` tells requests apart by; nil when the request
  ///     has none, and for other pools, which don't look at it. Without, the fewest connections decide.
  ///   - now: milliseconds of the monotonic clock.
  public mutating func choose(
    _ scope: Scope, key: UInt64? = nil, excluding tried: UpstreamSet, now: Int64
  ) -> Upstream? {
    if let trial = chooseTrial(excluding: tried, now: now) { return trial }
    for rank in Pool.Rank.allCases where rank != .lastResort || scope == .anything {
      if let upstream = choose(rank, key: key, excluding: tried, now: now) { return upstream }
    }
    return nil
  }

  /// An upstream that was down, and that this request is to try: one after each pause. A backup is not tried while
  /// others serve.
  public func chooseTrial(excluding tried: UpstreamSet, now: Int64) -> Upstream? {
    pool.upstreams.first {
      $0.state.isLastResort && $0.hasRoom && !tried.contains($0.index)
        && !($0.settings.backup && pool.upstreams.contains { pool.isOf(.eligible, $0) })
        && $0.takeTrial(now: now)
    }
  }

  private mutating func choose(
    _ rank: Pool.Rank, key: UInt64?, excluding tried: UpstreamSet, now: Int64
  ) -> Upstream? {
    let upstreams = pool.upstreams
    let slowStart = pool.settings.slowStart
    func load(_ place: Int) -> (leases: Int, weight: Int)? {
      let upstream = upstreams[place]
      guard pool.isOf(rank, upstream), !tried.contains(place), upstream.hasRoom else { return nil }
      return (upstream.inFlight, upstream.balancingWeight(slowStart: slowStart, now: now))
    }
    let count = upstreams.count
    let place =
      switch (algorithm, key) {
      case (.hash, let key?): consistentHash.choose(key: key, load: load)
      case (.leastConnections, _), (.hash, nil): leastConnections.choose(count: count, load: load)
      case (.roundRobin, _): roundRobin.choose(count: count, load: load)
      case (.randomTwo, _): randomTwo.choose(count: count, random: &random, load: load)
      }
    return place.map { upstreams[$0] }
  }
}
