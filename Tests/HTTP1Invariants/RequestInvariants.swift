import HTTP1

/// What must hold for a request head made of whatever bytes.
public enum RequestInvariants {
  static let hopByHop: Set<String> = [
    "connection", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings",
  ]
  static let framing: Set<String> = ["host", "content-length", "transfer-encoding"]
  static let edge: Set<String> = ["forwarded", "x-real-ip", "x-request-id", "x-url-scheme", "remote-user"]
  static let classifier = FieldNameClassifier(identityNames: [Array("remote-user".utf8)])
  private static let unlimited = HeadLimits(line: 1 << 24, head: 1 << 24, fields: 1 << 16)

  /// Throws when one of them does not hold; true when the bytes begin with a head that is taken.
  @discardableResult
  public static func check(_ bytes: [UInt8], limits: HeadLimits) throws(Violation) -> Bool {
    let whole = Reading(bytes, limits)
    try checkCuts(of: bytes, limits: limits, follower: "GET /next HTTP/1.1\r\n\r\n\0", whole: whole) {
      Reading($0, limits)
    }
    guard case .complete(let byteCount) = whole.progress else { return false }
    guard byteCount <= min(limits.head, bytes.count) else { throw Violation("a head behind its bounds") }
    for client in whole.clients where client.isEmpty || client.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
      throw Violation("a client of Forwarded is no node")
    }
    let head = bytes[..<byteCount]
    let received = try StrictHead(head.starts(with: [0x0D, 0x0A]) ? head.dropFirst(2) : head)
    let sent = try StrictHead(whole.written[...])
    try checkSent(sent, received: received, whole)
    try checkSecondReading(whole)
    return true
  }

  private static func checkSent(
    _ sent: StrictHead, received: StrictHead, _ whole: Reading
  ) throws(Violation) {
    let (method, target) = try sent.requestLine()
    guard method == whole.method else { throw Violation("another method goes upstream") }
    // An absolute target may leave out the path, which is then `/` or `*`.
    let prefix = target.prefix(max(0, target.count - whole.path.count))
    guard prefix + whole.path == target, ["", "/", "*"].contains(latin1(prefix)) else {
      throw Violation("another target goes upstream")
    }

    guard sent.values("host").count == 1, whole.authority.isEmpty || sent.fields[0].value == whole.authority
    else { throw Violation("not exactly one Host, or another") }
    let (length, isChunked) = try sent.framing()
    let framing: BodyFraming = isChunked ? .chunked : length.map { $0 > 0 ? .length($0) : .none } ?? .none
    guard framing == whole.framing else { throw Violation("\(framing) sent, \(whole.framing) received") }

    // Hop by hop is only what this proxy says itself.
    let hops = sent.fields.filter { hopByHop.contains($0.name) }
    let own = whole.asksForWebSocket ? ["connection upgrade", "upgrade websocket"] : []
    guard hops.map({ "\($0.name) \(latin1($0.value))" }) == own else {
      throw Violation("hop-by-hop fields go upstream")
    }
    let nominated = Set(received.values("connection").flatMap(\.elements))
    let rewritten = hopByHop.union(Self.framing).union(["expect", "trailer"])
    let expected = received.fields.filter { field in
      !rewritten.contains(field.name) && !isEdge(field.name) && !nominated.contains(field.name)
        && !speaksForAnother(field.name)
    }
    guard sent.fields.filter({ !rewritten.contains($0.name) }) == expected else {
      throw Violation("other fields go upstream than were received")
    }
  }

  static func isEdge(_ name: String) -> Bool { edge.contains(name) || name.hasPrefix("x-forwarded-") }

  /// A name that WSGI makes a protected one of.
  static func speaksForAnother(_ name: String) -> Bool {
    guard name.contains("_") else { return false }
    let dashed = String(name.map { $0 == "_" ? "-" : $0 })
    return isEdge(dashed) || hopByHop.contains(dashed) || framing.contains(dashed)
  }

  /// What is written is read as what it was written from, and writing it again changes nothing.
  private static func checkSecondReading(_ whole: Reading) throws(Violation) {
    let second = Reading(whole.written, unlimited)
    guard second.progress == .complete(byteCount: whole.written.count) else {
      throw Violation("what was written is read as \(second.progress)")
    }
    guard second.written == whole.written else { throw Violation("written again it is another head") }
    guard second.method == whole.method, second.framing == whole.framing,
      second.expectsContinue == whole.expectsContinue, second.asksForWebSocket == whole.asksForWebSocket
    else { throw Violation("what was written means something else") }
  }

  /// One reading, and all that it says.
  private struct Reading: HeadReading {
    var progress: HeadProgress
    var method = ""
    var path: [UInt8] = []
    var authority: [UInt8] = []
    var framing = BodyFraming.none
    var isPersistent = true
    var expectsContinue = false
    var asksForWebSocket = false
    var acceptsTrailers = false
    /// What Forwarded says of clients.
    var clients: [[UInt8]] = []
    var written: [UInt8] = []

    init(_ bytes: [UInt8], _ limits: HeadLimits) {
      var head = RequestHead()
      progress = head.read(bytes.span, limits: limits, classifier: classifier)
      guard case .complete = progress else { return }
      method = latin1(bytes[head.method])
      path = Array(bytes[head.path])
      authority = head.authority.map { Array(bytes[$0]) } ?? []
      framing = head.framing
      isPersistent = head.isPersistent
      expectsContinue = head.expectsContinue
      asksForWebSocket = head.asksForWebSocket
      acceptsTrailers = head.acceptsTrailers
      var elements = ForwardedElements()
      for value in head.values(of: .forwarded) { elements.read(bytes.span, value) }
      clients = elements.clients.map { Array(bytes[$0]) }
      var buffer = ByteBuffer()
      head.write(bytes.span, dropping: .edge, to: &buffer)
      buffer.append("\r\n")
      written = Array(buffer.bytes)
    }
  }
}
