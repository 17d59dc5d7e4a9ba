/// Follows an event stream (WHATWG HTML 9.2.5) so far that it tells where it may be ended without losing anything: at
/// its beginning and after every blank line, which dispatches the event before it.
public struct EventStreamBoundary: Sendable {
  private enum State: Sendable {
    case boundary
    case insideLine
    /// Behind a line that was not blank.
    case lineEnded
  }

  private var state = State.boundary
  private var lastWasCarriageReturn = false

  public init() {}

  /// True when no event has begun, or the last one is complete.
  public var isAtBoundary: Bool { state == .boundary }

  /// Takes in the next piece of the content. Lines end with CRLF, LF or CR. Returns how much of the piece stands before
  /// its last boundary, nil when it has none.
  public mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Int? {
    var last: Int?
    for (index, byte) in bytes.enumerated() {
      let belongsToLineEnd = lastWasCarriageReturn && byte == ASCII.lineFeed
      lastWasCarriageReturn = byte == ASCII.carriageReturn
      if belongsToLineEnd {
        if isAtBoundary { last = index + 1 }
        continue
      }
      if byte == ASCII.lineFeed || byte == ASCII.carriageReturn {
        state = state == .insideLine ? .lineEnded : .boundary
        if isAtBoundary { last = index + 1 }
      } else {
        state = .insideLine
      }
    }
    return last
  }
}
