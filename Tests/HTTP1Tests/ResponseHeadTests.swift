import HTTP1
import HTTP1Invariants
import Testing

/// RFC 9112 4 to 6.
@Suite struct ResponseHeadTests {
  @Test(arguments: [
    ("HTTP/1.1 200 OK", 200, "OK", 1), ("HTTP/1.1 200 ", 200, "", 1), ("HTTP/1.1 200", 200, "", 1),
    ("HTTP/1.0 404 Not Found", 404, "Not Found", 0), ("HTTP/1.7 599 x", 599, "x", 1),
    ("HTTP/1.1 100 Continue", 100, "Continue", 1), ("HTTP/1.1 999 ?", 999, "?", 1),
    ("HTTP/1.1 200 a\tb  c ", 200, "a\tb  c ", 1), ("HTTP/1.1 200  OK", 200, " OK", 1),
  ])
  func statusLines(_ line: String, _ status: Int, _ reason: String, _ minor: Int) {
    let reading = ResponseReading("\(line)\r\nContent-Length: 0\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.head.status == status && reading.head.minorVersion == minor)
    #expect(latin1(reading.bytes[reading.head.reason]) == reason)
    #expect(reading.written(.unchanged).hasPrefix("HTTP/1.1 \(status) \(reason)\r\n"))
  }

  @Test(arguments: [
    ("", Rejection.malformedStatusLine), ("\r\nHTTP/1.1 200 OK", .malformedStatusLine),
    (" HTTP/1.1 200 OK", .malformedStatusLine), ("http/1.1 200 OK", .malformedStatusLine),
    ("HTTP/2.0 200 OK", .malformedStatusLine), ("HTTP/0.9 200 OK", .malformedStatusLine),
    ("HTTP/1.x 200 OK", .malformedStatusLine), ("HTTP/1.10 200 OK", .malformedStatusLine),
    ("HTTP/1.1  200 OK", .malformedStatusLine), ("HTTP/1.1\t200 OK", .malformedStatusLine),
    ("HTTP/1.1 099 OK", .malformedStatusLine), ("HTTP/1.1 000 OK", .malformedStatusLine),
    ("HTTP/1.1 20 OK", .malformedStatusLine), ("HTTP/1.1 2000 OK", .malformedStatusLine),
    ("HTTP/1.1 2x0 OK", .malformedStatusLine), ("HTTP/1.1 20x OK", .malformedStatusLine),
    ("HTTP/1.1 +20 OK", .malformedStatusLine), ("HTTP/1.1 200OK", .malformedStatusLine),
    ("HTTP/1.1 200\tOK", .malformedStatusLine), ("HTTP/1.1 200 O\0K", .malformedStatusLine),
    ("HTTP/1.1 200 O\u{7F}K", .malformedStatusLine), ("HTTP/1.1 200 O\nK", .malformedStatusLine),
    ("HTTP/1.1 200 O\rK", .bareLineEnd), ("HTTP/1.1 200\rX", .bareLineEnd),
    ("ICY 200 OK", .malformedStatusLine),
    ("<html>", .malformedStatusLine), ("200 OK", .malformedStatusLine),
  ])
  func malformedStatusLinesAreRefused(_ line: String, _ expected: Rejection) {
    #expect(ResponseReading("\(line)\r\n\r\n").rejection == expected, "\(line.debugDescription)")
  }

  @Test func bytesAboveASCIIInTheReasonGoOn() {
    let line = Array("HTTP/1.1 200 ".utf8) + (0x80...0xFF)
    let reading = ResponseReading(line + Array("\r\n\r\n".utf8))
    #expect(reading.isTaken)
    #expect(reading.written(.untilClose) == latin1(line) + "\r\n")
  }

  @Test(arguments: [
    ("Content-Length: 5", BodyFraming.length(5)), ("Content-Length: 0", .none),
    ("Content-Length: 5, 5", .length(5)),
    ("Content-Length: 9223372036854775807", .length(.max)), ("Transfer-Encoding: chunked", .chunked),
    ("Transfer-Encoding: , Chunked ,", .chunked), ("A: b", .untilClose),
  ])
  func contentIsDelimited(_ line: String, _ expected: BodyFraming) {
    for status in [200, 206, 401, 404, 500, 503, 205, 999] {
      let reading = ResponseReading("HTTP/1.1 \(status) x\r\n\(line)\r\n\r\n")
      #expect(reading.isTaken && reading.head.framing == expected)
      #expect(ResponseReading("HTTP/1.1 \(status) x\r\n\(line)\r\n\r\n", isHead: true).head.framing == .none)
    }
    for status in [100, 103, 101, 199, 204, 304] {
      let reading = ResponseReading("HTTP/1.1 \(status) x\r\n\(line)\r\n\r\n")
      #expect(reading.isTaken && reading.head.framing == .none, "\(status)")
    }
  }

  @Test(arguments: [
    ("Content-Length: 5\r\nTransfer-Encoding: chunked", Rejection.contentLengthWithTransferEncoding),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5", .contentLengthWithTransferEncoding),
    ("Transfer-Encoding: gzip, chunked", .unsupportedTransferCoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .malformedTransferEncoding),
    ("Transfer-Encoding:", .malformedTransferEncoding), ("Content-Length: x", .malformedContentLength),
    ("Content-Length: -1", .malformedContentLength), ("Content-Length:", .malformedContentLength),
    ("Content-Length: 5\r\nContent-Length: 6", .conflictingContentLength),
    ("Content-Length: 9223372036854775808", .malformedContentLength), ("A", .malformedFieldName),
    (": b", .malformedFieldName), ("A: b\0", .malformedFieldValue), ("A: b\rc", .bareLineEnd),
    ("A: b\nC: d", .bareLineEnd), ("A: b\r\n c", .lineFolding), (" A: b", .lineFolding),
    ("A B: c", .malformedFieldName),
  ])
  func malformedHeadsAreRefused(_ lines: String, _ expected: Rejection) {
    #expect(ResponseReading("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n").rejection == expected)
  }

  @Test func transferEncodingInHTTP10IsRefused() {
    let reading = ResponseReading("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    #expect(reading.rejection == .transferEncodingInHTTP10)
  }

  /// RFC 9112 5.1: in a response the blanks are removed.
  @Test func blanksInFrontOfAColonAreRemoved() {
    let reading = ResponseReading("HTTP/1.1 200 OK\r\nA \t: b\r\nContent-Length : 3\r\n\r\n")
    #expect(reading.isTaken && reading.head.framing == .length(3))
    #expect(reading.written(.unchanged) == "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n")
  }

  @Test(arguments: [
    ("HTTP/1.1 200 OK\r\n", true), ("HTTP/1.1 200 OK\r\nConnection: close\r\n", false),
    ("HTTP/1.0 200 OK\r\n", false), ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", true),
  ])
  func persistence(_ text: String, _ expected: Bool) {
    #expect(ResponseReading(text + "Content-Length: 0\r\n\r\n").head.isPersistent == expected)
  }

  @Test(arguments: [
    ("text/event-stream", true), ("Text/Event-Stream", true), ("text/event-stream;charset=utf-8", true),
    ("text/event-stream ; x", true), ("text/event-streams", false), ("text/plain", false), ("", false),
    ("x;text/event-stream", false),
  ])
  func eventStreamsAreKnown(_ value: String, _ expected: Bool) {
    #expect(
      ResponseReading("HTTP/1.1 200 OK\r\nContent-Type: \(value)\r\n\r\n").head.isEventStream == expected)
  }

  @Test(arguments: [
    ("101", "Upgrade: websocket\r\nConnection: upgrade", true),
    ("101", "upgrade: WebSocket\r\nConnection: x", true),
    ("101", "Connection: upgrade", false), ("101", "Upgrade: h2c", false),
    ("200", "Upgrade: websocket", false),
    ("100", "Upgrade: websocket", false),
  ])
  func switchesAreKnown(_ status: String, _ lines: String, _ expected: Bool) {
    let reading = ResponseReading("HTTP/1.1 \(status) x\r\n\(lines)\r\n\r\n")
    #expect(reading.head.switchesToWebSocket == expected)
  }

  /// Guards against what the response before said, on a connection that is kept.
  @Test func oneValueReadsOneAfterAnother() {
    var head = ResponseHead()
    func read(_ text: String) -> HeadProgress {
      let bytes = Array(text.utf8)
      return head.read(bytes.span, limits: ordinaryLimits, context: ResponseContext(isHead: false))
    }
    let stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    #expect(read(stream) == .complete(byteCount: stream.utf8.count))
    #expect(head.isEventStream && head.framing == .chunked)
    let bare = "HTTP/1.0 304 x\r\n\r\n"
    #expect(read(bare) == .complete(byteCount: bare.utf8.count))
    #expect(!head.isEventStream && head.framing == .none && head.status == 304)
    #expect(read("x\r\n") == .rejected(.malformedStatusLine))
    #expect(head.status == 0 && head.reason.isEmpty)
  }
}

/// What goes to the client, byte for byte.
@Suite struct ResponseWriterTests {
  private func written(_ lines: String, _ framing: ClientFraming, status: Int = 200, isHead: Bool = false)
    -> String?
  {
    let front = "HTTP/1.1 \(status) x\r\n"
    let reading = ResponseReading(front + lines + "\r\n", isHead: isHead)
    guard reading.isTaken else { return nil }
    let text = reading.written(framing)
    return text.hasPrefix(front) ? String(text.dropFirst(front.count)) : nil
  }

  @Test func fieldsGoOnUnchanged() {
    let lines =
      "Set-Cookie: a=1; Path=/\r\nLocation: http://x/\r\nSet-Cookie: b=2\r\nETag: \"x\"\r\nContent-Encoding: gzip\r\n"
      + "WWW-Authenticate: Basic\r\nContent-Range: bytes 0-1/2\r\nX_Under: 1\r\nX-Empty:\r\nContent-Length: 2\r\n"
    #expect(written(lines, .unchanged) == lines)
  }

  @Test func hopByHopAndNominatedFieldsEndHere() {
    let lines =
      "A: 1\r\nConnection: keep-alive, b\r\nKeep-Alive: timeout=2\r\nB: 2\r\nUpgrade: h2c\r\nProxy-Connection: x\r\n"
      + "TE: x\r\nC: 3\r\nContent-Length: 2\r\n"
    #expect(written(lines, .unchanged) == "A: 1\r\nC: 3\r\nContent-Length: 2\r\n")
  }

  @Test func framingIsSaidAnew() {
    #expect(
      written("Transfer-Encoding: chunked\r\nTrailer: X\r\n", .chunked)
        == "Trailer: X\r\nTransfer-Encoding: chunked\r\n")
    #expect(written("Transfer-Encoding: chunked\r\nTrailer: X\r\n", .untilClose) == "")
    #expect(written("A: b\r\n", .chunked) == "A: b\r\nTransfer-Encoding: chunked\r\n")
    #expect(written("A: b\r\n", .untilClose) == "A: b\r\n")
    #expect(written("Content-Length: 5, 5\r\nA: b\r\n", .unchanged) == "A: b\r\nContent-Length: 5\r\n")
    #expect(written("Content-Length: 5\r\nContent-Length: 5\r\n", .unchanged) == "Content-Length: 5\r\n")
  }

  @Test func theLengthOfAnAnswerWithoutContentIsKept() {
    #expect(written("Content-Length: 5\r\n", .unchanged, isHead: true) == "Content-Length: 5\r\n")
    #expect(written("Content-Length: 5\r\n", .unchanged, status: 304) == "Content-Length: 5\r\n")
  }

  @Test(arguments: [100, 103, 204])
  func thereIsNoLengthWhereNoneMayBe(_ status: Int) {
    #expect(written("Content-Length: 0\r\nLink: x\r\n", .unchanged, status: status) == "Link: x\r\n")
    #expect(written("Content-Length: 5, 5\r\n", .unchanged, status: status) == "")
    #expect(written("Transfer-Encoding: chunked\r\n", .unchanged, status: status) == "")
  }

  /// Guards against a Content-Length that goes on although Transfer-Encoding stood beside it (RFC 9112 6.3).
  @Test(arguments: ["Content-Length: 5", "Content-Length: 5, 5"])
  func lengthBesideACodingIsDroppedWhereNoContentFollows(_ line: String) {
    for lines in ["\(line)\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n\(line)\r\n"] {
      #expect(written(lines, .unchanged, isHead: true) == "")
      #expect(written(lines, .unchanged, status: 304) == "")
    }
  }

  @Test func aLengthIsNeverSaidBesideAnotherFraming() {
    #expect(written("Content-Length: 5\r\n", .chunked) == "Transfer-Encoding: chunked\r\n")
    #expect(written("Content-Length: 5\r\n", .untilClose) == "")
  }

  @Test func aSwitchIsSaidAnew() {
    let lines =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: k\r\nContent-Length: 0\r\n"
    #expect(
      written(lines, .unchanged, status: 101)
        == "Sec-WebSocket-Accept: k\r\nConnection: upgrade\r\nUpgrade: websocket\r\n")
  }
}
