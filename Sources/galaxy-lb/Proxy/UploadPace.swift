/// Whether a client sends its body faster than it is worth to be told of every piece: then it is read in large ones,
/// which costs fewer wake-ups of everybody between the client and the application. A value without a clock.
struct UploadPace {
  /// True while much is to have come before anybody looks.
  private(set) var isFast = false
  /// Bytes that came since `began`.
  private var gathered = 0
  private var began: Int64 = 0

  /// Bytes: what is waited for. A pipe of 1 MiB holds it; measured, see "What limits each workload" in
  /// docs/benchmarks.md.
  static let largePiece = 768 * 1024
  /// Milliseconds in which a fast client sends a large piece; a moment later nobody waits for more.
  static let patience: Int64 = 10
  /// So many large pieces must be left for a change to be worth its system calls.
  private static let leastPieces: Int64 = 4

  /// A piece of the body has come, and so many bytes are still to come. `now` in milliseconds.
  mutating func arrived(_ byteCount: Int, remaining: Int64, now: Int64) {
    guard remaining >= Self.largePiece else {
      isFast = false
      return
    }
    if gathered == 0 { began = now }
    gathered += byteCount
    guard gathered >= Self.largePiece else { return }
    let isQuick = now - began <= Self.patience
    if isQuick, remaining >= Self.leastPieces * Int64(Self.largePiece) { isFast = true }
    gathered = 0
  }

  /// No large piece has come in time.
  mutating func paused() {
    isFast = false
    gathered = 0
  }
}
