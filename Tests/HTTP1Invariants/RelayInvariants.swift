import HTTP1
import TestSupport

/// What must hold for a body that is relayed in place: what goes out is the same content in a frame of its own, it
/// is never complete before the body is, and nothing behind the body is touched.
public enum RelayInvariants {
  /// What came of relaying a body, piece by piece as reads bring it.
  public struct Relayed: Equatable {
    public var output: [UInt8] = []
    public var rejection: Rejection?
    public var isComplete = false
    public var byteCount = 0

    public init(
      _ pieces: [ArraySlice<UInt8>], _ framing: BodyFraming, writesChunks: Bool, keepsTrailers: Bool = false,
      trailerLimits: HeadLimits
    ) throws(Violation) {
      var relay = BodyRelay(
        framing, writesChunks: writesChunks, keepsTrailers: keepsTrailers, trailerLimits: trailerLimits)
      var memory = [UInt8](
        repeating: 0xAA, count: (pieces.map(\.count).max() ?? 0) + 2 * BodyRelay.slack)
      for piece in pieces where !relay.isComplete && rejection == nil { try take(piece, &relay, &memory) }
      isComplete = relay.isComplete
    }

    private mutating func take(
      _ piece: ArraySlice<UInt8>, _ relay: inout BodyRelay, _ memory: inout [UInt8]
    ) throws(Violation) {
      let input = BodyRelay.slack..<BodyRelay.slack + piece.count
      memory.replaceSubrange(input, with: piece)
      let room = input.upperBound + BodyRelay.slack
      let step = memory.withUnsafeMutableBytes {
        relay.relay(UnsafeMutableRawBufferPointer(rebasing: $0[..<room]), input)
      }
      guard step.inputEnd <= input.upperBound, step.output.lowerBound >= 0, step.output.upperBound <= room
      else { throw Violation("output out of place") }
      let taken = step.inputEnd - input.lowerBound
      guard memory[step.inputEnd..<input.upperBound] == piece.dropFirst(taken) || step.rejection != nil
      else { throw Violation("bytes behind the body were overwritten") }
      guard step.rejection == nil || (step.output.isEmpty && !relay.isComplete) else {
        throw Violation("output of a broken body")
      }
      guard step.inputEnd == input.upperBound || relay.isComplete || step.rejection != nil else {
        throw Violation("input left over in the middle of a body")
      }
      output += memory[step.output]
      rejection = step.rejection
      byteCount += taken
      if let trailers = step.trailers {
        output += Array("0\r\n".utf8) + writtenTrailers(of: trailers) + [0x0D, 0x0A]
      }
    }
  }

  /// Throws unless a chunked body is relayed as `whole`, which the decoder made of it alone.
  static func check(
    _ bytes: [UInt8], whole: ChunkedInvariants.Decoded, trailerLimits: HeadLimits, keepsTrailers: Bool,
    _ generator: inout SeededGenerator
  ) throws(Violation) {
    let pieces = generator.pieces(of: bytes)
    let bare = try Relayed(pieces, .chunked, writesChunks: false, trailerLimits: trailerLimits)
    let framed = try Relayed(
      pieces, .chunked, writesChunks: true, keepsTrailers: keepsTrailers, trailerLimits: trailerLimits)
    var rejection: Rejection?
    if case .rejected(let reason) = whole.ending { rejection = reason }
    for relayed in [bare, framed] {
      let isAtEnd = whole.ending == .end
      guard relayed.isComplete == isAtEnd, relayed.rejection == rejection,
        !isAtEnd || relayed.byteCount == whole.byteCount
      else { throw Violation("the relay sees another end than the decoder") }
    }
    // What stood in the piece that broke the framing does not go out.
    let expected = whole.content
    guard expected.starts(with: bare.output), bare.rejection != nil || bare.output == expected else {
      throw Violation("other content is relayed")
    }
    var limits = trailerLimits
    limits.head = max(limits.head, 1 << 20)
    let again = try ChunkedInvariants.Decoded([framed.output[...]], limits)
    guard again.content == bare.output, again.ending == (framed.isComplete ? .end : .needsMore),
      again.byteCount == framed.output.count
    else { throw Violation("other content is relayed in chunks, or with another end") }
    guard again.trailers == (keepsTrailers ? whole.trailers : []) else {
      throw Violation("other trailers are relayed")
    }
  }
}
