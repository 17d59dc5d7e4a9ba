/// One loop's view of a pool: where its turn-taking stands, and what it may still send again.
public struct PoolSelector {
  public let pool: Pool
  private var balancer = LeastConnections()
  private var budget = RetryBudget()

  public init(_ pool: Pool) {
    self.pool = pool
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
  /// - Parameter now: milliseconds of the monotonic clock.
  public mutating func choose(_ scope: Scope, excluding tried: UpstreamSet, now: Int64) -> Upstream? {
    if let trial = chooseTrial(excluding: tried, now: now) { return trial }
    for rank in Pool.Rank.allCases where rank != .lastResort || scope == .anything {
      if let upstream = chooseByLoad(rank, excluding: tried, now: now) { return upstream }
    }
    return nil
  }

  /// An upstream that was down, and that this request is to try: one after each pause. A backup is not tried while
  /// others serve.
  public func chooseTrial(excluding tried: UpstreamSet, now: Int64) -> Upstream? {
    pool.upstreams.first {
      $0.state.isLastResort && !tried.contains($0.index)
        && !($0.settings.backup && pool.upstreams.contains { pool.isOf(.eligible, $0) })
        && $0.takeTrial(now: now)
    }
  }

  private mutating func chooseByLoad(_ rank: Pool.Rank, excluding tried: UpstreamSet, now: Int64) -> Upstream?
  {
    let upstreams = pool.upstreams
    let slowStart = pool.settings.slowStart
    let place = balancer.choose(count: upstreams.count) { place in
      let upstream = upstreams[place]
      guard pool.isOf(rank, upstream), !tried.contains(place) else { return nil }
      let inFlight = upstream.inFlight
      if let limit = upstream.settings.maximumConnections, inFlight >= limit { return nil }
      return (inFlight, upstream.balancingWeight(slowStart: slowStart, now: now))
    }
    return place.map { upstreams[$0] }
  }
}
