import Synchronization

/// What decides whether and how often an upstream is chosen, as long as nobody changes it.
struct Standing {
  /// The pool keeps it: looking at each for every request would count references.
  let upstream: Unmanaged<Upstream>
  private let leases: Unmanaged<LeaseCounts>
  /// Of the loop whose copy this is, in `leases`.
  private let ownLeases: UnsafePointer<LeaseCounts.Line>
  /// Nil when it takes no new work.
  let rank: Pool.Rank?
  /// Without `slow_start`, whose weights change with time.
  let weight: Int
  /// How many leases it may have is said.
  let isLimited: Bool
  /// The leases of the other loops, as they were seen last.
  private var leasesOfOthers = 0

  init(_ upstream: Upstream, loop: Int) {
    self.upstream = .passUnretained(upstream)
    leases = .passUnretained(upstream.ledger.leases)
    ownLeases = upstream.ledger.leases.line(of: loop)
    rank = upstream.rank
    weight = upstream.balancingWeight(slowStart: 0, now: 0)
    isLimited = upstream.settings.maximumConnections != nil
  }

  /// Leases alive, as far as is known without looking at the other loops'.
  var inFlight: Int { ownLeases.pointee.current + leasesOfOthers }

  mutating func lookAtOtherLoops() {
    leasesOfOthers = leases._withUnsafeGuaranteedRef { $0.all } - ownLeases.pointee.current
  }

  /// Looked at for each upstream and request.
  @inline(__always)
  var hasRoom: Bool { !isLimited || upstream._withUnsafeGuaranteedRef { $0.hasRoom } }

  /// Counts what is changed in any upstream of the process. Such changes are rare: a loop that finds the same number as
  /// before knows that all it has seen is true still, and looks at one number in place of many.
  private static let changes = Atomic<Int>(0)

  /// To be called after a change of states, weight or share.
  static func noteChange() { changes.wrappingAdd(1, ordering: .releasing) }

  static var changeCount: Int { changes.load(ordering: .acquiring) }
}

/// One loop's copy of the standings of a pool.
struct Standings {
  private let loop: Int
  private(set) var all: ContiguousArray<Standing> = []
  /// Some are down and may be tried.
  private(set) var hasLastResort = false
  /// Some get a part of their share only.
  private(set) var hasPartOfShare = false
  private var seenChanges = -1
  /// When the leases of the other loops were looked at, in milliseconds of the monotonic clock.
  private var lookedAtOthers: Int64 = .min

  /// - Parameter loop: the number of the loop.
  init(loop: Int) { self.loop = loop }

  /// Takes over what has changed.
  ///
  /// What other loops have is looked at once a millisecond: to look for every request would take from them, each time, a
  /// piece of memory that they are about to change, and the more upstreams and loops the longer.
  ///
  /// - Parameter now: milliseconds of the monotonic clock.
  mutating func update(from pool: Pool, now: Int64) {
    takeOverChanges(of: pool)
    guard now != lookedAtOthers else { return }
    lookedAtOthers = now
    for place in all.indices { all[place].lookAtOtherLoops() }
  }

  private mutating func takeOverChanges(of pool: Pool) {
    // Counted before it is looked at: what changes meanwhile is looked at again.
    let count = Standing.changeCount
    guard count != seenChanges else { return }
    seenChanges = count
    lookedAtOthers = .min
    all.removeAll(keepingCapacity: true)
    all.append(contentsOf: pool.upstreams.lazy.map { [loop] in Standing($0, loop: loop) })
    hasLastResort = all.contains { $0.rank == .lastResort }
    hasPartOfShare = pool.upstreams.contains { $0.hasPartOfShare }
  }
}
