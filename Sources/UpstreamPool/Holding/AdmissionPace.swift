/// At least so many of those that wait go in a time, whatever the upstreams still have to do: a value without a clock.
///
/// Answers let the next ones go, which is as fast as upstreams work. But work that takes long, be there little or
/// much of it, says nothing about what an upstream can take besides; who waits behind it must not wait for its end.
///
/// Invariant: over any time, what `due` lets go is no more than `leastPerSecond` for each upstream, and what was saved
/// up in one second.
struct AdmissionPace: Sendable {
  /// So many go to each upstream in a second, if its answers don't let more go.
  static let leastPerSecond = 32

  /// In thousandths of a request.
  private var credit: Int64 = 0
  private var lookedAt: Int64?

  /// One has gone, for whatever reason.
  mutating func noteAdmission() { credit = max(0, credit - 1_000) }

  /// How many may go now because too few did lately.
  ///
  /// - Parameters:
  ///   - upstreams: those that take new work.
  ///   - now: milliseconds of the monotonic clock.
  mutating func due(upstreams: Int, now: Int64) -> Int {
    let elapsed = lookedAt.map { now - $0 }
    lookedAt = now
    // Nobody has looked for a while because nobody waited, or there was nowhere to go.
    guard upstreams > 0, let elapsed, elapsed <= 1_000 else {
      credit = 0
      return 0
    }
    let perMillisecond = Int64(upstreams * Self.leastPerSecond)
    credit = min(credit + elapsed * perMillisecond, 1_000 * perMillisecond)
    return Int(credit / 1_000)
  }
}
