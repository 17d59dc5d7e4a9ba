import SystemCalls

/// Upstreams that serve the same Galaxy, shared by all loops.
public final class Pool: Sendable {
  public let settings: PoolSettings
  public let upstreams: [Upstream]
  private let hasBackups: Bool

  /// - Precondition: at least one and at most `UpstreamSet.capacity` upstreams, each with its address.
  public init(_ settings: PoolSettings, upstreams: [Upstream]) {
    precondition(!upstreams.isEmpty && upstreams.count <= UpstreamSet.capacity)
    self.settings = settings
    self.upstreams = upstreams
    hasBackups = upstreams.contains { $0.settings.backup }
  }

  public var name: String { settings.name }

  /// Who may be chosen, from the best to the last resort.
  fileprivate enum Rank: CaseIterable {
    case eligible
    case eligibleBackup
    case lastResort
  }

  fileprivate func isOf(_ rank: Rank, _ upstream: Upstream) -> Bool {
    switch rank {
    case .eligible: upstream.state.isEligible && !upstream.settings.backup
    case .eligibleBackup: hasBackups && upstream.state.isEligible && upstream.settings.backup
    case .lastResort: upstream.state.isLastResort
    }
  }
}

/// One loop's view of a pool: where its turn-taking stands.
public struct PoolSelector {
  public let pool: Pool
  private var balancer = LeastConnections()

  public init(_ pool: Pool) {
    self.pool = pool
  }

  /// Chooses an upstream that is not in `tried`. Nil when none may get new work.
  ///
  /// - Parameter now: milliseconds of the monotonic clock, for the trials of those that are down.
  public mutating func choose(excluding tried: UpstreamSet, now: Int64) -> Upstream? {
    let upstreams = pool.upstreams
    // An upstream that was down gets one request after each pause, to find out.
    for upstream in upstreams where upstream.state.isLastResort && !tried.contains(upstream.index) {
      if upstream.takeTrial(now: now) { return upstream }
    }
    for rank in Pool.Rank.allCases {
      let place = balancer.choose(count: upstreams.count) { place in
        let upstream = upstreams[place]
        guard pool.isOf(rank, upstream), !tried.contains(place) else { return nil }
        return (upstream.inFlight, upstream.settings.weight)
      }
      if let place { return upstreams[place] }
    }
    return nil
  }
}
