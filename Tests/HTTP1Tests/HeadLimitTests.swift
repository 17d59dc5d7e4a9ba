import HTTP1
import Testing

/// RFC 9110 5.4, RFC 9112 3, RFC 6585 5: exactly at the bound, one beyond, and with more behind.
@Suite struct HeadLimitTests {
  private func request(target length: Int) -> String {
    "GET /\(String(repeating: "a", count: length - 1)) HTTP/1.1\r\nHost: h\r\n\r\n"
  }

  @Test func theRequestLineIsBoundedWithoutItsLineEnd() {
    // "GET " and " HTTP/1.1" are 13 bytes.
    let limits = HeadLimits(line: 100, head: 1000, fields: 10)
    #expect(RequestReading(request(target: 87), limits: limits).isTaken)
    #expect(RequestReading(request(target: 88), limits: limits).rejection == .requestLineTooLong)
    #expect(RequestReading("\r\n" + request(target: 87), limits: limits).isTaken)
    #expect(RequestReading("\r\n" + request(target: 88), limits: limits).rejection == .requestLineTooLong)
    #expect(Rejection.requestLineTooLong.status == 414)
  }

  /// Guards against a line at the limit that is refused when it is cut between CR and LF.
  @Test func aLineAtTheLimitMayComeInPieces() {
    let limits = HeadLimits(line: 100, head: 1000, fields: 10)
    let text = Array(request(target: 87).utf8)
    for front in [[], Array("\r\n".utf8)] {
      for count in 0..<text.count {
        #expect(RequestReading(front + text[..<count], limits: limits).progress == .incomplete, "\(count)")
      }
    }
  }

  @Test func anEndlessLineIsRefusedAtTheLimit() {
    let limits = HeadLimits(line: 100, head: 1000, fields: 10)
    let endless = [UInt8](repeating: 0x41, count: 1 << 16)
    #expect(RequestReading(Array(endless[..<101]), limits: limits).progress == .incomplete)
    #expect(RequestReading(Array(endless[..<102]), limits: limits).rejection == .requestLineTooLong)
    #expect(RequestReading(endless, limits: limits).rejection == .requestLineTooLong)
  }

  @Test func theHeadIsBoundedWithAllLineEnds() {
    let text = "GET / HTTP/1.1\r\nHost: h\r\nA: \(String(repeating: "v", count: 50))\r\n\r\n"
    for front in ["", "\r\n"] {
      let bytes = Array((front + text).utf8)
      let exact = HeadLimits(line: 40, head: bytes.count, fields: 10)
      #expect(RequestReading(bytes, limits: exact).isTaken)
      let short = HeadLimits(line: 40, head: bytes.count - 1, fields: 10)
      #expect(RequestReading(bytes, limits: short).rejection == .headTooLarge)
      // Known as soon as the limit is reached, with nothing beyond it read.
      #expect(RequestReading(Array(bytes.dropLast()), limits: short).rejection == .headTooLarge)
      #expect(RequestReading(Array(bytes.dropLast(2)), limits: short).progress == .incomplete)
    }
    #expect(Rejection.headTooLarge.status == 431)
  }

  /// Guards against counting pipelined requests to the head in front of them.
  @Test func whatFollowsAHeadDoesNotCount() {
    let text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    let limits = HeadLimits(line: 40, head: text.utf8.count, fields: 10)
    let pipelined = String(repeating: text, count: 1000)
    #expect(RequestReading(pipelined, limits: limits).progress == .complete(byteCount: text.utf8.count))
    let larger = "GET / HTTP/1.1\r\nHost: hh\r\n\r\n" + pipelined
    #expect(RequestReading(larger, limits: limits).rejection == .headTooLarge)
  }

  @Test func aFieldBeyondTheLimitIsNotLookedAt() {
    let limits = HeadLimits(line: 40, head: 60, fields: 10)
    let text = "GET / HTTP/1.1\r\nHost: h\r\nA: \(String(repeating: "v", count: 50))\0\r\n\r\n"
    #expect(RequestReading(text, limits: limits).rejection == .headTooLarge)
  }

  @Test func fieldsAreCounted() {
    let limits = HeadLimits(line: 40, head: 10_000, fields: 10)
    func text(_ count: Int) -> String {
      "GET / HTTP/1.1\r\nHost: h\r\n\(String(repeating: "A: b\r\n", count: count - 1))\r\n"
    }
    #expect(RequestReading(text(10), limits: limits).isTaken)
    #expect(RequestReading(text(11), limits: limits).rejection == .tooManyFields)
    #expect(Rejection.tooManyFields.status == 431)
    let response = "HTTP/1.1 200 OK\r\n\(String(repeating: "A: b\r\n", count: 10))"
    #expect(ResponseReading(response + "\r\n", limits: limits).isTaken)
    #expect(ResponseReading(response + "A: b\r\n\r\n", limits: limits).rejection == .tooManyFields)
  }

  @Test func responseHeadsAreBounded() {
    let text = Array("HTTP/1.1 200 OK\r\nA: b\r\n\r\n".utf8)
    let exact = HeadLimits(line: 0, head: text.count, fields: 10)
    #expect(ResponseReading(text, limits: exact).isTaken)
    #expect(
      ResponseReading(text + [UInt8](repeating: 0, count: 1000), limits: exact).progress
        == .complete(byteCount: text.count))
    let short = HeadLimits(line: 0, head: text.count - 1, fields: 10)
    #expect(ResponseReading(text, limits: short).rejection == .headTooLarge)
    let endless = Array("HTTP/1.1 200 ".utf8) + [UInt8](repeating: 0x41, count: 1 << 16)
    #expect(ResponseReading(endless, limits: exact).rejection == .headTooLarge)
  }

  @Test func theSizesOfRFC9110AreTaken() {
    let line = request(target: 8000 - 13)
    #expect(RequestReading(line).isTaken)
    let fields = (0..<24).map { "A\($0): \(String(repeating: "v", count: 1000))\r\n" }.joined()
    #expect(RequestReading("GET / HTTP/1.1\r\nHost: h\r\n\(fields)\r\n").isTaken)
    let wide = "HTTP/1.1 200 OK\r\nSet-Cookie: \(String(repeating: "v", count: 40_000))\r\n\r\n"
    #expect(ResponseReading(wide).isTaken)
  }
}
