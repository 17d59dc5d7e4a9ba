import HTTP1
import Testing

/// RFC 9110 8.6, RFC 9112 6.
@Suite struct RequestFramingTests {
  private static let front = "GET / HTTP/1.1\r\nHost: h\r\n"

  @Test(arguments: [
    ("0", BodyFraming.none, "0"), ("5", .length(5), "5"), ("00", .none, "0"), ("007", .length(7), "7"),
    ("0000000000000000000000000000000000005", .length(5), "5"),
    ("9223372036854775807", .length(.max), "9223372036854775807"), ("5, 5", .length(5), "5"),
    ("5,5", .length(5), "5"), ("5\t,\t05 , 5", .length(5), "5"), ("0,0", .none, "0"),
  ])
  func oneNumberIsALength(_ value: String, _ framing: BodyFraming, _ written: String) {
    let reading = RequestReading(fields: "Content-Length: \(value)")
    #expect(reading.isTaken && reading.head.framing == framing)
    #expect(reading.written() == Self.front + "Content-Length: \(written)\r\n")
  }

  @Test(arguments: [
    "", " ", "+5", "-5", "-0", "5.0", "5e1", "0x5", "5x", "x5", "5 5", "5\t5", ",", "5,", ",5", "5,,5", "5, ",
    "٥",
    "９", "9223372036854775808", "18446744073709551616", "18446744073709551621",
    "99999999999999999999999999999999999999", "5;x", "\"5\"", "5,5x",
  ])
  func anythingElseIsMalformed(_ value: String) {
    #expect(
      RequestReading(fields: "Content-Length: \(value)").rejection == .malformedContentLength, "\(value)")
  }

  @Test(arguments: [["5, 6"], ["5", "6"], ["5", "5", "6"], ["5, 5", "6"], ["0", "5"], ["5,05,6"]])
  func differentNumbersAreRefused(_ values: [String]) {
    let text = values.map { "Content-Length: \($0)\r\n" }.joined()
    let rejection = RequestReading(Self.front + text + "\r\n").rejection
    // Within a list the whole value is malformed, between lines they are in conflict.
    #expect(rejection == .conflictingContentLength || rejection == .malformedContentLength)
    #expect(rejection?.status == 400)
  }

  @Test(arguments: [["5", "5"], ["5", "05"], ["5", "5, 5"], ["5, 5", "5"], ["5, 5", "5, 5", "5"]])
  func identicalRepeatsBecomeOneLine(_ values: [String]) {
    let text = values.map { "content-LENGTH: \($0)\r\nA: b\r\n" }.joined()
    let reading = RequestReading(Self.front + text + "\r\n")
    #expect(reading.isTaken && reading.head.framing == .length(5))
    let others = String(repeating: "A: b\r\n", count: values.count)
    #expect(reading.written() == Self.front + others + "Content-Length: 5\r\n")
  }

  @Test(arguments: [
    "chunked", "Chunked", "CHUNKED", " chunked ", ", chunked ,", ",,chunked", "\t,chunked,\t,",
  ])
  func chunkedIsTakenOnce(_ value: String) {
    let reading = RequestReading(fields: "transfer-encoding: \(value)", "A: b")
    #expect(reading.isTaken && reading.head.framing == .chunked)
    #expect(reading.written() == Self.front + "A: b\r\nTransfer-Encoding: chunked\r\n")
  }

  @Test func emptyTransferEncodingLinesBesideChunkedAreNothing() {
    let reading = RequestReading(
      fields: "Transfer-Encoding:", "Transfer-Encoding: chunked", "Transfer-Encoding: ,")
    #expect(reading.isTaken && reading.head.framing == .chunked)
    #expect(reading.written() == Self.front + "Transfer-Encoding: chunked\r\n")
  }

  @Test(arguments: [
    ("", Rejection.malformedTransferEncoding), (",", .malformedTransferEncoding),
    ("chunked, chunked", .malformedTransferEncoding), ("gzip", .unsupportedTransferCoding),
    ("gzip, chunked", .unsupportedTransferCoding), ("chunked, gzip", .unsupportedTransferCoding),
    ("identity", .unsupportedTransferCoding), ("chunked, identity", .unsupportedTransferCoding),
    ("xchunked", .unsupportedTransferCoding), ("chunkedx", .unsupportedTransferCoding),
    ("chunked;q=1", .unsupportedTransferCoding), ("\"chunked\"", .unsupportedTransferCoding),
    ("chun ked", .unsupportedTransferCoding), ("chun\u{212A}ed", .unsupportedTransferCoding),
    ("chunked\u{A0}", .unsupportedTransferCoding), ("chunKed x", .unsupportedTransferCoding),
  ])
  func otherCodingsAreRefused(_ value: String, _ expected: Rejection) {
    #expect(RequestReading(fields: "Transfer-Encoding: \(value)").rejection == expected, "\(value)")
  }

  @Test func chunkedInTwoLinesIsTwice() {
    let reading = RequestReading(fields: "Transfer-Encoding: chunked", "A: b", "transfer-encoding: chunked")
    #expect(reading.rejection == .malformedTransferEncoding)
  }

  @Test(arguments: [
    ["Content-Length: 5", "Transfer-Encoding: chunked"], ["Transfer-Encoding: chunked", "Content-Length: 5"],
    ["Content-Length: 0", "Transfer-Encoding: gzip"], ["Transfer-Encoding:", "Content-Length: 0"],
  ])
  func lengthAndCodingTogetherAreRefused(_ lines: [String]) {
    let reading = RequestReading(Self.front + lines.map { $0 + "\r\n" }.joined() + "\r\n")
    #expect(reading.rejection == .contentLengthWithTransferEncoding)
  }

  @Test func codingsAreRefusedInHTTP10() {
    for value in ["chunked", "gzip", ""] {
      let reading = RequestReading("POST / HTTP/1.0\r\nTransfer-Encoding: \(value)\r\n\r\n")
      #expect(reading.rejection == .transferEncodingInHTTP10)
    }
    #expect(RequestReading("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\n").head.framing == .length(3))
  }

  @Test(arguments: [
    "Content-Length : 5", "Transfer-Encoding : chunked", " Content-Length: 5", "Content-Length\t: 5",
  ])
  func framingFieldsInDisguiseAreRefused(_ line: String) {
    #expect(RequestReading(fields: line).rejection != nil)
  }

  @Test func whatLooksLikeAFramingFieldIsNone() {
    let lines = [
      "Content-Lengthx: 5", "XContent-Length: 5", "Content.Length: 5", "Transfer.Encoding: chunked",
    ]
    let reading = RequestReading(Self.front + lines.map { $0 + "\r\n" }.joined() + "\r\n")
    #expect(reading.isTaken && reading.head.framing == .none)
    #expect(reading.written() == Self.front + lines.map { $0 + "\r\n" }.joined())
  }

  @Test func trailerIsNotAnnouncedUpstream() {
    let reading = RequestReading(fields: "Trailer: X", "Transfer-Encoding: chunked")
    #expect(reading.written() == Self.front + "Transfer-Encoding: chunked\r\n")
  }
}
