import HTTP1

/// What must hold for a response head made of whatever bytes.
public enum ResponseInvariants {
  private static let unlimited = HeadLimits(line: 1 << 24, head: 1 << 24, fields: 1 << 16)

  /// Throws when one of them does not hold; true when the bytes begin with a head that is taken.
  @discardableResult
  public static func check(
    _ bytes: [UInt8], limits: HeadLimits, isHead: Bool
  ) throws(Violation) -> Bool {
    let whole = Reading(bytes, limits, isHead)
    try checkCuts(of: bytes, limits: limits, follower: "HTTP/1.1 200 OK\r\n\r\n\0", whole: whole) {
      Reading($0, limits, isHead)
    }
    guard case .complete(let byteCount) = whole.progress else { return false }
    guard byteCount <= min(limits.head, bytes.count) else { throw Violation("a head behind its bounds") }
    for framing in whole.possibleFramings { try checkSent(whole, framing, isHead) }
    return true
  }

  private static func checkSent(
    _ whole: Reading, _ clientFraming: ClientFraming, _ isHead: Bool
  ) throws(Violation) {
    let written = whole.written(clientFraming)
    let sent = try StrictHead(written[...])
    guard sent.startLine == Array("HTTP/1.1 \(whole.status) ".utf8) + whole.reason else {
      throw Violation("another status line goes to the client")
    }
    let hops = sent.fields.filter { RequestInvariants.hopByHop.contains($0.name) }
    let own = whole.switchesToWebSocket ? ["connection upgrade", "upgrade websocket"] : []
    guard hops.map({ "\($0.name) \(latin1($0.value))" }) == own else {
      throw Violation("hop-by-hop fields go to the client")
    }
    let (length, isChunked) = try sent.framing()
    guard isChunked == (clientFraming == .chunked) else { throw Violation("the coding is not as announced") }
    if case .length(let announced) = whole.framing, announced != length {
      throw Violation(
        "\(announced) octets follow, but Content-Length says \(length.map(String.init) ?? "nothing")")
    }
    if whole.status < 200 || whole.status == 204, length != nil {
      throw Violation("Content-Length in \(whole.status)")
    }

    let second = Reading(written, unlimited, isHead)
    guard second.progress == .complete(byteCount: written.count) else {
      throw Violation("what was written is read as \(second.progress)")
    }
    let expected: BodyFraming =
      whole.framing == .none ? .none : clientFraming == .chunked ? .chunked : whole.framing
    let isUntilClose = clientFraming == .untilClose && second.framing == .untilClose
    guard second.framing == expected || isUntilClose else {
      throw Violation("what was written is framed otherwise")
    }
    guard second.written(clientFraming) == written else {
      throw Violation("written again it is another head")
    }
  }

  /// One reading, and all that it says.
  private struct Reading: HeadReading {
    var progress: HeadProgress
    var status = 0
    var reason: [UInt8] = []
    var framing = BodyFraming.none
    var isPersistent = true
    var isEventStream = false
    var switchesToWebSocket = false
    private var bytes: [UInt8] = []
    private var head = ResponseHead()

    init(_ bytes: [UInt8], _ limits: HeadLimits, _ isHead: Bool) {
      progress = head.read(bytes.span, limits: limits, context: ResponseContext(isHead: isHead))
      guard case .complete(let byteCount) = progress else { return }
      self.bytes = Array(bytes[..<byteCount])
      status = head.status
      reason = Array(bytes[head.reason])
      framing = head.framing
      isPersistent = head.isPersistent
      isEventStream = head.isEventStream
      switchesToWebSocket = head.switchesToWebSocket
    }

    static func == (left: Reading, right: Reading) -> Bool {
      left.progress == right.progress && left.status == right.status && left.reason == right.reason
        && left.framing == right.framing && left.isPersistent == right.isPersistent
        && left.isEventStream == right.isEventStream
        && left.switchesToWebSocket == right.switchesToWebSocket && left.bytes == right.bytes
    }

    /// How such a response may go to a client.
    var possibleFramings: [ClientFraming] {
      switch framing {
      case .none, .length: [.unchanged]
      case .chunked, .untilClose: [.chunked, .untilClose]
      }
    }

    func written(_ clientFraming: ClientFraming) -> [UInt8] {
      var buffer = ByteBuffer()
      head.write(bytes.span, framing: clientFraming, to: &buffer)
      buffer.append("\r\n")
      return Array(buffer.bytes)
    }
  }
}
