import HTTP1
import TestSupport

/// What one reading of a head says.
protocol HeadReading: Equatable {
  var progress: HeadProgress { get }
}

/// Throws unless the head is read the same in whatever pieces it comes, and whatever follows it.
///
/// - Parameters:
///   - bytes: the head, or what is in its place; the pieces are decided by them alone.
///   - follower: what comes behind it.
func checkCuts<Reading: HeadReading>(
  of bytes: [UInt8], limits: HeadLimits, follower: StaticString, whole: Reading, read: ([UInt8]) -> Reading
) throws(Violation) {
  var generator = SeededGenerator(seededBy: bytes)
  var gathered: [UInt8] = []
  var reading = read([])
  for piece in generator.pieces(of: bytes) {
    let isFirst = gathered.isEmpty
    gathered += piece
    // As a connection does it: what ends no line can't end the head.
    guard isFirst || endsLine(piece.span) || gathered.count >= limits.head else { continue }
    reading = read(gathered)
    if reading.progress != .incomplete { break }
  }
  if reading.progress == .incomplete { reading = read(gathered) }
  guard reading == whole else {
    throw Violation("in pieces \(reading.progress), in one \(whole.progress)")
  }
  guard whole.progress != .incomplete else { return }
  let followed = read(bytes + Array(follower.description.utf8))
  guard followed == whole else {
    throw Violation("followed by more \(followed.progress), alone \(whole.progress)")
  }
}
