/// Bounds on a request head, in bytes unless said otherwise (RFC 9110 5.4, RFC 6585 5).
public struct HeadLimits: Sendable {
  /// The request line alone, without its line end; a status line is bounded by `head`.
  public var line: Int
  /// The first line and all fields, with their line ends, the empty line at the end, and one in front.
  public var head: Int
  /// The number of field lines.
  public var fields: Int

  public init(line: Int, head: Int, fields: Int) {
    self.line = line
    self.head = head
    self.fields = fields
  }
}

/// What a method means for sending a request again and for framing its answer (RFC 9110 9.2).
public enum MethodClass: Sendable {
  case head
  case options
  /// GET and TRACE: safe, hence idempotent.
  case safe
  /// PUT and DELETE.
  case idempotent
  /// POST, PATCH and whatever is not known: never sent again once it may have been received.
  case unsafe

  /// RFC 9110 9.2.2.
  public var isIdempotent: Bool { self != .unsafe }
}

/// A request head (RFC 9112 2 to 6): an index of offsets into the bytes it was read from, which the caller keeps
/// for as long as it asks for anything but the plain properties. One value serves one request after another
/// without new memory.
public struct RequestHead: Sendable {
  /// The method as it stands in the bytes.
  public private(set) var method = 0..<0
  public private(set) var methodClass = MethodClass.unsafe
  /// The whole target as it stands in the bytes.
  public private(set) var target = 0..<0
  /// 0 for HTTP/1.0, 1 for HTTP/1.1 and later minor versions.
  public private(set) var minorVersion = 1
  /// `none`, `length` or `chunked`.
  public private(set) var framing = BodyFraming.none
  /// False when the client asks for the end of the connection, or is of HTTP/1.0 and does not ask to keep it
  /// (RFC 9112 9.3).
  public private(set) var isPersistent = true
  /// True when the client waits for 100 (Continue) before it sends the body (RFC 9110 10.1.1).
  public private(set) var expectsContinue = false
  /// True for a request of HTTP/1.1 with `Upgrade: websocket` and `Connection: upgrade` (RFC 6455 4.1).
  public private(set) var asksForWebSocket = false
  /// True when TE names trailers (RFC 9110 10.1.4).
  public private(set) var acceptsTrailers = false

  var fields = FieldSection()
  var cutTarget: RequestTarget?

  public init() {}

  /// Reads a head from the beginning of `bytes`, anew in every call. Of a head that comes in pieces only a piece
  /// with a line feed (see `endsLine`), or one that takes the bytes to `limits.head`, can be the last.
  ///
  /// The answer is one of the byte stream, not of its pieces: once it is not `incomplete` it stays the same
  /// whatever is appended. After a rejection `method` and `target` are those of this head, or empty.
  public mutating func read(
    _ bytes: Span<UInt8>, limits: HeadLimits, classifier: FieldNameClassifier
  ) -> HeadProgress {
    clear()
    // What lies behind the limit has no say, so that requests that wait behind this one don't count against it.
    let window = bytes.extracting(first: limits.head)
    let unfinished: HeadProgress = window.count == limits.head ? .rejected(.headTooLarge) : .incomplete
    var start = 0
    // RFC 9112 2.2: an empty line in front of a request line is ignored.
    if window.count >= 2, window[0] == ASCII.carriageReturn, window[1] == ASCII.lineFeed { start = 2 }
    if window.count == 1, window[0] == ASCII.carriageReturn { return unfinished }

    let lineBound = start + limits.line + 2
    let line = window.extracting(first: lineBound)
    let fieldsStart: Int
    switch readRequestLine(line, from: start) {
    case .incomplete:
      return line.count == lineBound ? .rejected(.requestLineTooLong) : unfinished
    case .rejected(let reason): return .rejected(reason)
    case .complete(let next): fieldsStart = next
    }

    let rules = FieldSection.Rules(
      classifier: classifier, maximumFields: limits.fields, removesBlanksBeforeColon: false,
      dropsCollisions: true)
    switch fields.read(window, from: fieldsStart, rules: rules) {
    case .incomplete: return unfinished
    case .rejected(let reason): return .rejected(reason)
    case .end(let end):
      if let reason = judge(window) { return .rejected(reason) }
      return .complete(byteCount: end)
    }
  }

  /// Forgets the request before, whose offsets mean nothing in other bytes.
  private mutating func clear() {
    fields.removeAll()
    cutTarget = nil
    method = 0..<0
    methodClass = .unsafe
    target = 0..<0
    minorVersion = 1
    framing = .none
    isPersistent = true
    expectsContinue = false
    asksForWebSocket = false
    acceptsTrailers = false
  }

  private mutating func readRequestLine(_ bytes: Span<UInt8>, from start: Int) -> HeadProgress {
    var index = start
    while index < bytes.count, ASCII.isToken(bytes[index]) { index &+= 1 }
    guard index < bytes.count else { return .incomplete }
    guard bytes[index] == ASCII.space, index > start else { return .rejected(.malformedRequestLine) }
    method = start..<index
    methodClass = Self.classify(bytes, method)
    let targetStart = index &+ 1
    index = bytes.firstStop(from: targetStart, stoppingAtSpace: true)
    guard index < bytes.count else { return .incomplete }
    guard bytes[index] == ASCII.space else {
      // "GET /" of HTTP/0.9 ends here; so does a target with a control character in it.
      return .rejected(.malformedRequestLine)
    }
    target = targetStart..<index
    return readVersion(bytes, from: index &+ 1)
  }

  /// `HTTP/1.DIGIT CRLF` (RFC 9112 2.3).
  private mutating func readVersion(_ bytes: Span<UInt8>, from start: Int) -> HeadProgress {
    let expected: StaticString = "HTTP/"
    for offset in 0..<5 {
      guard start + offset < bytes.count else { return .incomplete }
      guard bytes[start + offset] == expected.utf8Start[offset] else {
        return .rejected(.malformedRequestLine)
      }
    }
    guard start + 9 < bytes.count else { return .incomplete }
    let major = bytes[start + 5]
    let minor = bytes[start + 7]
    guard ASCII.isDigit(major), bytes[start + 6] == 0x2E, ASCII.isDigit(minor) else {
      return .rejected(.malformedRequestLine)
    }
    guard bytes[start + 8] == ASCII.carriageReturn, bytes[start + 9] == ASCII.lineFeed else {
      return .rejected(
        bytes[start + 8] == ASCII.lineFeed || bytes[start + 8] == ASCII.carriageReturn
          ? .bareLineEnd : .malformedRequestLine)
    }
    guard major == 0x31 else { return .rejected(.unsupportedVersion) }
    minorVersion = minor == 0x30 ? 0 : 1
    return .complete(byteCount: start + 10)
  }

  private static func classify(_ bytes: Span<UInt8>, _ range: Range<Int>) -> MethodClass {
    // Methods are case-sensitive (RFC 9110 9.1).
    func isExactly(_ name: StaticString) -> Bool {
      guard range.count == name.utf8CodeUnitCount else { return false }
      for offset in 0..<range.count where bytes[range.lowerBound + offset] != name.utf8Start[offset] {
        return false
      }
      return true
    }
    return switch range.count {
    case 3: isExactly("GET") ? .safe : isExactly("PUT") ? .idempotent : .unsafe
    case 4: isExactly("HEAD") ? .head : .unsafe
    case 5: isExactly("TRACE") ? .safe : .unsafe
    case 6: isExactly("DELETE") ? .idempotent : .unsafe
    case 7: isExactly("OPTIONS") ? .options : .unsafe
    default: .unsafe
    }
  }

  /// What the whole head has to satisfy: target, Host, framing.
  private mutating func judge(_ bytes: Span<UInt8>) -> Rejection? {
    if isConnect(bytes) { return .connectMethod }
    guard let cut = RequestTarget(bytes, target, isOptions: methodClass == .options) else {
      return .malformedTarget
    }
    cutTarget = cut
    if let reason = judgeHost(bytes) ?? judgeFraming() { return reason }

    let options = fields.connection
    isPersistent = minorVersion == 1 ? !options.close : options.keepAlive && !options.close
    if minorVersion == 1 { judgeOptionalFields(bytes) }
    return nil
  }

  private func isConnect(_ bytes: Span<UInt8>) -> Bool {
    let expected: StaticString = "CONNECT"
    guard method.count == 7 else { return false }
    for offset in 0..<7 where bytes[method.lowerBound + offset] != expected.utf8Start[offset] { return false }
    return true
  }

  /// RFC 9112 3.2.
  private func judgeHost(_ bytes: Span<UInt8>) -> Rejection? {
    if fields.hasRepeatedHost { return .repeatedHost }
    guard let line = fields.hostLine else { return minorVersion == 1 ? .missingHost : nil }
    return Authority.isValid(bytes, fields.lines[line].valueRange) ? nil : .malformedHost
  }

  /// RFC 9112 6.1, 6.3.
  private mutating func judgeFraming() -> Rejection? {
    guard fields.hasTransferEncoding else {
      if let length = fields.contentLength, length > 0 { framing = .length(length) }
      return nil
    }
    if minorVersion == 0 { return .transferEncodingInHTTP10 }
    if fields.contentLength != nil { return .contentLengthWithTransferEncoding }
    if fields.hasOtherCoding { return .unsupportedTransferCoding }
    if fields.chunkedCount != 1 { return .malformedTransferEncoding }
    framing = .chunked
    return nil
  }

  private mutating func judgeOptionalFields(_ bytes: Span<UInt8>) {
    let interesting = FieldNameSet(.expect, .upgrade, .te)
    guard !fields.names.isDisjoint(with: interesting) else { return }
    for line in fields.lines where interesting.contains(line.name) {
      switch line.name {
      case .expect:
        // Without content there is nothing to wait for (RFC 9110 10.1.1).
        guard framing != .none else { break }
        var rest = line.valueRange
        while let expectation = bytes.nextListElement(in: &rest) {
          if bytes.equals("100-continue", in: expectation) { expectsContinue = true }
        }
      case .upgrade:
        guard fields.connection.upgrade else { break }
        var rest = line.valueRange
        while let element = bytes.nextListElement(in: &rest) {
          // A body in front of a tunnel would leave it open where the tunnel begins.
          if bytes.equals("websocket", in: element) { asksForWebSocket = framing == .none }
        }
      default:
        var rest = line.valueRange
        while let element = bytes.nextListElement(in: &rest) {
          if bytes.equals("trailers", in: element) { acceptsTrailers = true }
        }
      }
    }
  }

  /// Whose site is asked for: the authority of an absolute target, else the value of Host; nil when there is
  /// neither (HTTP/1.0).
  public var authority: Range<Int>? {
    if let authority = cutTarget?.authority { return authority }
    return fields.hostLine.map { fields.lines[$0].valueRange }
  }

  /// Path and query as they go upstream, without the `/` or `*` that an absolute target may leave out.
  public var path: Range<Int> { cutTarget?.forwarded ?? target }

  /// The value of the first field of a kind, nil when there is none.
  public func value(of name: FieldName) -> Range<Int>? {
    guard fields.names.contains(name) else { return nil }
    return fields.lines.first { $0.name == name }?.valueRange
  }

  /// The values of all fields of a kind, in order. Only for kinds that are rare: it makes an array.
  public func values(of name: FieldName) -> [Range<Int>] {
    guard fields.names.contains(name) else { return [] }
    return fields.lines.filter { $0.name == name && !$0.isDropped }.map(\.valueRange)
  }
}
