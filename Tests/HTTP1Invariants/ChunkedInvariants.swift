import HTTP1
import TestSupport

/// What must hold for the chunked coding of whatever bytes.
public enum ChunkedInvariants {
  /// Throws when one of them does not hold; true when the bytes begin with a complete body.
  @discardableResult
  public static func check(_ bytes: [UInt8], trailerLimits: HeadLimits) throws(Violation) -> Bool {
    let whole = try Decoded([bytes[...]], trailerLimits)
    var generator = SeededGenerator(seededBy: bytes)
    let cut = try Decoded(generator.pieces(of: bytes), trailerLimits)
    guard cut == whole else { throw Violation("in pieces \(cut.ending), in one \(whole.ending)") }
    // The empty line at the end of the section is not counted.
    guard whole.trailerBytes <= trailerLimits.head + 2 else { throw Violation("trailers above their limit") }
    try RelayInvariants.check(
      bytes, whole: whole, trailerLimits: trailerLimits, keepsTrailers: .random(using: &generator), &generator
    )
    guard whole.ending == .end else { return false }

    let section = try StrictHead((Array("trailers\r\n".utf8) + whole.trailers + [0x0D, 0x0A])[...])
    for field in section.fields
    where RequestInvariants.hopByHop.contains(field.name) || RequestInvariants.framing.contains(field.name)
      || RequestInvariants.isEdge(field.name) || RequestInvariants.speaksForAnother(field.name)
    {
      throw Violation("\(field.name) goes on in the trailers")
    }
    let again = try Decoded([encoded(whole, &generator)[...]], trailerLimits)
    guard again.ending == .end, again.content == whole.content, again.trailers == whole.trailers else {
      throw Violation("coded again it is another body")
    }
    return true
  }

  /// The body as it goes on, in chunks of other lengths.
  private static func encoded(_ body: Decoded, _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes: [UInt8] = []
    for piece in generator.pieces(of: body.content) {
      bytes += sizeLine(piece.count)
      bytes += piece
      bytes += [0x0D, 0x0A]
    }
    return bytes + Array("0\r\n".utf8) + body.trailers + [0x0D, 0x0A]
  }

  /// The size line for a chunk of so many bytes.
  public static func sizeLine(_ count: Int) -> [UInt8] {
    withUnsafeTemporaryAllocation(byteCount: ChunkFrame.longestSizeLine, alignment: 1) { room in
      let length = ChunkFrame.writeSizeLine(count, endingAtEndOf: room)
      return Array(room.suffix(length))
    }
  }

  /// A body, read by the decoder alone.
  struct Decoded: Equatable {
    var content: [UInt8] = []
    /// `end`, `needsMore` or a rejection.
    var ending = ChunkedDecoder.Event.needsMore
    /// How many bytes belong to the body; of a rejected one, how many were looked at.
    var byteCount = 0
    var trailerBytes = 0
    var trailers: [UInt8] = []

    init(_ pieces: [ArraySlice<UInt8>], _ trailerLimits: HeadLimits) throws(Violation) {
      var decoder = ChunkedDecoder(trailerLimits: trailerLimits)
      for piece in pieces {
        var position = 0
        reading: while true {
          ending = decoder.next(piece.span, &position)
          switch ending {
          case .data(let range):
            guard !range.isEmpty, range.upperBound == position else {
              throw Violation("content out of place")
            }
            content += piece[piece.startIndex + range.lowerBound..<piece.startIndex + range.upperBound]
          case .needsMore:
            guard position == piece.count else { throw Violation("wants more, but left some") }
            break reading
          case .end, .rejected: break reading
          }
        }
        byteCount += position
        guard ending == .needsMore else { break }
      }
      trailerBytes = decoder.trailers.count
      guard ending == .end else { return }
      guard decoder.isAtEnd else { throw Violation("at the end, but not known to be") }
      trailers = writtenTrailers(of: decoder)
    }
  }
}

/// The trailer fields that go on.
func writtenTrailers(of decoder: ChunkedDecoder) -> [UInt8] {
  var buffer = ByteBuffer()
  decoder.writeTrailers(to: &buffer, classifier: RequestInvariants.classifier)
  return Array(buffer.bytes)
}
