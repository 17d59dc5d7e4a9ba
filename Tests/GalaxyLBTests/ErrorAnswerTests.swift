import HTTP1
import Testing

@testable import galaxy_lb

@Suite struct ErrorAnswerTests {
  /// What the proxy answers with: all rejections of the codec, and its own.
  private static let statuses = Set(Rejection.allCases.map(\.status)).union([404, 408, 413, 502, 503, 504])
    .sorted()

  private struct Answer {
    var head = ResponseHead()
    var fields: [String: String] = [:]
    var content = ""

    init(status: Int, isHead: Bool, closes: Bool) throws {
      let text = written { ErrorAnswer.write(status: status, isHead: isHead, closes: closes, to: &$0) }
      let bytes = Array(text.utf8)
      let progress = head.read(
        bytes.span, limits: HeadLimits(line: 200, head: 1000, fields: 20),
        context: ResponseContext(isHead: isHead))
      guard case .complete(let count) = progress else {
        Issue.record("\(progress): \(text)")
        return
      }
      content = String(decoding: bytes[count...], as: UTF8.self)
      for line in text.split(separator: "\r\n").dropFirst() {
        guard let colon = line.firstIndex(of: ":"), !line.hasPrefix("<") else { continue }
        fields[String(line[..<colon])] = String(line[line.index(colon, offsetBy: 2)...])
      }
    }
  }

  @Test(arguments: statuses, [true, false])
  func answersAreWhole(_ status: Int, _ closes: Bool) throws {
    let answer = try Answer(status: status, isHead: false, closes: closes)
    #expect(answer.head.status == status)
    #expect(answer.head.isPersistent == !closes)
    #expect(answer.head.framing == .length(Int64(answer.content.utf8.count)))
    #expect(!answer.content.isEmpty && answer.content.contains("\(status)"))
    #expect(answer.fields["Content-Type"] == "text/html; charset=utf-8")
    #expect((answer.fields["Retry-After"] != nil) == (status == 503))
    #expect((answer.fields["Allow"] != nil) == (status == 405))
    // RFC 9110 6.6.1: an origin of answers with a clock sends the date.
    #expect(answer.fields["Date"]?.hasSuffix(" GMT") == true)
  }

  @Test(arguments: statuses)
  func answersToHeadHaveNoContentButItsLength(_ status: Int) throws {
    let answer = try Answer(status: status, isHead: true, closes: false)
    let whole = try Answer(status: status, isHead: false, closes: false)
    #expect(answer.content.isEmpty)
    #expect(answer.fields["Content-Length"] == "\(whole.content.utf8.count)")
  }

  @Test(arguments: statuses)
  func eachSaysWhatIsGoingOn(_ status: Int) throws {
    let (answer, unknown) = (
      try Answer(status: status, isHead: false, closes: false),
      try Answer(status: 599, isHead: false, closes: false)
    )
    let explanation = "The request could not be served."
    #expect(unknown.content.contains(explanation))
    #expect(!answer.content.contains(explanation))
  }
}

@Suite struct HTTPDateTests {
  @Test(arguments: [
    (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
    (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
    (1_735_689_600, "Wed, 01 Jan 2025 00:00:00 GMT"),
  ])
  func theFormatIsThatOfRFC9110(_ seconds: Int, _ expected: String) {
    #expect(HTTPDate.text(seconds) == expected)
  }
}
