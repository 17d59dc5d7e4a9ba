import Synchronization

/// One loop's side of an upstream. Naming an object counts references to it, and a count that several loops change is in
/// none of their processors' caches when it is needed: so what requests name is an object of their own loop's, which keeps
/// the one that all loops share.
public final class LocalUpstream {
  public let upstream: Upstream
  /// What this loop counts about it.
  public let statistics: UpstreamStatistics
  private let loop: Int
  private let leases: LeaseCounts
  /// `maximumConnections`: where it is set, leases are counted in one place, too.
  private let limit: Int?

  /// - Parameter loop: the number of the loop.
  public init(_ upstream: Upstream, loop: Int) {
    self.upstream = upstream
    self.loop = loop
    statistics = upstream.statistics[loop]
    leases = upstream.ledger.leases
    limit = upstream.settings.maximumConnections
  }

  /// Its place in its pool.
  public var index: Int { upstream.index }

  /// As `lease`, but nil when it has as much work as it may have: another loop may have taken the last room since it
  /// was looked for.
  public func leaseIfRoom(_ traffic: TrafficClass) -> UpstreamLease? {
    guard let limit else { return UpstreamLease(self, traffic) }
    var taken = upstream.ledger.placesTaken.load(ordering: .relaxed)
    while taken < limit {
      let (isMine, seen) = upstream.ledger.placesTaken.weakCompareExchange(
        expected: taken, desired: taken + 1, ordering: .relaxed)
      if isMine { return UpstreamLease(self, traffic) }
      taken = seen
    }
    return nil
  }

  /// Counts one piece of work from now until the lease goes.
  public func lease(_ traffic: TrafficClass) -> UpstreamLease {
    if limit != nil { upstream.ledger.placesTaken.wrappingAdd(1, ordering: .relaxed) }
    return UpstreamLease(self, traffic)
  }

  /// A lease begins, whose place is taken.
  fileprivate func begin(_ traffic: TrafficClass) {
    leases.begin(loop: loop)
    statistics.begin(traffic)
  }

  fileprivate func end(_ traffic: TrafficClass) {
    statistics.end(traffic)
    leases.end(loop: loop)
    if limit != nil { upstream.ledger.placesTaken.wrappingSubtract(1, ordering: .sequentiallyConsistent) }
  }
}

/// One piece of work that an upstream has. It can't be copied, and counts for as long as it lives: an upstream is
/// drained when no lease of it is alive, and every loop has begun a turn since it takes no new work: only then none
/// can be on its way.
public struct UpstreamLease: ~Copyable {
  private let local: LocalUpstream
  public private(set) var traffic: TrafficClass

  /// Of work whose place is taken, where places are limited.
  fileprivate init(_ local: LocalUpstream, _ traffic: TrafficClass) {
    self.local = local
    self.traffic = traffic
    local.begin(traffic)
  }

  public var upstream: Upstream { local.upstream }

  /// The work turned out to be of another class: a response can begin a stream or a tunnel.
  public mutating func reclassify(_ traffic: TrafficClass) {
    guard traffic != self.traffic else { return }
    local.statistics.end(self.traffic)
    local.statistics.begin(traffic)
    self.traffic = traffic
  }

  deinit {
    local.end(traffic)
  }
}
