/// How one request comes to an upstream: which it tries, when it waits, when it gives up. A value; connecting and
/// waiting are done by whoever asks it, who tells it what came of them.
///
/// Invariants: it never names an upstream that takes no new work, nor one twice within an attempt; it never says
/// `waitInLine` and `use` for the same moment; it always ends.
public struct Placement: Sendable {
  /// What to do next.
  public enum Step {
    /// Send it there, or say why that can't be done, and ask again.
    case use(LocalUpstream)
    /// Join the pool's line, for at most so many milliseconds; then `turnHasCome`, or ask again when they are over.
    case waitInLine(atMost: Int64)
    /// Ask again after so many milliseconds, with `pauseIsOver`.
    case pause(Int64)
    case giveUp(GiveUp)
  }

  /// Why there is no upstream for it.
  public enum GiveUp: Equatable, Sendable {
    /// None takes new work, and none is expected back.
    case nothingEligible
    /// The last one that was tried failed so.
    case failed(UpstreamFailure)
    /// It has waited as long as requests wait.
    case waitedTooLong
  }

  private var tried = UpstreamSet()
  private var isNew = true
  private var sawBusy = false
  private var busySince: Int64?
  private var lastFailure: UpstreamFailure?
  /// Milliseconds of the clock; nil when it never waited in line.
  public private(set) var waitingSince: Int64?

  /// Milliseconds between two attempts at upstreams whose backlogs are all full (EAGAIN, connect(2)). That passes
  /// quickly.
  static let busyPause: Int64 = 10

  public init() {}

  /// What to do now.
  ///
  /// - Parameters:
  ///   - key: as for `PoolSelector.choose`.
  ///   - now: milliseconds of the monotonic clock.
  ///   - connectTimeout: how long it may take until a connection stands, in milliseconds.
  public mutating func next(
    _ selector: inout PoolSelector, key: UInt64? = nil, now: Int64, connectTimeout: Int64
  ) -> Step {
    if isNew {
      isNew = false
      selector.noteRequest()
      // Those that wait were here first.
      let pool = selector.pool
      if pool.line.isOccupied, !pool.letsPass() { return waitInLine(pool, now, connectTimeout) }
    }
    if let upstream = selector.choose(.eligible, key: key, excluding: tried, now: now) {
      return .use(upstream)
    }
    if sawBusy { return pause(now, connectTimeout) }
    if mayWait(selector.pool, now) { return waitInLine(selector.pool, now, connectTimeout) }
    if let upstream = selector.choose(.anything, key: key, excluding: tried, now: now) {
      return .use(upstream)
    }
    if sawBusy { return pause(now, connectTimeout) }
    return .giveUp(lastFailure.map { .failed($0) } ?? .nothingEligible)
  }

  private mutating func pause(_ now: Int64, _ connectTimeout: Int64) -> Step {
    let since = busySince ?? now
    busySince = since
    return now - since < connectTimeout ? .pause(Self.busyPause) : .giveUp(.failed(.busy))
  }

  /// Whether there will be an upstream: one that is full now, or one that is expected back.
  private func mayWait(_ pool: Pool, _ now: Int64) -> Bool {
    if pool.upstreams.contains(where: { $0.state.isEligible && !tried.contains($0.index) }) { return true }
    if pool.hasEligible { return false }
    return pool.settings.hold.time > 0 && pool.isExpectedBack(now: now)
  }

  private mutating func waitInLine(_ pool: Pool, _ now: Int64, _ connectTimeout: Int64) -> Step {
    let since = waitingSince ?? now
    waitingSince = since
    // A request that only waits for its turn at full upstreams has at least the time that a connection may take.
    let left = max(pool.settings.hold.time, connectTimeout) - (now - since)
    return left > 0 ? .waitInLine(atMost: left) : .giveUp(.waitedTooLong)
  }

  // MARK: What came of it

  /// The upstream's backlog is full.
  public mutating func wasBusy(_ upstream: Upstream) {
    sawBusy = true
    tried.insert(upstream.index)
  }

  /// It could not be sent there, or it was and failed and may be sent again.
  public mutating func failed(_ upstream: Upstream, _ failure: UpstreamFailure) {
    lastFailure = failure
    tried.insert(upstream.index)
  }

  /// A kept connection had ended: that says nothing about the upstream, which may be used again.
  public mutating func foundStaleConnection(_ failure: UpstreamFailure) {
    lastFailure = failure
  }

  /// The pause after full backlogs is over.
  public mutating func pauseIsOver() { startOver() }

  /// Its turn in the line has come.
  public mutating func turnHasCome() { startOver() }

  private mutating func startOver() {
    sawBusy = false
    tried = UpstreamSet()
  }
}
