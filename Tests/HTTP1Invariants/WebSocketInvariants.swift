import HTTP1
import TestSupport

/// What must hold for whatever bytes are taken for one direction of a WebSocket.
public enum WebSocketInvariants {
  /// Throws when one of them does not hold; true when the bytes begin with a complete frame.
  @discardableResult
  public static func check(_ bytes: [UInt8]) throws(Violation) -> Bool {
    let plain = PlainFrames(bytes)
    var generator = SeededGenerator(seededBy: bytes)
    try checkBoundaries(plain, in: [bytes[...]])
    try checkBoundaries(plain, in: bytes.indices.map { bytes[$0...$0] })
    let pieces = generator.pieces(of: bytes)
    try checkBoundaries(plain, in: pieces)
    try checkClosing(plain, bytes, pieces, before: .random(in: 0...pieces.count, using: &generator))
    return !plain.boundaries.isEmpty
  }

  /// However the bytes come, the boundaries are the same.
  private static func checkBoundaries(_ plain: PlainFrames, in pieces: [ArraySlice<UInt8>]) throws(Violation)
  {
    var frames = WebSocketFrames()
    var seen = 0
    for piece in pieces {
      let found = piece.withUnsafeBytes { frames.scan($0) }.map { seen + $0 }
      let range = seen + 1..<seen + piece.count + 1
      let expected = plain.boundaries.last { range.contains($0) }
      guard found == expected else {
        throw Violation("boundary at \(String(describing: found)), not \(String(describing: expected))")
      }
      seen += piece.count
    }
    let isAtBoundary = !plain.isClosed && !plain.isBroken && (plain.boundaries.last ?? 0) == seen
    guard frames.isClosed == plain.isClosed, frames.isBroken == plain.isBroken,
      frames.isAtBoundary == isAtBoundary
    else { throw Violation("closed \(frames.isClosed), broken \(frames.isBroken)") }
  }

  /// When the direction is to be closed before a piece, what goes on are whole frames and one Close frame at the end.
  private static func checkClosing(
    _ plain: PlainFrames, _ bytes: [UInt8], _ pieces: [ArraySlice<UInt8>], before place: Int
  ) throws(Violation) {
    var direction = WebSocketDirection()
    var passed: [UInt8] = []
    var closes = 0
    var seen = 0
    var wanted: Int?
    for (number, piece) in pieces.enumerated() {
      if number == place {
        wanted = seen
        if direction.close() { closes += 1 }
      }
      let step = piece.withUnsafeBytes { direction.relay($0) }
      guard closes == 0 || step == .init(passedCount: 0, closes: false) else {
        throw Violation("something goes on behind the Close frame")
      }
      passed += piece.prefix(step.passedCount)
      if step.closes { closes += 1 }
      seen += piece.count
    }
    guard passed.elementsEqual(bytes.prefix(passed.count)) else { throw Violation("other bytes go on") }
    guard let wanted else {
      guard passed == bytes, closes == 0 else { throw Violation("it is closed, which nobody wants") }
      return
    }
    let isDue = plain.boundaries.contains { $0 >= wanted } || (wanted == 0 && !plain.isClosed)
    if closes > 0 {
      let isBoundary = passed.isEmpty || plain.boundaries.contains(passed.count)
      guard closes == 1, isBoundary, passed.count >= wanted else {
        throw Violation("\(closes) Close frames behind \(passed.count) bytes, wanted behind \(wanted)")
      }
    } else if isDue, !plain.isClosed {
      throw Violation("no Close frame where there is a boundary")
    } else if !plain.isClosed, passed != bytes {
      throw Violation("something is held back")
    }
    guard direction.peerHasClosed == plain.isClosed else {
      throw Violation("the peer's Close frame is missed")
    }
  }

  /// The frames of a text that is there as a whole, read in the plainest way.
  struct PlainFrames {
    /// Where frames end.
    var boundaries: [Int] = []
    var isClosed = false
    var isBroken = false

    init(_ bytes: [UInt8]) {
      var start = 0
      while bytes.count - start >= 2, !isClosed {
        let (opcode, isMasked) = (bytes[start] & 15, bytes[start + 1] >= 128)
        let short = Int(bytes[start + 1] & 127)
        if opcode >= 8, short > 125 {
          isBroken = true
          return
        }
        let extended = short == 126 ? 2 : short == 127 ? 8 : 0
        let headerEnd = start + 2 + extended
        guard headerEnd <= bytes.count else { return }
        let long = bytes[start + 2..<headerEnd].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        guard long < 1 << 63 else {
          isBroken = true
          return
        }
        let length = (extended == 0 ? UInt64(short) : long) + (isMasked ? 4 : 0)
        guard length <= UInt64(bytes.count - headerEnd) else { return }
        start = headerEnd + Int(length)
        boundaries.append(start)
        isClosed = opcode == 8
      }
    }
  }
}
