/// Reads the chunked coding (RFC 9112 7.1) from bytes that come in any pieces. Chunk extensions are checked, bounded
/// and dropped; the trailer section is checked like the fields of a head and kept apart.
public struct ChunkedDecoder: Sendable {
  /// What the next bytes are.
  public enum Event: Equatable, Sendable {
    /// Content, as positions in the piece that was passed in.
    case data(Range<Int>)
    /// The piece is used up.
    case needsMore
    /// The end of the coding; what follows in the piece does not belong to it.
    case end
    case rejected(Rejection)
  }

  private enum State: Sendable {
    case sizeStart
    case size
    case blankBeforeExtension
    case chunkExtension
    case sizeLineFeed
    case data
    case dataCarriageReturn
    case dataLineFeed
    case trailerStart
    case trailerLine
    case endLineFeed
    case ended
  }

  /// A size line, its extensions included, has at most so many bytes.
  public static let longestSizeLine = 4096

  private var state = State.sizeStart
  private var remaining: UInt64 = 0
  private var lineLength = 0
  private let trailerLimits: HeadLimits
  /// The trailer section, with the empty line at its end once it is read; empty in nearly all messages, which
  /// have no trailer fields.
  public private(set) var trailers: [UInt8] = []

  /// - Parameter trailerLimits: `head` and `fields` bound the trailer section.
  public init(trailerLimits: HeadLimits) {
    self.trailerLimits = trailerLimits
  }

  /// True when the end of the coding was read.
  public var isAtEnd: Bool {
    if case .ended = state { return true }
    return false
  }

  /// Reads on at `position`, which moves behind what was read. After `rejected` the decoder must not be used again.
  public mutating func next(_ bytes: Span<UInt8>, _ position: inout Int) -> Event {
    while position < bytes.count {
      if case .data = state { return takeData(bytes.count, &position) }
      if case .ended = state { return .end }
      let byte = bytes[position]
      position &+= 1
      if let reason = step(byte) { return .rejected(reason) }
      if case .ended = state { return .end }
    }
    return isAtEnd ? .end : .needsMore
  }

  private mutating func takeData(_ count: Int, _ position: inout Int) -> Event {
    let length = Int(min(remaining, UInt64(count - position)))
    let range = position..<position + length
    position += length
    remaining -= UInt64(length)
    if remaining == 0 { state = .dataCarriageReturn }
    return .data(range)
  }

  /// One byte that is not content.
  private mutating func step(_ byte: UInt8) -> Rejection? {
    switch state {
    case .sizeStart, .size, .blankBeforeExtension, .chunkExtension, .sizeLineFeed: return stepSizeLine(byte)
    case .dataCarriageReturn:
      guard byte == ASCII.carriageReturn else { return .malformedChunk }
      state = .dataLineFeed
    case .dataLineFeed:
      guard byte == ASCII.lineFeed else { return .malformedChunk }
      state = .sizeStart
    case .trailerStart, .trailerLine: return stepTrailers(byte)
    case .endLineFeed:
      guard byte == ASCII.lineFeed else { return .bareLineEnd }
      state = .ended
      return judgeTrailers()
    case .data, .ended: break
    }
    return nil
  }

  private mutating func stepSizeLine(_ byte: UInt8) -> Rejection? {
    lineLength += 1
    if lineLength > Self.longestSizeLine { return .chunkExtensionTooLong }
    switch state {
    case .sizeStart, .size:
      if let digit = ASCII.hexValue(byte) {
        // The bound of Int64 is that of Content-Length, and leaves room for sums.
        guard remaining <= UInt64(Int64.max) >> 4 else { return .malformedChunk }
        remaining = remaining << 4 | UInt64(digit)
        state = .size
        return nil
      }
      if case .sizeStart = state { return .malformedChunk }
      if byte == ASCII.carriageReturn {
        state = .sizeLineFeed
      } else if byte == 0x3B {
        state = .chunkExtension
      } else if ASCII.isBlank(byte) {
        state = .blankBeforeExtension
      } else {
        return .malformedChunk
      }
    case .blankBeforeExtension:
      // RFC 9112 7.1.1: blanks may stand in front of `;`, nowhere else.
      if byte == 0x3B {
        state = .chunkExtension
      } else if !ASCII.isBlank(byte) {
        return .malformedChunk
      }
    case .chunkExtension:
      if byte == ASCII.carriageReturn {
        state = .sizeLineFeed
      } else if ASCII.isForbiddenInValue(byte) {
        return .malformedChunk
      }
    default:
      guard byte == ASCII.lineFeed else { return .malformedChunk }
      lineLength = 0
      state = remaining == 0 ? .trailerStart : .data
    }
    return nil
  }

  private mutating func stepTrailers(_ byte: UInt8) -> Rejection? {
    if case .trailerStart = state, byte == ASCII.carriageReturn {
      state = .endLineFeed
      return nil
    }
    // Told at once, where somebody else may see the end of the section already; the rest is judged at its end.
    if byte == ASCII.lineFeed, trailers.last != ASCII.carriageReturn { return .bareLineEnd }
    trailers.append(byte)
    if trailers.count > trailerLimits.head { return .trailersTooLarge }
    state = byte == ASCII.lineFeed ? .trailerStart : .trailerLine
    return nil
  }

  /// Checks the whole trailer section as the fields of a head are checked.
  private mutating func judgeTrailers() -> Rejection? {
    guard !trailers.isEmpty else { return nil }
    trailers += [ASCII.carriageReturn, ASCII.lineFeed]
    var section = FieldSection()
    let rules = FieldSection.Rules(
      classifier: FieldNameClassifier(), maximumFields: trailerLimits.fields, removesBlanksBeforeColon: false,
      dropsCollisions: true)
    switch section.read(trailers.span, from: 0, rules: rules) {
    case .end(trailers.count): return nil
    case .rejected(let reason): return reason
    case .incomplete, .end: return .malformedChunk
    }
  }
}
