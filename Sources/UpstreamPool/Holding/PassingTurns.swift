/// How many of those that come now may go past those that wait, once the upstreams are back: a value without a clock.
///
/// To work off what has piled up takes as long as the upstreams need for it, and most requests that come meanwhile would
/// wait for the end of that. So each of those that waited lets one pass: what comes now finds upstreams that answer, and
/// the line gets half of what they can do at least, however much comes.
///
/// Invariant: never more pass than have gone from the line, and never more than `mostSavedUp` of them between two of it.
struct PassingTurns: Sendable {
  /// As many as may be at work in an upstream for the line's own sake: more at once would flood it after all.
  static let mostSavedUp = AdmissionWindow.most

  private var count = 0

  /// One of those that waited has gone.
  mutating func noteAdmission() { count = min(count + 1, Self.mostSavedUp) }

  /// Nobody waits any more.
  mutating func forget() { count = 0 }

  /// Whether one more may pass, which it then does.
  mutating func take() -> Bool {
    guard count > 0 else { return false }
    count -= 1
    return true
  }
}
