import Foundation
import Glibc
import HTTP1
import SystemCalls
import TestSupport
import Testing

@testable import galaxy_lb

/// The line for a request with these texts, and everything else made up.
private func line(
  _ format: AccessLogSettings.Format, request: [UInt8]?, referer: [UInt8]? = nil, userAgent: [UInt8]? = nil,
  host: [UInt8]? = nil, requestID: [UInt8]? = nil, record: ExchangeRecord = ExchangeRecord(),
  client: IPAddress? = IPAddress("192.0.2.1")
) -> String {
  var clock = AccessLogClock()
  clock.set(1_769_857_200_007)
  var all: [UInt8] = []
  func place(_ text: [UInt8]?) -> LoggedTexts.Place? {
    guard let text else { return nil }
    all += text
    return UInt32(all.count - text.count)..<UInt32(all.count)
  }
  let texts = LoggedTexts(
    request: place(request), host: place(host), referer: place(referer), userAgent: place(userAgent),
    requestID: place(requestID))
  var buffer = ByteBuffer()
  all.withUnsafeBytes {
    AccessLogEntry(client: client, texts: texts, record: record)
      .append($0, to: &buffer, as: format, at: clock)
  }
  return String(decoding: buffer.bytes, as: UTF8.self)
}

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The value of an escaped text: every `\xXX` is a byte again.
private func unescaped(_ text: String) throws -> [UInt8] {
  var result: [UInt8] = []
  var rest = bytes(text)[...]
  while let first = rest.popFirst() {
    guard first == UInt8(ascii: "\\") else {
      result.append(first)
      continue
    }
    #expect(rest.popFirst() == UInt8(ascii: "x"))
    let digits = String(decoding: rest.prefix(2), as: UTF8.self)
    result.append(try #require(UInt8(digits, radix: 16)))
    rest = rest.dropFirst(2)
  }
  return result
}

private let everyByte = (0...255).map { UInt8($0) }

private func exampleRecord() -> ExchangeRecord {
  var record = ExchangeRecord()
  record.receivedAt = 5_000_000_000
  record.sentAt = 5_000_123_999
  record.firstByteAt = 5_010_000_000
  record.endedAt = 17_000_001_000
  record.status = 200
  record.bytesReceived = 400
  record.bytesSent = 1150
  record.headBytesSent = 150
  record.retries = 1
  record.poolName = "main"
  record.upstreamName = "gunicorn0"
  return record
}

@Suite struct AccessLogLineTests {
  @Test func combinedIsNginxsFormatAndThenTheProxysFields() throws {
    let text = line(
      .combined, request: bytes("GET /api?x=1 HTTP/1.1"), referer: bytes("https://a.example/"),
      userAgent: bytes("curl/8"), host: bytes("galaxy.example"), requestID: bytes("f00d"),
      record: exampleRecord())
    let parts = try #require(
      text.firstMatch(
        of:
          #/^192\.0\.2\.1 - - \[(\d\d)/Jan/2026:\d\d:\d\d:00 [+-]\d{4}\] "GET /api\?x=1 HTTP/1\.1" 200 1000 "https://a\.example/" "curl/8" (.*)\n$/#
      ), "\(text)")
    #expect(["30", "31"].contains(parts.1), "31 January 11:00 in UTC is one of these everywhere west of +13")
    #expect(
      parts.2
        == "host=\"galaxy.example\" pool=main upstream=gunicorn0 to_upstream=0.000123 to_first_byte=0.010000 "
        + "total=12.000001 held=0.000000 bytes_received=400 bytes_sent=1150 retries=1 request_id=f00d "
        + "reason=completed")
  }

  @Test func whatIsNotKnownIsADash() {
    var record = ExchangeRecord()
    record.status = 400
    record.reason = .requestRejected(.malformedRequestLine)
    let text = line(.combined, request: nil, record: record, client: nil)
    #expect(text.hasPrefix("unix: - - ["))
    #expect(
      text.hasSuffix(
        "] \"-\" 400 0 \"-\" \"-\" host=\"-\" pool=- upstream=- to_upstream=- to_first_byte=- total=- "
          + "held=0.000000 bytes_received=0 bytes_sent=0 retries=0 request_id=- "
          + "reason=rejected_malformed_request_line\n"), "\(text)")
  }

  @Test func aClientThatLeftBeforeAStatusHasNginxs499() {
    var record = ExchangeRecord()
    record.reason = .clientLeft
    #expect(line(.combined, request: [], record: record).contains("] \"\" 499 0 "))
    record.reason = .stopped
    #expect(line(.combined, request: [], record: record).contains("] \"\" 000 0 "))
  }

  @Test(arguments: [
    ("a\"b", #"a\x22b"#), (#"a\b"#, #"a\x5Cb"#), ("a\r\nb", #"a\x0D\x0Ab"#), ("\u{7F}", #"\x7F"#),
    ("é", #"\xC3\xA9"#), ("a b~", "a b~"), ("12345678", "12345678"), ("1234567\u{7F}9", #"1234567\x7F9"#),
    ("\u{1B}[2J12345678", #"\x1B[2J12345678"#),
  ])
  func combinedEscapesAsNginxDoes(_ value: String, _ expected: String) {
    #expect(
      line(.combined, request: [], userAgent: bytes(value)).contains("\"-\" \"\(expected)\" host="))
  }

  @Test(arguments: 0..<9)
  func everyByteKeepsItsPlaceAndItsLine(_ offset: Int) throws {
    // At every place of a word of eight, because eight bytes are looked at together.
    let value = [UInt8](repeating: 0x61, count: offset) + everyByte
    let text = line(.combined, request: [], referer: value, host: value, requestID: value)
    #expect(text.utf8.filter { $0 == 0x0A }.count == 1 && text.hasSuffix("\n"))
    #expect(text.utf8.dropLast().allSatisfy { $0 >= 0x20 && $0 < 0x7F })
    let quoted = text.split(separator: "\"", omittingEmptySubsequences: false)
    try #require(quoted.count == 9)
    #expect(try unescaped(String(quoted[3])) == value)
    #expect(try unescaped(String(quoted[7])) == value)
    let word = try #require(text.firstMatch(of: #/request_id=([^ ]*) reason=/#)?.1)
    #expect(try unescaped(String(word)) == value)
  }

  @Test func aLongLineStaysInItsMemory() {
    // Every byte grows as much as it can, in all texts at once.
    let worst = [UInt8](repeating: 0xFF, count: LoggedHead.longestValue)
    var record = exampleRecord()
    record.status = .max
    (record.bytesReceived, record.bytesSent, record.headBytesSent) = (.max, .max, 0)
    (record.receivedAt, record.endedAt, record.retries) = (1, .max, .max)
    (record.sentAt, record.firstByteAt, record.held) = (.max, .max, .max)
    record.poolName = String(repeating: "é", count: 100)
    for format in AccessLogSettings.Format.allCases {
      let text = line(
        format, request: worst, referer: worst, userAgent: worst, host: worst, requestID: worst,
        record: record, client: IPAddress("2001:db8:1111:2222:3333:4444:5555:6666"))
      let growth = format == .json ? 5 : 4
      let escaped = growth * (5 * worst.count + 200)
      #expect(text.utf8.count > escaped && text.utf8.count - escaped < AccessLogLine.fixedPart)
      #expect(text.contains("9223372036854775807"))
    }
  }
}

@Suite struct AccessLogJSONTests {
  private func object(_ text: String) throws -> [String: Any] {
    #expect(text.hasSuffix("}\n") && text.utf8.filter { $0 == 0x0A }.count == 1)
    let value = try JSONSerialization.jsonObject(with: Data(text.utf8))
    return try #require(value as? [String: Any])
  }

  @Test func aLineIsAnObject() throws {
    let value = try object(
      line(
        .json, request: bytes("GET / HTTP/1.1"), userAgent: bytes("curl \"8\""), host: bytes("a.example"),
        requestID: bytes("f00d"), record: exampleRecord()))
    let expected: [String: Any] = [
      "time": "2026-01-31T11:00:00.007Z", "remote_addr": "192.0.2.1", "request": "GET / HTTP/1.1",
      "status": 200, "body_bytes_sent": 1000, "referer": NSNull(), "user_agent": "curl \"8\"",
      "host": "a.example", "pool": "main", "upstream": "gunicorn0", "to_upstream": 0.000123,
      "to_first_byte": 0.01, "total": 12.000001, "held": 0, "bytes_received": 400, "bytes_sent": 1150,
      "retries": 1, "request_id": "f00d", "reason": "completed",
    ]
    #expect(value as NSDictionary == expected as NSDictionary)
  }

  @Test(arguments: 0..<9)
  func everyByteIsValidAndCanBeTold(_ offset: Int) throws {
    let value = [UInt8](repeating: 0x61, count: offset) + everyByte
    let text = line(
      .json, request: value, referer: value, userAgent: value, host: value, requestID: value)
    let parsed = try object(text)
    for key in ["request", "referer", "user_agent", "host", "request_id"] {
      #expect(try unescaped(try #require(parsed[key] as? String)) == value)
    }
    #expect(text.utf8.dropLast().allSatisfy { $0 >= 0x20 && $0 < 0x7F })
  }

  @Test func randomBytesStayInTheirField() throws {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = SeededGenerator(seed: seed)
    for _ in 0..<300 {
      let value = (0..<Int.random(in: 0...80, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random)
      }
      let parsed = try object(line(.json, request: value))
      #expect(parsed.count == 19, "seed \(seed)")
      #expect(try unescaped(try #require(parsed["request"] as? String)) == value, "seed \(seed)")
    }
  }
}

@Suite struct AccessLogClockTests {
  @Test(arguments: [0, 951_782_399, 1_769_857_200, 1_790_000_001] as [Int64])
  func theTimeIsThatOfTheSystem(_ second: Int64) {
    var clock = AccessLogClock()
    clock.set(second * 1000)
    var seconds = time_t(second)
    var parts = tm()
    localtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 64)
    strftime(&text, text.count, "%d/%b/%Y:%H:%M:%S %z", &parts)
    #expect(clock.local == text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
    gmtime_r(&seconds, &parts)
    strftime(&text, text.count, "%Y-%m-%dT%H:%M:%S", &parts)
    #expect(clock.universal == text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) })
  }
}

@Suite struct LoggedHeadTests {
  private func keep(_ text: String, in logged: inout LoggedHead) {
    let source = bytes(text)
    var head = RequestHead()
    let limits = HeadLimits(line: 65_536, head: 131_072, fields: 100)
    let progress = head.read(source.span, limits: limits, classifier: FieldNameClassifier())
    guard case .complete = progress else {
      Issue.record("\(progress)")
      return
    }
    logged.clear()
    logged.keep(head, source.span)
  }

  private func text(_ place: LoggedTexts.Place?, _ logged: borrowing LoggedHead) -> String? {
    place.map { String(decoding: logged.bytes[Int($0.lowerBound)..<Int($0.upperBound)], as: UTF8.self) }
  }

  @Test func theHeadIsToldAsItCame() {
    var logged = LoggedHead()
    keep(
      "GET http://a.example:81/x?y HTTP/1.0\r\nHost: b\r\nreferer:  r \r\nUSER-AGENT: u v\r\n\r\n",
      in: &logged)
    #expect(text(logged.texts.request, logged) == "GET http://a.example:81/x?y HTTP/1.0")
    #expect(text(logged.texts.host, logged) == "a.example:81")
    #expect(text(logged.texts.referer, logged) == "r" && text(logged.texts.userAgent, logged) == "u v")
    keep("\r\nPOST / HTTP/1.1\r\nHost: b\r\nUser-Agent:\r\n\r\n", in: &logged)
    #expect(text(logged.texts.request, logged) == "POST / HTTP/1.1" && text(logged.texts.host, logged) == "b")
    #expect(logged.texts.referer == nil && text(logged.texts.userAgent, logged) == "")
    #expect(logged.texts.requestID == nil)
    bytes("x: id\r\n").withUnsafeBytes { logged.keep(requestID: 3..<5, $0) }
    #expect(text(logged.texts.requestID, logged) == "id" && text(logged.texts.host, logged) == "b")
    logged.clear()
    #expect(!logged.isKept && logged.texts.request == nil && logged.bytes.isEmpty)
  }

  @Test func longTextsAreCut() {
    var logged = LoggedHead()
    let long = String(repeating: "x", count: 20_000)
    keep("GET /\(long) HTTP/1.1\r\nHost: b\r\nReferer: \(long)\r\n\r\n", in: &logged)
    #expect(logged.texts.request?.count == LoggedHead.longestValue)
    #expect(text(logged.texts.request, logged)?.hasSuffix("xxx...") == true)
    #expect(logged.texts.referer?.count == LoggedHead.longestValue && text(logged.texts.host, logged) == "b")
  }

  @Test(arguments: [
    ("GET / HTTP/9\r\nHost: a", "GET / HTTP/9"), ("\r\n\r\nBAD\nx", "BAD"), ("half", "half"), ("\r\n", nil),
    ("", nil),
  ])
  func theFirstLineOfWhatIsNoHead(_ source: String, _ expected: String?) {
    let source = bytes(source)
    #expect(
      source.withUnsafeBytes { LoggedHead.firstLine(of: $0).map { String(decoding: $0, as: UTF8.self) } }
        == expected)
  }
}
