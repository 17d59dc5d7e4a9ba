/// What traffic teaches about one upstream: thresholds over successes and failures, without a clock of its own.
struct PassiveHealth: Sendable {
  /// So many inconclusive failures in a row take an upstream down.
  static let fall = 2
  /// Milliseconds until a first new trial, doubled with every trial that fails.
  static let firstPause: Int64 = 500
  /// The longest pause: recovery is noticed within it plus one request.
  static let longestPause: Int64 = 4_000

  private(set) var state = OperationalState.up
  private var failuresInARow = 0
  private var pause = firstPause
  private var nextTrial: Int64 = 0

  /// An answer came. Returns true when the state has changed.
  mutating func succeeded() -> Bool {
    failuresInARow = 0
    pause = Self.firstPause
    return move(to: .up)
  }

  /// A failure that counts. Returns true when the state has changed.
  mutating func failed(_ failure: UpstreamFailure, now: Int64) -> Bool {
    guard failure.countsAgainstHealth else { return false }
    failuresInARow += 1
    switch state {
    case .up:
      guard failure.isConclusive || failuresInARow >= Self.fall else { return false }
    case .starting, .down:
      pause = min(pause * 2, Self.longestPause)
    }
    nextTrial = now + pause
    return move(to: .down)
  }

  /// True for the one caller, after each pause, who is to try it. Until that trial has ended nobody else is.
  mutating func takeTrial(now: Int64) -> Bool {
    guard state != .up, now >= nextTrial else { return false }
    // A trial that never ends (a client that leaves) must not be the last one.
    nextTrial = now + Self.longestPause
    _ = move(to: .starting)
    return true
  }

  /// Forgets everything: another incarnation is there.
  mutating func reset() {
    self = PassiveHealth()
  }

  private mutating func move(to next: OperationalState) -> Bool {
    guard state != next else { return false }
    state = next
    return true
  }
}
