import HTTP1
import Testing

@testable import galaxy_lb

/// A request head together with the bytes it was read from.
struct ReadRequest {
  let head: RequestHead
  let bytes: [UInt8]

  /// Reads a whole head; lines without their CRLF, the request line first.
  init(_ lines: String..., identityNames: [String] = [], sourceLocation: SourceLocation = #_sourceLocation) {
    let bytes = Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
    var head = RequestHead()
    let progress = head.read(
      bytes.span, limits: HeadLimits(line: 8192, head: 65_536, fields: 100),
      classifier: FieldNameClassifier(identityNames: identityNames.map { Array($0.utf8) }))
    #expect(progress == .complete(byteCount: bytes.count), sourceLocation: sourceLocation)
    self.bytes = bytes
    self.head = head
  }
}

/// What a writer appends to an empty buffer, as text.
func written(_ body: (inout ByteBuffer) -> Void) -> String {
  var buffer = ByteBuffer()
  body(&buffer)
  return String(decoding: buffer.bytes, as: UTF8.self)
}
