import HTTP1
import HTTP1Invariants

let ordinaryLimits = HeadLimits(line: 8192, head: 65536, fields: 100)

/// A request head and what it was read from.
struct RequestReading {
  let bytes: [UInt8]
  let head: RequestHead
  let progress: HeadProgress

  init(
    _ bytes: [UInt8], limits: HeadLimits = ordinaryLimits,
    classifier: FieldNameClassifier = FieldNameClassifier(identityNames: [Array("remote-user".utf8)])
  ) {
    var head = RequestHead()
    progress = head.read(bytes.span, limits: limits, classifier: classifier)
    self.bytes = bytes
    self.head = head
  }

  init(_ text: String, limits: HeadLimits = ordinaryLimits) { self.init(Array(text.utf8), limits: limits) }

  /// A GET of HTTP/1.1 with Host and the given field lines.
  init(fields: String...) {
    self.init("GET / HTTP/1.1\r\nHost: h\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n")
  }

  /// Nil when the head is taken whole, or is not complete.
  var rejection: Rejection? {
    if case .rejected(let reason) = progress { return reason }
    return nil
  }

  var isTaken: Bool { progress == .complete(byteCount: bytes.count) }

  func text(_ range: Range<Int>?) -> String? { range.map { latin1(bytes[$0]) } }

  /// What goes upstream, without the empty line.
  func written(dropping dropped: FieldNameSet = []) -> String {
    var buffer = ByteBuffer()
    head.write(bytes.span, dropping: dropped, to: &buffer)
    return latin1(buffer.bytes)
  }
}

/// A response head and what it was read from.
struct ResponseReading {
  let bytes: [UInt8]
  let head: ResponseHead
  let progress: HeadProgress

  init(_ bytes: [UInt8], limits: HeadLimits = ordinaryLimits, isHead: Bool = false) {
    var head = ResponseHead()
    progress = head.read(bytes.span, limits: limits, context: ResponseContext(isHead: isHead))
    self.bytes = bytes
    self.head = head
  }

  init(_ text: String, limits: HeadLimits = ordinaryLimits, isHead: Bool = false) {
    self.init(Array(text.utf8), limits: limits, isHead: isHead)
  }

  var rejection: Rejection? {
    if case .rejected(let reason) = progress { return reason }
    return nil
  }

  var isTaken: Bool { progress == .complete(byteCount: bytes.count) }

  func written(_ framing: ClientFraming) -> String {
    var buffer = ByteBuffer()
    head.write(bytes.span, framing: framing, to: &buffer)
    return latin1(buffer.bytes)
  }
}
