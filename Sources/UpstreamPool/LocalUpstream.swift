import Synchronization

/// One loop's side of an upstream. Naming an object counts references to it, and a count that several loops change is in
/// none of their processors' caches when it is needed: so what requests name is an object of their own loop's, which keeps
/// the one that all loops share.
public final class LocalUpstream {
  public let upstream: Upstream
  /// What this loop counts about it.
  public let statistics: UpstreamStatistics

  /// - Parameter loop: the number of the loop.
  public init(_ upstream: Upstream, loop: Int) {
    self.upstream = upstream
    statistics = upstream.statistics[loop]
  }

  /// Its place in its pool.
  public var index: Int { upstream.index }

  /// As `lease`, but nil when it has as much work as it may have: another loop may have taken the last room since it
  /// was looked for.
  public func leaseIfRoom(_ traffic: TrafficClass) -> UpstreamLease? {
    guard let limit = upstream.settings.maximumConnections else { return lease(traffic) }
    var held = upstream.inFlight
    while held < limit {
      let (taken, seen) = upstream.ledger.leases.weakCompareExchange(
        expected: held, desired: held + 1, ordering: .relaxed)
      if taken { return UpstreamLease(self, traffic) }
      held = seen
    }
    return nil
  }

  /// Counts one piece of work from now until the lease goes.
  public func lease(_ traffic: TrafficClass) -> UpstreamLease {
    upstream.ledger.leases.wrappingAdd(1, ordering: .relaxed)
    return UpstreamLease(self, traffic)
  }
}

/// One piece of work that an upstream has. It can't be copied, and counts for as long as it lives: an upstream is
/// drained when no lease of it is alive, and every loop has begun a turn since it takes no new work: only then none
/// can be on its way.
public struct UpstreamLease: ~Copyable {
  private let local: LocalUpstream
  public private(set) var traffic: TrafficClass

  /// Of work that is counted over all loops already.
  fileprivate init(_ local: LocalUpstream, _ traffic: TrafficClass) {
    self.local = local
    self.traffic = traffic
    local.statistics.begin(traffic)
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
    local.statistics.end(traffic)
    local.upstream.ledger.leases.wrappingSubtract(1, ordering: .releasing)
  }
}
