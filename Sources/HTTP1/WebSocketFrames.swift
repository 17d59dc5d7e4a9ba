/// Follows one direction of a WebSocket (RFC 6455 5.2) so far that it tells where a frame ends: there, also between the
/// fragments of a message, a control frame may be put in (RFC 6455 5.4). It looks at headers only, and passes over what
/// they announce.
public struct WebSocketFrames: Sendable {
  private enum Place: Sendable {
    /// The first byte of a frame comes next.
    case start
    /// The second one, with the mask bit and the length.
    case length
    /// So many bytes of an extended length are still to come.
    case extendedLength(Int)
    /// The masking key and the payload, `remaining` bytes of them.
    case payload
    /// Behind a Close frame, which is the last one.
    case closed
    /// It can't be told where frames end.
    case broken
  }

  private var place = Place.start
  /// Bytes to pass over, or the part of an extended length that is known.
  private var remaining: UInt64 = 0
  private var opcode: UInt8 = 0
  private var isMasked = false

  private static let close: UInt8 = 0x8

  public init() {}

  /// True when the last frame is complete, or none has begun, and another may follow.
  public var isAtBoundary: Bool {
    if case .start = place { return true }
    return false
  }

  /// True when a Close frame is complete: nothing may follow it (RFC 6455 5.5.1).
  public var isClosed: Bool {
    if case .closed = place { return true }
    return false
  }

  /// True when what came is no WebSocket: an extended length has its highest bit set, or a control frame says that it
  /// is longer than 125 bytes (RFC 6455 5.2, 5.5).
  public var isBroken: Bool {
    if case .broken = place { return true }
    return false
  }

  /// Takes in the next piece. Returns how much of it stands before its last frame boundary, the end of a Close frame
  /// included; nil when it has none.
  public mutating func scan(_ bytes: UnsafeRawBufferPointer) -> Int? {
    var position = 0
    var last: Int?
    while position < bytes.count {
      switch place {
      case .payload:
        let left = UInt64(bytes.count - position)
        guard remaining <= left else {
          remaining -= left
          return last
        }
        position += Int(remaining)
        endFrame()
        last = position
      case .start:
        opcode = bytes[position] & 0x0F
        place = .length
        position += 1
      case .length:
        beginLength(bytes[position])
        position += 1
        if endEmptyFrame() { last = position }
      case .extendedLength(let missing):
        remaining = remaining << 8 | UInt64(bytes[position])
        position += 1
        place = .extendedLength(missing - 1)
        if missing == 1 {
          beginPayload()
          if endEmptyFrame() { last = position }
        }
      case .closed, .broken: return last
      }
    }
    return last
  }

  /// The second byte tells the length, or the length of the length.
  private mutating func beginLength(_ byte: UInt8) {
    isMasked = byte & 0x80 != 0
    remaining = 0
    switch byte & 0x7F {
    case 126, 127:
      let isControl = opcode & 0x08 != 0
      place = isControl ? .broken : .extendedLength(byte & 0x7F == 126 ? 2 : 8)
    case let length:
      remaining = UInt64(length)
      beginPayload()
    }
  }

  private mutating func beginPayload() {
    guard remaining >> 63 == 0 else {
      place = .broken
      return
    }
    if isMasked { remaining += 4 }
    place = .payload
  }

  /// True when the frame ends with its header.
  private mutating func endEmptyFrame() -> Bool {
    guard case .payload = place, remaining == 0 else { return false }
    endFrame()
    return true
  }

  private mutating func endFrame() {
    place = opcode == Self.close ? .closed : .start
  }
}
