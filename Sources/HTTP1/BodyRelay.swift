/// Takes the content of one message out of its framing and puts it into the framing of the next hop, in place: what
/// comes in one read goes out as one contiguous piece, without a copy as long as it came in one piece.
public struct BodyRelay: Sendable {
  /// Where the content ends on the way in.
  private enum Source: Sendable {
    case length(remaining: Int64)
    case chunked(ChunkedDecoder)
    case untilClose
    case ended
    /// The framing did not hold: nothing more goes out, and the message is never complete.
    case broken
  }

  private var source: Source
  private let writesChunks: Bool
  private let keepsTrailers: Bool

  /// Bytes that must be free in front of the input, and behind it, for frames.
  public static let slack = 32

  /// - Parameters:
  ///   - framing: how the incoming message is framed.
  ///   - writesChunks: whether the outgoing one is chunked; otherwise the bare content goes out. Not for a known
  ///     length, which goes on as it is: there is no room for a frame in front of what follows the content.
  ///   - keepsTrailers: whether trailer fields go on behind the last chunk.
  ///   - trailerLimits: bounds of an incoming trailer section.
  public init(_ framing: BodyFraming, writesChunks: Bool, keepsTrailers: Bool, trailerLimits: HeadLimits) {
    switch framing {
    case .none: source = .ended
    case .length(let length):
      precondition(!writesChunks, "content of a known length is not chunked")
      source = .length(remaining: length)
    case .chunked: source = .chunked(ChunkedDecoder(trailerLimits: trailerLimits))
    case .untilClose: source = .untilClose
    }
    self.writesChunks = writesChunks
    self.keepsTrailers = keepsTrailers
  }

  /// A message without content.
  public static let none = BodyRelay(
    .none, writesChunks: false, keepsTrailers: false, trailerLimits: HeadLimits(line: 0, head: 0, fields: 0))

  /// True when the whole content, the end of its framing included, was read.
  public var isComplete: Bool {
    if case .ended = source { return true }
    return false
  }

  /// True when the peer may end its side now, and the message is complete then.
  public var mayEnd: Bool {
    switch source {
    case .untilClose, .ended: true
    case .length, .chunked, .broken: false
    }
  }

  /// Bytes still to come when that is known: for choosing how to move them.
  public var remainingLength: Int64? {
    if case .length(let remaining) = source { return remaining }
    return nil
  }

  /// So many bytes of content of a known length went on without passing through here.
  public mutating func passed(_ byteCount: Int) {
    guard case .length(let remaining) = source, byteCount >= 0, Int64(byteCount) <= remaining else {
      preconditionFailure("only content of a known length passes by itself, and not beyond its end")
    }
    let rest = remaining - Int64(byteCount)
    source = rest == 0 ? .ended : .length(remaining: rest)
  }

  /// What one read came to.
  public struct Step {
    /// What goes out, within the memory that was passed in; valid until it is used again.
    public var output: Range<Int>
    /// The content alone, within `output`.
    public var content = 0..<0
    /// Where in the input the message ends, or the end of the input.
    public var inputEnd: Int
    /// Set when the framing is broken. There is no output then, and never again.
    public var rejection: Rejection?
    /// Trailer fields to go out behind `output`, followed by an empty line. Nil unless the content ended now and
    /// trailers go on.
    public var trailers: ChunkedDecoder?
  }

  /// Relays `input`, which lies in `memory` with at least `slack` bytes on both sides. The bytes around it and in it
  /// are overwritten, those behind `inputEnd` are not.
  public mutating func relay(_ memory: UnsafeMutableRawBufferPointer, _ input: Range<Int>) -> Step {
    switch source {
    case .ended, .broken:
      return Step(output: input.lowerBound..<input.lowerBound, inputEnd: input.lowerBound)
    case .length(let remaining):
      let length = Int(min(Int64(input.count), remaining))
      let rest = remaining - Int64(length)
      source = rest == 0 ? .ended : .length(remaining: rest)
      let data = input.lowerBound..<input.lowerBound + length
      return Step(
        output: framed(data, memory, isLast: rest == 0), content: data, inputEnd: data.upperBound)
    case .untilClose:
      return Step(
        output: framed(input, memory, isLast: false), content: input, inputEnd: input.upperBound)
    case .chunked(var decoder):
      // Moved out and back, so that trailers which come in small pieces are not copied for each of them.
      source = .broken
      return relayChunks(&decoder, memory, input)
    }
  }

  /// The peer has ended a message that lasts until then. What goes out, at the beginning of `memory`; nil when the
  /// message may not end here.
  public mutating func end(_ memory: UnsafeMutableRawBufferPointer) -> Range<Int>? {
    switch source {
    case .untilClose:
      source = .ended
      return writesChunks ? writeLastChunk(memory, at: 0) : 0..<0
    case .ended: return 0..<0
    case .length, .chunked, .broken: return nil
    }
  }

  /// Ends the content behind `content`, although the peer has not: for streams that may end after any event. What goes
  /// out; nil for content of a length that was announced, which can't end early.
  ///
  /// - Parameter content: the beginning, perhaps empty, of the content of the step before, which goes out instead of
  ///   that step's output.
  public mutating func endEarly(
    _ memory: UnsafeMutableRawBufferPointer, behind content: Range<Int> = 0..<0
  ) -> Range<Int>? {
    switch source {
    case .chunked, .untilClose: source = .ended
    case .ended, .length, .broken: return nil
    }
    if content.isEmpty { return writesChunks ? writeLastChunk(memory, at: 0) : 0..<0 }
    return framed(content, memory, isLast: true)
  }

  private mutating func relayChunks(
    _ decoder: inout ChunkedDecoder, _ memory: UnsafeMutableRawBufferPointer, _ input: Range<Int>
  ) -> Step {
    var position = input.lowerBound
    // Content is moved together behind the first piece of it, which stays where it is.
    var data: Range<Int>?
    reading: while true {
      let event = UnsafeRawBufferPointer(rebasing: memory[..<input.upperBound]).withMemoryRebound(
        to: UInt8.self
      ) {
        decoder.next($0.span, &position)
      }
      switch event {
      case .data(let piece):
        if let known = data {
          memmove(memory, to: known.upperBound, from: piece)
          data = known.lowerBound..<known.upperBound + piece.count
        } else {
          data = piece
        }
      case .needsMore:
        source = .chunked(decoder)
        let output = data.map { framed($0, memory, isLast: false) } ?? position..<position
        return Step(output: output, content: data ?? 0..<0, inputEnd: position)
      case .end: break reading
      case .rejected(let reason):
        return Step(output: position..<position, inputEnd: position, rejection: reason)
      }
    }
    source = .ended
    let hasTrailers = keepsTrailers && writesChunks && !decoder.trailers.isEmpty
    var output: Range<Int>
    if let data {
      output = framed(data, memory, isLast: !hasTrailers)
    } else if writesChunks && !hasTrailers {
      // In front of the input: less than a last chunk of it may be this message's.
      output = writeLastChunk(memory, at: input.lowerBound - BodyRelay.slack)
    } else {
      output = position..<position
    }
    return Step(
      output: output, content: data ?? 0..<0, inputEnd: position, trailers: hasTrailers ? decoder : nil)
  }

  /// Puts the outgoing frame around `data`. Behind it there is room: what stood there was part of the incoming
  /// frame, or is the slack behind the input.
  private func framed(_ data: Range<Int>, _ memory: UnsafeMutableRawBufferPointer, isLast: Bool) -> Range<Int>
  {
    guard writesChunks, !data.isEmpty else { return data }
    let front = UnsafeMutableRawBufferPointer(
      rebasing: memory[data.lowerBound - ChunkFrame.longestSizeLine..<data.lowerBound])
    let start = data.lowerBound - ChunkFrame.writeSizeLine(data.count, endingAtEndOf: front)
    memory[data.upperBound] = ASCII.carriageReturn
    memory[data.upperBound + 1] = ASCII.lineFeed
    guard isLast else { return start..<data.upperBound + 2 }
    return start..<writeLastChunk(memory, at: data.upperBound + 2).upperBound
  }

  private func writeLastChunk(_ memory: UnsafeMutableRawBufferPointer, at start: Int) -> Range<Int> {
    let text = ChunkFrame.last
    memory.baseAddress!.advanced(by: start).copyMemory(
      from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    return start..<start + text.utf8CodeUnitCount
  }

  private func memmove(_ memory: UnsafeMutableRawBufferPointer, to target: Int, from piece: Range<Int>) {
    memory.baseAddress!.advanced(by: target).copyMemory(
      from: memory.baseAddress!.advanced(by: piece.lowerBound), byteCount: piece.count)
  }
}
