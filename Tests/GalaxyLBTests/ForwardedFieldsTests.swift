import HTTP1
import SystemCalls
import Testing

@testable import galaxy_lb

@Suite struct ForwardedFieldsTests {
  private static let newID: (UInt64, UInt64) = (0x0123_4567_89AB_CDEF, 0xFEDC_BA98_7654_3210)
  private static let newIDText = "0123456789abcdeffedcba9876543210"
  private static let peer = Peer(address: IPAddress("192.0.2.9"), port: 1234)

  /// The whole head that goes upstream, as lines without the request line and the framing.
  private func upstreamLines(_ lines: String..., peer: Peer = peer, isTrusted: Bool) -> [String] {
    let request = ReadRequest(
      (["GET / HTTP/1.1", "Host: galaxy.example:8080"] + lines).joined(separator: "\r\n"),
      identityNames: ["remote-user"])
    let fields = ForwardedFields(peer: peer, isTrusted: isTrusted)
    let head = written { buffer in
      request.head.write(request.bytes.span, dropping: fields.dropped, to: &buffer)
      _ = fields.write(request.head, request.bytes.span, newRequestID: Self.newID, to: &buffer)
    }
    #expect(head.hasPrefix("GET / HTTP/1.1\r\n") && head.hasSuffix("\r\n"))
    return head.split(separator: "\r\n").dropFirst().map(String.init)
  }

  private static let ownLines = [
    "X-Forwarded-For: 192.0.2.9", "X-Forwarded-Proto: http", "X-Forwarded-Host: galaxy.example:8080",
    "X-Request-Id: \(newIDText)",
  ]

  /// Nothing that a stranger says about itself goes on, in whatever writing.
  @Test func strangersAreNotBelieved() {
    let lines = upstreamLines(
      "X-Forwarded-For: 6.6.6.6", "x-forwarded-proto: https", "X-FORWARDED-HOST: evil",
      "X-Forwarded-Prefix: /x",
      "X-Forwarded-Port: 1", "Forwarded: for=6.6.6.6;proto=https", "X-Real-IP: 6.6.6.6",
      "X-Url-Scheme: https",
      "X-Request-Id: mine", "Remote-User: admin", "X_Forwarded_For: 6.6.6.6", "remote_user: admin",
      "X-Forwarded_For: 6.6.6.6", "Accept: */*", isTrusted: false)
    #expect(lines == ["Host: galaxy.example:8080", "Accept: */*"] + Self.ownLines)
  }

  @Test func nominatingTheProxysFieldsChangesNothing() {
    let lines = upstreamLines(
      "Connection: x-forwarded-for, x-request-id, host, x-private", "X-Private: p", isTrusted: false)
    #expect(lines == ["Host: galaxy.example:8080"] + Self.ownLines)
  }

  @Test func aTrustedProxyWithNothingToSayIsTheClient() {
    #expect(upstreamLines(isTrusted: true) == ["Host: galaxy.example:8080"] + Self.ownLines)
  }

  @Test func aTrustedProxyIsBelieved() {
    let lines = upstreamLines(
      "X-Forwarded-For: 10.1.1.1, 10.2.2.2", "X-Forwarded-For:", "X-Forwarded-For: 10.3.3.3",
      "X-Forwarded-Proto: HTTPS", "X-Forwarded-Host: public.example", "X-Request-Id: abc-1",
      "Remote-User: ada",
      "X-Real-IP: 10.1.1.1", "X-Forwarded-Prefix: /g", "Remote_User: mallory", isTrusted: true)
    #expect(
      lines == [
        "Host: galaxy.example:8080", "Remote-User: ada", "X-Real-IP: 10.1.1.1", "X-Forwarded-Prefix: /g",
        "X-Forwarded-For: 10.1.1.1, 10.2.2.2, 10.3.3.3, 192.0.2.9", "X-Forwarded-Proto: https",
        "X-Forwarded-Host: public.example", "X-Request-Id: abc-1",
      ])
  }

  @Test(arguments: [
    ("https", "https"), ("http", "http"), ("HtTpS", "https"), ("ftp", "http"), ("", "http"),
    ("httpx", "http"), ("https, http", "https"), ("http,https", "http"), (" , HTTPS ,http", "https"),
    ("https http", "http"), ("wss, https", "http"),
  ])
  func theProtocolIsOneOfTwo(_ value: String, _ expected: String) {
    let lines = upstreamLines("X-Forwarded-Proto: \(value)", isTrusted: true)
    #expect(lines.filter { $0.hasPrefix("X-Forwarded-Proto:") } == ["X-Forwarded-Proto: \(expected)"])
  }

  /// A chain of proxies may write one line each; the outermost one's comes first.
  @Test func theFirstProtocolAndHostAreThoseOfTheClient() {
    let lines = upstreamLines(
      "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example, inner.example",
      "X-Forwarded-Proto: http", "X-Forwarded-Host: innermost.example", isTrusted: true)
    #expect(lines.contains("X-Forwarded-Proto: https"))
    #expect(lines.filter { $0.hasPrefix("X-Forwarded-Host:") } == ["X-Forwarded-Host: public.example"])
  }

  @Test func forwardedIsMerged() {
    let lines = upstreamLines(
      "Forwarded: for=\"[2001:db8::1]:47011\";proto=https;host=public.example, for=10.1.1.1",
      "forwarded: for=unknown;by=x", isTrusted: true)
    #expect(
      lines == [
        "Host: galaxy.example:8080", "X-Forwarded-For: 2001:db8::1, 10.1.1.1, unknown, 192.0.2.9",
        "X-Forwarded-Proto: https", "X-Forwarded-Host: public.example", "X-Request-Id: \(Self.newIDText)",
      ])
  }

  /// Where both are there, the older fields, which Galaxy's documentation has proxies set, win.
  @Test func theOlderFieldsWinOverForwarded() {
    let lines = upstreamLines(
      "Forwarded: for=10.9.9.9;proto=https;host=a", "X-Forwarded-For: 10.1.1.1", "X-Forwarded-Proto: http",
      "X-Forwarded-Host: b", isTrusted: true)
    #expect(lines.contains("X-Forwarded-For: 10.1.1.1, 192.0.2.9"))
    #expect(lines.contains("X-Forwarded-Proto: http"))
    #expect(lines.contains("X-Forwarded-Host: b"))
  }

  /// Guards against nodes that would become several elements of X-Forwarded-For, or half of one.
  @Test(arguments: [
    "for=\"6.6.6.6,7.7.7.7\"", "for=2001:db8::1", "for=\"a;b\"", "for=\"10.0.0.1:80:90\"",
    "for=\"10.0.0.1:\"",
    "for=\"a%2cb\"",
  ])
  func malformedNodesArePassedOver(_ element: String) {
    let lines = upstreamLines("Forwarded: \(element), for=10.1.1.1", isTrusted: true)
    #expect(lines.contains("X-Forwarded-For: 10.1.1.1, 192.0.2.9"))
  }

  @Test(arguments: ["_hidden", "\"_gazonk\"", "\"10.0.0.1:_port\"", "10.0.0.1", "unknown"])
  func nodesOfTheGrammarAreTaken(_ node: String) {
    let lines = upstreamLines("Forwarded: for=\(node)", isTrusted: true)
    let expected = node.replacing("\"", with: "").split(separator: ":")[0]
    #expect(lines.contains("X-Forwarded-For: \(expected), 192.0.2.9"))
  }

  @Test(arguments: [
    ("a", true), (String(repeating: "x", count: 128), true), (String(repeating: "x", count: 129), false),
    ("", false),
    ("a b", false), ("a\"b", false), ("é", false), ("a=b;c~!", true),
  ])
  func requestIDsPassWhenTheyCanStandInALog(_ id: String, _ passes: Bool) {
    let lines = upstreamLines("X-Request-Id: \(id)", isTrusted: true)
    #expect(
      lines.filter { $0.hasPrefix("X-Request-Id:") } == ["X-Request-Id: \(passes ? id : Self.newIDText)"])
  }

  @Test func peersOfUnixSocketsAndIPv6() {
    let unix = upstreamLines(peer: Peer(address: nil, port: 0), isTrusted: false)
    #expect(unix.contains("X-Forwarded-For: unix:"))
    let six = upstreamLines(peer: Peer(address: IPAddress("2001:db8::7"), port: 1), isTrusted: false)
    #expect(six.contains("X-Forwarded-For: 2001:db8::7"))
  }

  @Test func withoutAHostThereIsNoForwardedHost() {
    let request = ReadRequest("GET / HTTP/1.0")
    let text = written {
      _ = ForwardedFields(peer: Self.peer, isTrusted: false)
        .write(request.head, request.bytes.span, newRequestID: Self.newID, to: &$0)
    }
    #expect(!text.contains("X-Forwarded-Host"))
  }

  @Test func requestIDsDiffer() {
    var generator = RequestIDGenerator()
    let ids = Set((0..<10_000).map { _ in generator.next() })
    #expect(ids.count == 10_000)
  }
}
