import SystemCalls

/// Upstreams that serve the same Galaxy, shared by all loops.
public final class Pool: Sendable {
  public let settings: PoolSettings
  public let upstreams: [Upstream]
  /// Requests that wait for one of them.
  public let line: WaitingLine
  private let hasBackups: Bool

  /// So many requests at a time go to an upstream while others still wait: it has just come back, and all at once
  /// would flood its first worker. From then on each answer lets the next one go.
  private static let admissionWindow = 32

  /// - Precondition: at least one and at most `UpstreamSet.capacity` upstreams, each with its address.
  public init(_ settings: PoolSettings, upstreams: [Upstream]) {
    precondition(!upstreams.isEmpty && upstreams.count <= UpstreamSet.capacity)
    self.settings = settings
    self.upstreams = upstreams
    line = WaitingLine(settings.hold)
    hasBackups = upstreams.contains { $0.settings.backup }
  }

  public var name: String { settings.name }

  /// Who may be chosen, from the best to the last resort.
  enum Rank: CaseIterable {
    case eligible
    case eligibleBackup
    case lastResort
  }

  func isOf(_ rank: Rank, _ upstream: Upstream) -> Bool {
    switch rank {
    case .eligible: upstream.state.isEligible && !upstream.settings.backup
    case .eligibleBackup: hasBackups && upstream.state.isEligible && upstream.settings.backup
    case .lastResort: upstream.state.isLastResort
    }
  }

  /// True when some upstream takes new work, now or as soon as it has less to do.
  public var hasEligible: Bool { upstreams.contains { $0.state.isEligible } }

  /// For how many milliseconds the request that waits longest has waited now; nil when nobody waits.
  ///
  /// - Parameter now: milliseconds of the monotonic clock.
  public func oldestWait(now: Int64) -> Int64? { line.oldestWait(now: now) }

  /// What users are told while nothing is eligible: the reason of a maintenance.
  public var notice: String? {
    upstreams.lazy.filter { $0.state.administrative == .maintenance }.compactMap(\.administrativeReason).first
  }

  /// True when nothing is eligible but something is expected back: it is being drained for a restart, it starts, or
  /// it has not been down for longer than requests are held.
  public func isExpectedBack(now: Int64) -> Bool {
    upstreams.contains { upstream in
      let state = upstream.state
      switch (state.administrative, state.operational) {
      case (.maintenance, _): return false
      case (.draining, _): return true
      case (.ready, .up): return true
      case (.ready, _): return (upstream.timeDown(now: now) ?? 0) < settings.hold.time
      }
    }
  }

  /// Calls those that wait, as many as there is room for. To be called when an upstream has become eligible, or has
  /// less to do.
  public func admitWaiting() {
    guard line.isOccupied else { return }
    line.admit {
      upstreams.reduce(0) { sum, upstream in
        guard upstream.state.isEligible else { return sum }
        let limit = min(upstream.settings.maximumConnections ?? .max, Self.admissionWindow)
        return sum + max(0, limit - upstream.inFlight)
      }
    }
  }
}
