import HTTP1
import Testing

/// Fields and cookies by name, and lists from their end.
@Suite struct LookupTests {
  private func field(_ name: String, _ reading: RequestReading) -> String? {
    reading.text(reading.head.value(ofFieldNamed: Array(name.utf8), in: reading.bytes.span))
  }

  private func cookie(_ name: String, _ reading: RequestReading) -> String? {
    reading.text(reading.head.value(ofCookieNamed: Array(name.utf8), in: reading.bytes.span))
  }

  @Test func fieldsAreFoundInAnyCase() {
    let reading = RequestReading(fields: "X-Tenant:  a b ", "x-tenant: second", "X-Empty:", "X-Tenants: c")
    #expect(reading.isTaken)
    #expect(field("x-tenant", reading) == "a b")
    #expect(field("x-empty", reading) == "")
    #expect(field("host", reading) == "h")
    #expect(field("x-tenan", reading) == nil)
    #expect(field("tenant", reading) == nil)
  }

  @Test(arguments: [
    ("galaxysession=abc", "abc"), ("a=1; galaxysession=abc; b=2", "abc"), ("a=1;galaxysession=abc", "abc"),
    ("galaxysession=a=b", "a=b"), ("galaxysession=", ""), ("galaxysession=\"q\"", "\"q\""),
    ("galaxysession=1; galaxysession=2", "1"), (" ;; galaxysession=1 ;", "1"), ("galaxysession", nil),
    ("Galaxysession=1", nil), ("xgalaxysession=1", nil), ("galaxysessions=1", nil),
    ("a=galaxysession=1", nil), ("", nil),
  ])
  func cookies(_ value: String, _ expected: String?) {
    let reading = RequestReading(fields: "Cookie: \(value)")
    #expect(reading.isTaken)
    #expect(cookie("galaxysession", reading) == expected)
  }

  @Test func cookiesOfSeveralLines() {
    let reading = RequestReading(fields: "cookie: a=1", "X-Cookie: b=9", "COOKIE: b=2")
    #expect(cookie("b", reading) == "2")
  }

  private func fromLast(_ reading: RequestReading, atMost count: Int = .max) -> [String] {
    var found: [String] = []
    reading.head.forEachElementFromLast(of: .xForwardedFor, in: reading.bytes.span) {
      found.append(reading.text($0)!)
      return found.count < count
    }
    return found
  }

  @Test func listsFromTheirEnd() {
    let reading = RequestReading(
      fields: "X-Forwarded-For: a,b , c", "X-Other: z", "X-Forwarded-For:", "x-forwarded-for: ,d,, e,")
    #expect(reading.isTaken)
    #expect(fromLast(reading) == ["e", "d", "c", "b", "a"])
    #expect(fromLast(reading, atMost: 2) == ["e", "d"])
    #expect(fromLast(RequestReading(fields: "X-Other: z")) == [])
  }
}
