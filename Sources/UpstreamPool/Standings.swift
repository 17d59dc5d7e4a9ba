import Synchronization

/// What decides whether and how often an upstream is chosen, as long as nobody changes it.
struct Standing {
  /// The pool keeps it: looking at each for every request would count references.
  let upstream: Unmanaged<Upstream>
  let ledger: Unmanaged<UpstreamLedger>
  /// Nil when it takes no new work.
  let rank: Pool.Rank?
  /// Without `slow_start`, whose weights change with time.
  let weight: Int
  /// The most leases that it may have.
  let limit: Int

  init(_ upstream: Upstream) {
    self.upstream = .passUnretained(upstream)
    ledger = .passUnretained(upstream.ledger)
    rank = upstream.rank
    weight = upstream.balancingWeight(slowStart: 0, now: 0)
    limit = upstream.settings.maximumConnections ?? .max
  }

  var inFlight: Int { ledger._withUnsafeGuaranteedRef { $0.leases.load(ordering: .relaxed) } }

  /// Counts what is changed in any upstream of the process. Such changes are rare: a loop that finds the same number as
  /// before knows that all it has seen is true still, and looks at one number in place of many.
  private static let changes = Atomic<Int>(0)

  /// To be called after a change of states, weight or share.
  static func noteChange() { changes.wrappingAdd(1, ordering: .releasing) }

  static var changeCount: Int { changes.load(ordering: .acquiring) }
}

/// One loop's copy of the standings of a pool.
struct Standings {
  private(set) var all: ContiguousArray<Standing> = []
  /// Some are down and may be tried.
  private(set) var hasLastResort = false
  /// Some get a part of their share only.
  private(set) var hasPartOfShare = false
  private var seenChanges = -1

  /// Takes over what has changed.
  mutating func update(from pool: Pool) {
    // Counted before it is looked at: what changes meanwhile is looked at again.
    let count = Standing.changeCount
    guard count != seenChanges else { return }
    seenChanges = count
    all.removeAll(keepingCapacity: true)
    all.append(contentsOf: pool.upstreams.lazy.map(Standing.init))
    hasLastResort = all.contains { $0.rank == .lastResort }
    hasPartOfShare = pool.upstreams.contains { $0.hasPartOfShare }
  }
}
