import HTTP1
import Testing

@testable import galaxy_lb

@Suite struct RouteTableTests {
  private static let table = RouteTable(
    [
      Route(host: .exactly("a.example.org"), pathPrefix: "/galaxy", pool: "a-galaxy"),
      Route(host: .exactly("a.example.org"), pathPrefix: "", pool: "a"),
      Route(host: .exactly("[2001:db8::1]"), pathPrefix: "", pool: "six"),
      Route(host: .endingIn(".example.org"), pathPrefix: "", pool: "wild"),
      Route(host: .any, pathPrefix: "/galaxy/test", pool: "deep"),
      Route(host: .any, pathPrefix: "/galaxy", pool: "galaxy"),
    ], poolNames: pools)
  private static let pools = ["a", "a-galaxy", "six", "wild", "deep", "galaxy"]

  private func pool(_ target: String, host: String?, version: String = "1.1") -> String? {
    let line = "GET \(target) HTTP/\(version)"
    let request = host.map { ReadRequest(line, "Host: \($0)") } ?? ReadRequest(line)
    return Self.table.pool(for: request.head, request.bytes.span).map { Self.pools[$0] }
  }

  @Test(arguments: [
    ("a.example.org", "a"), ("A.Example.ORG", "a"), ("a.example.org:8080", "a"), ("a.example.org.", "a"),
    ("a.example.org.:80", "a"), ("a.example.org:", "a"), ("b.example.org", "wild"),
    ("x.y.example.org", "wild"),
    ("example.org", nil), ("badexample.org", nil), ("a.example.org.evil", nil), ("a.example.orgx", nil),
    ("[2001:db8::1]", "six"), ("[2001:DB8::1]:80", "six"), ("[2001:db8::2]", nil), ("localhost", nil),
  ])
  func hosts(_ host: String, _ expected: String?) {
    #expect(pool("/", host: host) == expected)
  }

  @Test(arguments: [
    ("/galaxy", "galaxy"), ("/galaxy/", "galaxy"), ("/galaxy?x", "galaxy"), ("/galaxy/api", "galaxy"),
    ("/galaxyx", nil), ("/galax", nil), ("/Galaxy", nil), ("/", nil), ("/x/galaxy", nil), ("//galaxy", nil),
    ("/galaxy/test", "deep"), ("/galaxy/test/x", "deep"), ("/galaxy/test?", "deep"),
    ("/galaxy/tests", "galaxy"),
    ("/galaxy#f", nil), ("/%67alaxy", nil),
  ])
  func paths(_ target: String, _ expected: String?) {
    #expect(pool(target, host: "elsewhere") == expected)
  }

  /// The host decides first: a prefix of another host does not count.
  @Test func theMostSpecificHostWins() {
    #expect(pool("/galaxy/x", host: "a.example.org") == "a-galaxy")
    #expect(pool("/galaxyx", host: "a.example.org") == "a")
    #expect(pool("/galaxy/test", host: "b.example.org") == "wild")
  }

  @Test func anAbsoluteTargetReplacesTheHost() {
    #expect(pool("http://a.example.org/x", host: "other") == "a")
    #expect(pool("http://other/galaxy", host: "a.example.org") == "galaxy")
    #expect(pool("http://a.example.org?q", host: "other") == "a")
    #expect(pool("http://a.example.org", host: "other") == "a")
  }

  @Test func aRequestWithoutHostIsForAnyHost() {
    #expect(pool("/galaxy", host: nil, version: "1.0") == "galaxy")
    #expect(pool("/", host: nil, version: "1.0") == nil)
  }

  @Test func theOnlyRouteThatAsksForNothingGetsEverything() {
    let table = RouteTable([Route(pool: "p")], poolNames: ["other", "p"])
    for request in [
      ReadRequest("GET / HTTP/1.0"), ReadRequest("OPTIONS * HTTP/1.1", "Host: h"),
      ReadRequest("GET http://h?x HTTP/1.1", "Host: y"),
    ] {
      #expect(table.pool(for: request.head, request.bytes.span) == 1)
    }
  }

  @Test func withoutRoutesNothingIsServed() {
    let request = ReadRequest("GET / HTTP/1.1", "Host: h")
    #expect(RouteTable([], poolNames: ["p"]).pool(for: request.head, request.bytes.span) == nil)
  }
}
