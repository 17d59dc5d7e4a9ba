/// One loop's view of a pool: where its turn-taking stands, and what it may still send again.
public struct PoolSelector {
  public let pool: Pool
  private let upstreams: [LocalUpstream]
  private var standings: Standings
  private let algorithm: Algorithm
  private var leastConnections = LeastConnections()
  private var roundRobin = RoundRobin()
  private var randomTwo = RandomTwo()
  private var consistentHash: ConsistentHash
  /// Turns of those that have a part of their share beside all others.
  private var partTurns = RoundRobin()
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

  /// - Parameters:
  ///   - loop: the number of the loop.
  ///   - seed: of what is random in its choices; by default one of the system's.
  public init(_ pool: Pool, loop: Int, seed: UInt64 = .random(in: 0 ... .max)) {
    self.pool = pool
    standings = Standings(loop: loop)
    upstreams = pool.upstreams.map { LocalUpstream($0, loop: loop) }
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
  ) -> LocalUpstream? {
    if let trial = chooseTrial(excluding: tried, now: now) { return trial }
    for rank in Pool.Rank.allCases where rank != .lastResort || scope == .anything {
      if let upstream = choose(rank, key: key, excluding: tried, now: now) { return upstream }
    }
    return nil
  }

  /// An upstream that was down, and that this request is to try: one after each pause. A backup is not tried while
  /// others serve.
  public mutating func chooseTrial(excluding tried: UpstreamSet, now: Int64) -> LocalUpstream? {
    standings.update(from: pool, now: now)
    guard standings.hasLastResort else { return nil }
    let place = pool.upstreams.firstIndex {
      $0.rank == .lastResort && $0.hasRoom && !tried.contains($0.index)
        && !($0.settings.backup && pool.upstreams.contains { $0.rank == .eligible })
        && $0.takeTrial(now: now)
    }
    return place.map { upstreams[$0] }
  }

  private mutating func choose(
    _ rank: Pool.Rank, key: UInt64?, excluding tried: UpstreamSet, now: Int64
  ) -> LocalUpstream? {
    // Not those of self, which is being changed while `load` is asked.
    let standings = standings.all
    let slowStart = pool.settings.slowStart
    func load(_ place: Int) -> (leases: Int, weight: Int)? {
      let standing = standings[place]
      guard standing.rank == rank, !tried.contains(place), standing.hasRoom else { return nil }
      let leases = standing.inFlight
      guard slowStart > 0 else { return (leases, standing.weight) }
      let weight = standing.upstream._withUnsafeGuaranteedRef {
        $0.balancingWeight(slowStart: slowStart, now: now)
      }
      return (leases, weight)
    }
    let place =
      if choosesByLoad(key), self.standings.hasPartOfShare {
        chooseBesideParts(load)
      } else {
        choose(key: key, load)
      }
    return place.map { upstreams[$0] }
  }

  /// Leases and weight of the upstream at a place; nil when it may not be chosen.
  private typealias Load = (Int) -> (leases: Int, weight: Int)?

  private mutating func choose(key: UInt64?, _ load: Load) -> Int? {
    let count = standings.all.count
    return switch (algorithm, key) {
    case (.hash, let key?): consistentHash.choose(key: key, load: load)
    case (.leastConnections, _), (.hash, nil): leastConnections.choose(count: count, load: load)
    case (.roundRobin, _): roundRobin.choose(count: count, load: load)
    case (.randomTwo, _): randomTwo.choose(count: count, random: &random, load: load)
    }
  }

  // MARK: Parts of shares

  /// Whether it is the number of leases that decides, not turns or keys.
  private func choosesByLoad(_ key: UInt64?) -> Bool {
    switch algorithm {
    case .leastConnections, .randomTwo: true
    case .roundRobin: false
    case .hash: key == nil
    }
  }

  /// Chooses while some are to have only a part of their share.
  ///
  /// The fewest leases for the weight would not bring that about: as long as the pool has little to do, one that is idle
  /// has the fewest, however small its weight, and gets several times its part; counting the lease to come would leave
  /// it none. So those with a part are chosen by turns, in proportion to the weights, and the algorithm decides among the
  /// others only.
  private mutating func chooseBesideParts(_ load: Load) -> Int? {
    let upstreams = pool.upstreams
    func loadOfWhole(_ place: Int) -> (leases: Int, weight: Int)? {
      upstreams[place].hasPartOfShare ? nil : load(place)
    }
    guard let turn = partTurns.choose(count: upstreams.count, load: load) else { return nil }
    if upstreams[turn].hasPartOfShare, !hasTooMuch(turn, load, besides: loadOfWhole) { return turn }
    // Nil when one has become whole, or can't be chosen any more, between the two looks.
    return choose(key: nil, loadOfWhole) ?? turn
  }

  /// Whether one whose turn it is has more work for its whole weight than another would have with this request: it may
  /// not work, and then its turns must not gather requests there.
  private func hasTooMuch(_ turn: Int, _ load: Load, besides loadOfOther: Load) -> Bool {
    guard let (leases, weight) = load(turn) else { return true }
    let wholeWeight = weight * Upstream.wholeShare / pool.upstreams[turn].share
    return pool.upstreams.indices.contains { place in
      loadOfOther(place).map { leases * $0.weight > ($0.leases + 1) * wholeWeight } ?? false
    }
  }
}
