import HTTP1
import Testing

/// RFC 9110 7.6.1, RFC 9112 9.3.
@Suite struct ConnectionTests {
  private static let front = "GET / HTTP/1.1\r\nHost: h\r\n"

  @Test(arguments: [
    (1, "", true), (1, "Connection: close\r\n", false), (1, "connection: CLOSE\r\n", false),
    (1, "Connection: keep-alive\r\n", true), (1, "Connection: keep-alive, close\r\n", false),
    (1, "Connection: ,x, ,close\r\n", false), (1, "Connection: x\r\nConnection: close\r\n", false),
    (1, "Connection: closed\r\n", true), (1, "Connection: clos\r\n", true), (1, "Connection: \r\n", true),
    (1, "Proxy-Connection: close\r\n", true), (0, "", false), (0, "Connection: keep-alive\r\n", true),
    (0, "Connection: Keep-Alive\r\n", true), (0, "Connection: keep-alive, close\r\n", false),
    (0, "Connection: close\r\n", false), (0, "Proxy-Connection: keep-alive\r\n", false),
    (0, "Keep-Alive: timeout=5\r\n", false),
  ])
  func persistence(_ minor: Int, _ lines: String, _ expected: Bool) {
    let reading = RequestReading("GET / HTTP/1.\(minor)\r\nHost: h\r\n\(lines)\r\n")
    #expect(reading.isTaken)
    #expect(reading.head.isPersistent == expected)
    #expect(reading.written() == Self.front)
  }

  @Test(arguments: [
    "Connection: x", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: trailers", "Upgrade: h2c",
    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA", "CONNECTION: x", "kEEP-aLIVE: x", "te:",
  ])
  func hopByHopFieldsEndHere(_ line: String) {
    #expect(RequestReading(fields: "A: 1", line, "B: 2").written() == Self.front + "A: 1\r\nB: 2\r\n")
  }

  @Test(arguments: [
    ["Connection: a"], ["Connection: A,close"], ["connection: ,, a ,,"],
    ["Connection: x", "Connection: y,\ta\t"],
    ["Connection: close, X-Other, a"], ["Connection: a, a"],
  ])
  func nominatedFieldsEndHere(_ lines: [String]) {
    let nomination = lines.map { $0 + "\r\n" }.joined()
    for text in [nomination + "A: 1\r\nAB: 2\r\na: 3\r\n", "A: 1\r\nAB: 2\r\na: 3\r\n" + nomination] {
      let reading = RequestReading(Self.front + text + "\r\n")
      #expect(reading.isTaken)
      #expect(reading.written() == Self.front + "AB: 2\r\n")
    }
  }

  @Test func nominatingWhatFramesAMessageHasNoEffect() {
    let reading = RequestReading(
      fields: "Connection: host, content-length, x-forwarded-for, remote-user, x-request-id, accept",
      "Content-Length: 5", "X-Forwarded-For: 1", "Remote-User: u", "X-Request-ID: 7", "Accept: */*")
    #expect(reading.isTaken && reading.head.framing == .length(5))
    #expect(
      reading.written()
        == Self.front + "Content-Length: 5\r\nX-Forwarded-For: 1\r\nRemote-User: u\r\nX-Request-ID: 7\r\n")
    let chunked = RequestReading(fields: "Connection: transfer-encoding", "Transfer-Encoding: chunked")
    #expect(chunked.head.framing == .chunked)
    #expect(chunked.written() == Self.front + "Transfer-Encoding: chunked\r\n")
  }

  @Test func whatIsNominatedIsNotReadAsASetOfItsKind() {
    let reading = RequestReading(fields: "Connection: user-agent", "User-Agent: u")
    #expect(reading.head.values(of: .userAgent).isEmpty)
  }

  @Test func optionsAreBounded() {
    func reading(_ count: Int) -> RequestReading {
      RequestReading(fields: "Connection: " + (0..<count).map { "a\($0)" }.joined(separator: ","))
    }
    #expect(reading(64).isTaken)
    #expect(reading(65).rejection == .tooManyConnectionOptions)
    let lines = String(repeating: "Connection: a, b, c\r\n", count: 22)
    #expect(RequestReading(Self.front + lines + "\r\n").rejection == .tooManyConnectionOptions)
    // Empty elements are none.
    #expect(RequestReading(fields: "Connection: " + String(repeating: ",", count: 5000)).isTaken)
  }
}

/// RFC 9110 10.1.1 and 10.1.4.
@Suite struct ExpectationTests {
  @Test(arguments: [
    ("100-continue", true), ("100-Continue", true), ("100-CONTINUE ", true), (",100-continue", true),
    ("100-continue, 100-continue", true), ("other, 100-continue", true), ("100-continue;x", false),
    ("100", false),
    ("100-continued", false), ("", false), ("x", false),
  ])
  func theClientWaits(_ value: String, _ expected: Bool) {
    let front = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n"
    let reading = RequestReading(front + "Expect: \(value)\r\n\r\n")
    #expect(reading.isTaken && reading.head.expectsContinue == expected)
    let trimmed = value == "100-CONTINUE " ? "100-CONTINUE" : value
    #expect(reading.written() == front + (expected ? "Expect: 100-continue\r\n" : "Expect: \(trimmed)\r\n"))
  }

  @Test func itIsSaidOnceAndWithBothFramings() {
    let twice = "Expect: 100-continue\r\nExpect: 100-continue\r\n"
    let reading = RequestReading("POST / HTTP/1.1\r\nHost: h\r\n\(twice)Transfer-Encoding: chunked\r\n\r\n")
    #expect(reading.head.expectsContinue)
    #expect(
      reading.written()
        == "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n")
  }

  @Test(arguments: [
    "GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
    "POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
  ])
  func nobodyWaitsWithoutContentOrInHTTP10(_ text: String) {
    let reading = RequestReading(text)
    #expect(reading.isTaken && !reading.head.expectsContinue)
    #expect(!reading.written().contains("Expect"))
  }

  @Test(arguments: [
    ("TE: trailers", true), ("te: gzip, Trailers", true), ("TE: trailersx", false), ("TE: gzip", false),
    ("TE:", false),
    ("X-TE: trailers", false),
  ])
  func trailersAreAskedFor(_ line: String, _ expected: Bool) {
    #expect(RequestReading(fields: line).head.acceptsTrailers == expected)
  }
}

/// RFC 9110 7.8, RFC 6455 4.1.
@Suite struct UpgradeTests {
  private static let front = "GET / HTTP/1.1\r\nHost: h\r\n"

  @Test(arguments: [
    ["Upgrade: websocket", "Connection: Upgrade"], ["Upgrade: WebSocket", "Connection: UPGRADE"],
    ["Connection: keep-alive, upgrade", "Upgrade: websocket"],
    ["Connection: x", "Connection: ,upgrade,", "Upgrade: h2c, websocket"],
    ["Connection: upgrade", "Upgrade: h2c", "Upgrade: websocket"],
  ])
  func aWebSocketIsAskedFor(_ lines: [String]) {
    let reading = RequestReading(
      Self.front + lines.map { $0 + "\r\n" }.joined() + "Sec-WebSocket-Key: k\r\n\r\n")
    #expect(reading.isTaken && reading.head.asksForWebSocket)
    #expect(
      reading.written()
        == Self.front + "Sec-WebSocket-Key: k\r\nConnection: upgrade\r\nUpgrade: websocket\r\n")
  }

  @Test(arguments: [
    ["Upgrade: websocket"], ["Connection: upgrade"], ["Upgrade: websocket", "Connection: close"],
    ["Upgrade: websockets", "Connection: upgrade"], ["Upgrade: websocket/13", "Connection: upgrade"],
    ["Upgrade: h2c", "Connection: upgrade, HTTP2-Settings", "HTTP2-Settings: x"],
    ["Upgrade: ", "Connection: upgrade"], ["Upgrade: web socket", "Connection: upgrade"],
  ])
  func nothingElseIsAnUpgrade(_ lines: [String]) {
    let reading = RequestReading(Self.front + lines.map { $0 + "\r\n" }.joined() + "\r\n")
    #expect(reading.isTaken && !reading.head.asksForWebSocket)
    #expect(reading.written() == Self.front)
  }

  @Test(arguments: ["Content-Length: 3", "Transfer-Encoding: chunked"])
  func aRequestWithContentIsNoUpgrade(_ framing: String) {
    let reading = RequestReading(fields: "Upgrade: websocket", "Connection: upgrade", framing)
    #expect(reading.isTaken && !reading.head.asksForWebSocket)
    #expect(reading.written() == Self.front + framing + "\r\n")
  }

  @Test func thereIsNoneInHTTP10() {
    let reading = RequestReading(
      "GET / HTTP/1.0\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
    #expect(reading.isTaken && !reading.head.asksForWebSocket)
    #expect(reading.written() == Self.front)
  }
}
