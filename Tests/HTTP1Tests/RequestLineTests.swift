import HTTP1
import HTTP1Invariants
import Testing

/// RFC 9112 2.2, 2.3, 3.
@Suite struct RequestLineTests {
  @Test(arguments: [
    ("GET", MethodClass.safe), ("TRACE", .safe), ("HEAD", .head), ("OPTIONS", .options), ("PUT", .idempotent),
    ("DELETE", .idempotent), ("POST", .unsafe), ("PATCH", .unsafe), ("get", .unsafe), ("Head", .unsafe),
    ("connect", .unsafe), ("GETT", .unsafe), ("G", .unsafe), ("M-SEARCH", .unsafe),
    ("!#$%&'*+-.^_`|~09AZaz", .unsafe),
  ])
  func methodsAreTokensAndMatterInCase(_ method: String, _ expected: MethodClass) {
    let reading = RequestReading("\(method) /p HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.text(reading.head.method) == method)
    #expect(reading.head.methodClass == expected)
    #expect(reading.written() == "\(method) /p HTTP/1.1\r\nHost: h\r\n")
  }

  @Test(arguments: [
    ("", Rejection.malformedRequestLine), (" GET / HTTP/1.1", .malformedRequestLine),
    ("\tGET / HTTP/1.1", .malformedRequestLine), ("GET", .malformedRequestLine),
    ("GET ", .malformedRequestLine), ("GET /", .malformedRequestLine), ("GET / ", .malformedRequestLine),
    ("GET\t/ HTTP/1.1", .malformedRequestLine), ("GET /\tHTTP/1.1", .malformedRequestLine),
    ("GET  / HTTP/1.1", .malformedRequestLine), ("GET /  HTTP/1.1", .malformedRequestLine),
    ("GET / HTTP/1.1 ", .malformedRequestLine), ("GET / HTTP/1.1\t", .malformedRequestLine),
    ("GET /a b HTTP/1.1", .malformedRequestLine), ("GE(T / HTTP/1.1", .malformedRequestLine),
    ("GE\u{7F}T / HTTP/1.1", .malformedRequestLine), ("GÉT / HTTP/1.1", .malformedRequestLine),
    ("GET: / HTTP/1.1", .malformedRequestLine), ("\0GET / HTTP/1.1", .malformedRequestLine),
    ("GET /\0 HTTP/1.1", .malformedRequestLine), ("GET /\u{7F} HTTP/1.1", .malformedRequestLine),
    ("GET /\u{0B} HTTP/1.1", .malformedRequestLine), ("GET / http/1.1", .malformedRequestLine),
    ("GET / HTTP/11", .malformedRequestLine), ("GET / HTTP/1.10", .malformedRequestLine),
    ("GET / HTTP/1", .malformedRequestLine), ("GET / HTTP/1.", .malformedRequestLine),
    ("GET / HTTP/1.x", .malformedRequestLine), ("GET / HTTP/x.1", .malformedRequestLine),
    ("GET / HTTP/-1.1", .malformedRequestLine), ("GET / HTTP 1.1", .malformedRequestLine),
    ("GET / HTTPS/1.1", .malformedRequestLine), ("GET / HTTP/١.1", .malformedRequestLine),
    ("GET / HTTP/0.9", .unsupportedVersion), ("GET / HTTP/2.0", .unsupportedVersion),
    ("GET / HTTP/3.1", .unsupportedVersion), ("PRI * HTTP/2.0", .unsupportedVersion),
    ("GET / HTTP/1.1\rX", .bareLineEnd), ("GET / HTTP/1.1\nX", .bareLineEnd),
    ("GET /\rX HTTP/1.1", .malformedRequestLine), ("GET /\n HTTP/1.1", .malformedRequestLine),
  ])
  func whateverElseIsRefused(_ line: String, _ expected: Rejection) {
    #expect(RequestReading("\(line)\r\nHost: h\r\n\r\n").rejection == expected, "\(line.debugDescription)")
  }

  @Test(arguments: [(0, 0), (1, 1), (2, 1), (9, 1)])
  func minorVersionsAboveOneAreOne(_ minor: Int, _ expected: Int) {
    let reading = RequestReading("GET / HTTP/1.\(minor)\r\nHost: h\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.head.minorVersion == expected)
    #expect(reading.written().hasPrefix("GET / HTTP/1.1\r\n"))
  }

  @Test func oneEmptyLineInFrontIsIgnored() {
    let reading = RequestReading("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.text(reading.head.method) == "GET")
    #expect(reading.written() == "GET / HTTP/1.1\r\nHost: h\r\n")
  }

  @Test(arguments: ["\r\n\r\nGET / HTTP/1.1\r\n", "\nGET / HTTP/1.1\r\n", "\rGET / HTTP/1.1\r\n", " \r\nGET"])
  func moreThanThatIsNot(_ text: String) {
    #expect(RequestReading(text).rejection == .malformedRequestLine)
  }

  @Test(arguments: [
    "", "\r", "\r\n", "G", "GET", "GET ", "GET /", "GET / ", "GET / HTTP/1.1", "GET / HTTP/1.1\r",
  ])
  func theBeginningOfALineIsIncomplete(_ text: String) {
    #expect(RequestReading(text).progress == .incomplete)
  }

  @Test func connectIsRefused() {
    #expect(RequestReading("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n").rejection == .connectMethod)
    #expect(Rejection.connectMethod.status == 405)
  }

  /// Guards against offsets of the request before, which a log line would take for those of this one.
  @Test func aRejectedHeadHasNothingOfTheOneBefore() {
    var head = RequestHead()
    let long = Array("DELETE http://example.org/long?target HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n".utf8)
    #expect(
      head.read(long.span, limits: ordinaryLimits, classifier: FieldNameClassifier())
        == .complete(byteCount: long.count))
    let broken = Array("\0".utf8)
    #expect(
      head.read(broken.span, limits: ordinaryLimits, classifier: FieldNameClassifier())
        == .rejected(.malformedRequestLine))
    #expect(head.method.isEmpty && head.target.isEmpty && head.path.isEmpty && head.authority == nil)
    #expect(head.value(of: .expect) == nil && head.methodClass == .unsafe)
  }

  @Test func aHeadRejectedForItsFieldsHasItsOwnRequestLine() {
    let reading = RequestReading("PUT /p HTTP/1.1\r\nbad\r\n\r\n")
    #expect(reading.rejection == .malformedFieldName)
    #expect(reading.text(reading.head.method) == "PUT" && reading.text(reading.head.target) == "/p")
  }
}
