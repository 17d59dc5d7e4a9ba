import HTTP1
import HTTP1Invariants
import Testing

/// RFC 9112 5, RFC 9110 5.5.
@Suite struct FieldTests {
  private let front = "GET / HTTP/1.1\r\nHost: h\r\n"

  /// The field lines that go upstream, Host left out.
  private func forwarded(_ lines: String) -> String? {
    let reading = RequestReading(front + lines + "\r\n")
    return reading.isTaken ? String(reading.written().dropFirst(front.count)) : nil
  }

  @Test(arguments: [
    ("A: b\r\n", "A: b\r\n"), ("A:b\r\n", "A:b\r\n"), ("A:  b\r\n", "A: b\r\n"), ("A:\tb\r\n", "A: b\r\n"),
    ("A: b \r\n", "A: b\r\n"), ("A: b\t \t\r\n", "A: b\r\n"), ("A: \t b c\t\td \r\n", "A: b c\t\td\r\n"),
    ("A:\r\n", "A:\r\n"), ("A: \r\n", "A: \r\n"), ("A:  \t \r\n", "A: \r\n"), ("A: :\r\n", "A: :\r\n"),
    ("A: b:c\r\n", "A: b:c\r\n"), ("A:: b\r\n", "A:: b\r\n"),
    ("B: 1\r\nA: 2\r\nB: 3\r\nb:\r\n", "B: 1\r\nA: 2\r\nB: 3\r\nb:\r\n"),
    ("A: 1\r\nB:  2\r\nC: 3\r\nD: 4\r\nE: 5 \r\n", "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n"),
    ("!#$%&'*+-.^_`|~09AZaz: b\r\n", "!#$%&'*+-.^_`|~09AZaz: b\r\n"),
  ])
  func valuesAreStrippedAndOrderIsKept(_ lines: String, _ expected: String) {
    #expect(forwarded(lines) == expected)
  }

  @Test func everyByteInAValueIsJudged() {
    for byte in UInt8.min...UInt8.max {
      let reading = RequestReading(
        Array(front.utf8) + Array("A: 12345678".utf8) + [byte] + Array("90\r\n\r\n".utf8))
      switch byte {
      case 0x0A: #expect(reading.rejection == .bareLineEnd)
      case 0x0D: #expect(reading.rejection == .bareLineEnd)
      case 0x09, 0x20...0x7E, 0x80...0xFF:
        #expect(reading.isTaken, "\(byte)")
        #expect(reading.written() == front + "A: 12345678\(latin1([byte]))90\r\n")
      default: #expect(reading.rejection == .malformedFieldValue, "\(byte)")
      }
    }
  }

  @Test func everyByteInANameIsJudged() {
    let tokens = Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    for position in 0...9 {
      for byte in UInt8.min...UInt8.max {
        var name = Array("abcdefghi".utf8)
        name.insert(byte, at: position)
        let reading = RequestReading(Array(front.utf8) + name + Array(": v\r\n\r\n".utf8))
        let isTaken = tokens.contains(byte) || (byte == 0x3A && position > 0)
        #expect(reading.isTaken == isTaken, "\(byte) at \(position)")
      }
    }
  }

  @Test(arguments: [
    (": b", Rejection.malformedFieldName), ("A", .malformedFieldName), ("A B: c", .whitespaceBeforeColon),
    ("A : b", .whitespaceBeforeColon), ("A\t: b", .whitespaceBeforeColon), (" A: b", .lineFolding),
    ("\tA: b", .lineFolding), ("A: b\r\n c", .lineFolding), ("A: b\r\n\tc: d", .lineFolding),
    ("A: b\r\n \r\nC: d", .lineFolding), ("(A): b", .malformedFieldName), ("A=b", .malformedFieldName),
    ("A@: b", .malformedFieldName), ("Á: b", .malformedFieldName), ("A\0: b", .malformedFieldName),
    ("A: b\nC: d", .bareLineEnd), ("A: b\rC: d", .bareLineEnd), ("A: b\r\rC: d", .bareLineEnd),
    ("\rA: b", .bareLineEnd), ("\nA: b", .bareLineEnd), ("A\n: b", .malformedFieldName),
    ("A:\nB: c", .bareLineEnd), ("A: \0", .malformedFieldValue), ("A: b\u{7F}", .malformedFieldValue),
    ("A: \u{1B}[0m", .malformedFieldValue), ("A:\u{0B}b", .malformedFieldValue),
  ])
  func malformedLinesAreRefused(_ line: String, _ expected: Rejection) {
    #expect(RequestReading(front + line + "\r\n\r\n").rejection == expected, "\(line.debugDescription)")
  }

  @Test func theFirstLineAfterTheRequestLineCannotBeFolded() {
    #expect(RequestReading("GET / HTTP/1.1\r\n Host: h\r\n\r\n").rejection == .lineFolding)
  }

  @Test func theValueOfAKindIsFound() {
    let reading = RequestReading(fields: "User-Agent:  one ", "X: y", "user-agent: two")
    #expect(reading.text(reading.head.value(of: .userAgent)) == "one")
    #expect(reading.head.value(of: .referer) == nil)
    let all = reading.head.values(of: .userAgent).map { reading.text($0) }
    #expect(all == ["one", "two"])
  }
}

/// WSGI and CGI make one variable of names that differ in `_` and `-`.
@Suite struct CollisionTests {
  @Test(arguments: [
    "Content_Length: 5", "content_length: 5", "Transfer_Encoding: chunked", "X_Forwarded_For: 1",
    "X-Forwarded_For: 1",
    "x_forwarded-proto: x", "X_Forwarded_Whatever_Comes_In_So_Long_A_Name: 1", "Remote_User: root",
    "REMOTE_USER: root",
    "X_Request_ID: 1", "X_URL_SCHEME: x", "X_Real_IP: x", "Keep_Alive: 1", "Proxy_Connection: x",
    "HTTP2_Settings: x",
  ])
  func collidingNamesAreDropped(_ line: String) {
    let reading = RequestReading(fields: "A: 1", line, "B: 2")
    #expect(reading.isTaken && reading.head.framing == .none)
    #expect(reading.written() == "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n")
  }

  @Test(arguments: [
    "User_Agent: x", "X_Custom: x", "X_Forwarded: x", "_: x", "Remote_Users: x", "X-Forwarde_For: x",
  ])
  func otherNamesWithUnderscoresGoOn(_ line: String) {
    #expect(RequestReading(fields: line).written() == "GET / HTTP/1.1\r\nHost: h\r\n\(line)\r\n")
  }

  /// Galaxy's documentation has proxies send `REMOTE_USER` and `GX_SECRET`, with underscores.
  @Test func identityNamesAreProtectedInBothSpellings() {
    let classifier = FieldNameClassifier(identityNames: [Array("GX_SECRET".utf8), Array("Remote-User".utf8)])
    let text =
      "GET / HTTP/1.1\r\nHost: h\r\nGx_Secret: 1\r\nGX-SECRET: 2\r\nREMOTE-USER: 3\r\nRemote_User: 4\r\n\r\n"
    let reading = RequestReading(Array(text.utf8), classifier: classifier)
    #expect(reading.isTaken)
    // From a client none, from a trusted proxy those that are spelled as configured.
    #expect(reading.written(dropping: .edge) == "GET / HTTP/1.1\r\nHost: h\r\n")
    #expect(reading.written() == "GET / HTTP/1.1\r\nHost: h\r\nGx_Secret: 1\r\nREMOTE-USER: 3\r\n")
    #expect(reading.text(reading.head.value(of: .identity)) == "1")
  }

  @Test func edgeFieldsAreKeptOrDroppedAsTheCallerSays() {
    let lines = [
      "Forwarded: for=1", "X-Forwarded-For: 1", "X-Forwarded-Proto: p", "X-Forwarded-Host: h",
      "X-Forwarded-Port: 1",
      "X-Real-IP: 1", "X-URL-SCHEME: https", "X-Request-ID: 1", "Remote-User: u",
    ]
    let text = "GET / HTTP/1.1\r\nHost: h\r\n" + lines.map { $0 + "\r\n" }.joined()
    let reading = RequestReading(text + "\r\n")
    #expect(reading.written() == text)
    #expect(reading.written(dropping: .edge) == "GET / HTTP/1.1\r\nHost: h\r\n")
  }
}
