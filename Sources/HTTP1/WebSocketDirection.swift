/// One direction of a WebSocket through a proxy, which the proxy may want to close: what comes goes on, until a Close
/// frame is due; then that goes in its place at the next frame boundary, and nothing behind it (RFC 6455 5.5.1). Where
/// the peer has sent a Close frame of its own before, that one goes on, and is the last.
public struct WebSocketDirection: Sendable {
  private var frames = WebSocketFrames()
  private var state = State.open

  private enum State: Sendable {
    case open
    /// To be closed at the next boundary.
    case closing
    /// The last frame went out, the proxy's Close frame or the peer's.
    case ended
  }

  public init() {}

  /// What becomes of a piece.
  public struct Step: Equatable, Sendable {
    /// So many of its bytes go on, the rest does not.
    public var passedCount: Int
    /// Behind them goes the proxy's Close frame.
    public var closes: Bool

    public init(passedCount: Int, closes: Bool) {
      self.passedCount = passedCount
      self.closes = closes
    }
  }

  /// True when the peer that sends in this direction has sent a whole Close frame, whether it went on or not.
  public var peerHasClosed: Bool { frames.isClosed }

  /// True when no Close frame can be put in, because what comes is no WebSocket.
  public var isBroken: Bool { frames.isBroken && state != .ended }

  /// Wants the direction closed. True when that is due now: the proxy's Close frame goes out.
  public mutating func close() -> Bool {
    guard state == .open else { return false }
    guard frames.isAtBoundary else {
      state = .closing
      return false
    }
    state = .ended
    return true
  }

  /// Takes the next piece in.
  public mutating func relay(_ bytes: UnsafeRawBufferPointer) -> Step {
    let boundary = frames.scan(bytes)
    switch state {
    case .open: return Step(passedCount: bytes.count, closes: false)
    case .ended: return Step(passedCount: 0, closes: false)
    case .closing:
      guard boundary != nil || frames.isClosed else { return Step(passedCount: bytes.count, closes: false) }
      state = .ended
      return Step(passedCount: boundary ?? 0, closes: !frames.isClosed)
    }
  }
}

/// Close frames that the proxy sends.
public enum WebSocketClose {
  /// Appends a Close frame with code 1001: the endpoint is going away, such as a server that stops (RFC 6455 7.4.1).
  ///
  /// - Parameter maskingKey: for a frame to a server, which must be masked by a key that nobody can predict (RFC 6455
  ///   5.3); nil for a frame to a client, which must not be.
  public static func writeGoingAway(maskedBy maskingKey: UInt32?, to buffer: inout ByteBuffer) {
    let code: [UInt8] = [0x03, 0xE9]
    buffer.append(byte: 0x88)
    guard let maskingKey else {
      buffer.append(byte: 0x02)
      for byte in code { buffer.append(byte: byte) }
      return
    }
    buffer.append(byte: 0x82)
    let key = (0..<4).map { UInt8(truncatingIfNeeded: maskingKey >> (24 - 8 * UInt32($0))) }
    for byte in key { buffer.append(byte: byte) }
    for (byte, mask) in zip(code, key) { buffer.append(byte: byte ^ mask) }
  }
}
