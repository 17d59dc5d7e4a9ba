/// How many of those that wait may be at work in an upstream at a time, once it is back: a value without a clock.
///
/// All at once would flood its first worker; and whoever comes meanwhile has to wait for what is at work there already.
/// But too few leave it idle. So it follows what the upstream usually has to do at a time, which is its usual rate times
/// its usual time for an answer (Little's law): `surplus` times of it. What has piled up in a time is then worked off
/// in a small part of that time, if the upstream can, and the queue inside it stays short.
///
/// Invariant: `least` to `most`; `most` until something has been seen.
struct AdmissionWindow: Sendable {
  static let most = 32
  /// Enough to keep the one process of a gunicorn at work, an answer being on its way while it does the next.
  static let least = 4
  static let surplus = 4.0

  /// So many looks back the average goes.
  private static let span = 32

  private var looks = 0
  private var usual = 0.0

  /// A look, at a regular pace, at what the upstream has to do while it serves as usual.
  mutating func note(atWork: Int) {
    looks = min(looks + 1, Self.span)
    usual += (Double(atWork) - usual) / Double(looks)
  }

  var size: Int {
    guard looks > 0 else { return Self.most }
    return min(max(Int((usual * Self.surplus).rounded(.up)), Self.least), Self.most)
  }
}
