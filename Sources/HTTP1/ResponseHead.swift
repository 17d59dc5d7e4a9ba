/// What a response is an answer to: its method decides how it is framed (RFC 9112 6.3).
public struct ResponseContext: Sendable {
  /// True for HEAD: whatever the fields say, no content follows.
  public var isHead: Bool

  public init(isHead: Bool) { self.isHead = isHead }
}

/// A response head (RFC 9112 4 to 6): an index of offsets into the bytes it was read from, as `RequestHead`.
public struct ResponseHead: Sendable {
  /// 100 to 999.
  public private(set) var status = 0
  /// May be empty.
  public private(set) var reason = 0..<0
  /// 0 for HTTP/1.0, 1 for HTTP/1.1.
  public private(set) var minorVersion = 1
  public private(set) var framing = BodyFraming.none
  /// True when the upstream keeps the connection (RFC 9112 9.3).
  public private(set) var isPersistent = true
  /// True when the content is an event stream (WHATWG HTML 9.2).
  public private(set) var isEventStream = false
  /// True when the upstream switches protocols to the WebSocket protocol, as a 101 must say (RFC 9110 15.2.2).
  public private(set) var switchesToWebSocket = false

  var fields = FieldSection()

  public init() {}

  /// True for 1xx, which another response follows (RFC 9110 15.2).
  public var isInterim: Bool { status < 200 }

  /// Reads a head from the beginning of `bytes`, anew in every call; what `RequestHead.read` says of pieces and of
  /// bytes behind the head holds here too.
  public mutating func read(
    _ bytes: Span<UInt8>, limits: HeadLimits, context: ResponseContext
  ) -> HeadProgress {
    clear()
    let window = bytes.extracting(first: limits.head)
    let unfinished: HeadProgress = window.count == limits.head ? .rejected(.headTooLarge) : .incomplete
    let start: Int
    switch readStatusLine(window) {
    case .incomplete: return unfinished
    case .rejected(let reason): return .rejected(reason)
    case .complete(let next): start = next
    }
    let rules = FieldSection.Rules(
      classifier: FieldNameClassifier(), maximumFields: limits.fields, removesBlanksBeforeColon: true,
      dropsCollisions: false)
    switch fields.read(window, from: start, rules: rules) {
    case .incomplete: return unfinished
    case .rejected(let reason): return .rejected(reason)
    case .end(let end):
      if let reason = judge(window, context) { return .rejected(reason) }
      return .complete(byteCount: end)
    }
  }

  /// Forgets the response before, whose offsets mean nothing in other bytes.
  private mutating func clear() {
    fields.removeAll()
    status = 0
    reason = 0..<0
    minorVersion = 1
    framing = .none
    isPersistent = true
    isEventStream = false
    switchesToWebSocket = false
  }

  /// `HTTP/1.DIGIT SP 3DIGIT [ SP reason ] CRLF`; the SP in front of an absent reason may be missing, as some
  /// servers leave it out.
  private mutating func readStatusLine(_ bytes: Span<UInt8>) -> HeadProgress {
    let expected: StaticString = "HTTP/1."
    for offset in 0..<7 {
      guard offset < bytes.count else { return .incomplete }
      guard bytes[offset] == expected.utf8Start[offset] else { return .rejected(.malformedStatusLine) }
    }
    guard bytes.count > 12 else { return .incomplete }
    guard ASCII.isDigit(bytes[7]), bytes[8] == ASCII.space, ASCII.isDigit(bytes[9]), bytes[9] != 0x30,
      ASCII.isDigit(bytes[10]), ASCII.isDigit(bytes[11])
    else { return .rejected(.malformedStatusLine) }
    minorVersion = bytes[7] == 0x30 ? 0 : 1
    status = Int(bytes[9] &- 0x30) * 100 + Int(bytes[10] &- 0x30) * 10 + Int(bytes[11] &- 0x30)
    var index = 12
    if bytes[12] == ASCII.space {
      index = 13
    } else if bytes[12] != ASCII.carriageReturn {
      return .rejected(.malformedStatusLine)
    }
    let reasonStart = index
    while true {
      index = bytes.firstStop(from: index, stoppingAtSpace: false)
      guard index < bytes.count else { return .incomplete }
      if bytes[index] != ASCII.tab { break }
      index += 1
    }
    guard bytes[index] == ASCII.carriageReturn else { return .rejected(.malformedStatusLine) }
    guard index + 1 < bytes.count else { return .incomplete }
    guard bytes[index + 1] == ASCII.lineFeed else { return .rejected(.bareLineEnd) }
    reason = reasonStart..<index
    return .complete(byteCount: index + 2)
  }

  private mutating func judge(_ bytes: Span<UInt8>, _ context: ResponseContext) -> Rejection? {
    let options = fields.connection
    isPersistent = minorVersion == 1 ? !options.close : options.keepAlive && !options.close
    if fields.names.contains(.contentType) || status == 101 { judgeOptionalFields(bytes) }

    if isInterim || status == 204 || status == 304 || context.isHead {
      return nil
    }
    if fields.hasTransferEncoding {
      // RFC 9112 6.3 item 3 would have Transfer-Encoding win; a message that says both is not to be trusted.
      if fields.contentLength != nil { return .contentLengthWithTransferEncoding }
      if fields.hasOtherCoding { return .unsupportedTransferCoding }
      if fields.chunkedCount != 1 { return .malformedTransferEncoding }
      if minorVersion == 0 { return .transferEncodingInHTTP10 }
      framing = .chunked
    } else if let length = fields.contentLength {
      framing = length == 0 ? .none : .length(length)
    } else {
      framing = .untilClose
    }
    return nil
  }

  /// Whether a value of Content-Type is `text/event-stream`, with or without parameters.
  private static func isEventStream(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
    guard value.count >= 17, bytes.equals("text/event-stream", in: value.prefix(17)) else { return false }
    var end = value.lowerBound + 17
    while end < value.upperBound, ASCII.isBlank(bytes[end]) { end += 1 }
    return end == value.upperBound || bytes[end] == 0x3B
  }

  private mutating func judgeOptionalFields(_ bytes: Span<UInt8>) {
    for line in fields.lines {
      switch line.name {
      case .contentType:
        isEventStream = Self.isEventStream(bytes, line.valueRange)
      case .upgrade:
        var rest = line.valueRange
        while let element = bytes.nextListElement(in: &rest) {
          if bytes.equals("websocket", in: element) { switchesToWebSocket = true }
        }
      default: break
      }
    }
    switchesToWebSocket = switchesToWebSocket && status == 101
  }
}
