import HTTP1
import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

/// What `balance: hash` sees of a request.
@Suite struct RequestKeyTests {
  private func key(
    _ on: HashKey, peer: String? = "192.0.2.9", trusting blocks: [String] = [], unix: Bool = false,
    _ fields: String...
  ) throws -> UInt64? {
    let text = "GET / HTTP/1.1\r\nHost: h\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
    let bytes = Array(text.utf8)
    var head = RequestHead()
    let progress = head.read(
      bytes.span, limits: HeadLimits(line: 8192, head: 65536, fields: 100), classifier: FieldNameClassifier())
    #expect(progress == .complete(byteCount: bytes.count))
    let proxies = TrustedProxies(blocks: blocks.compactMap { AddressBlock($0) }, unixPeers: unix)
    return try #require(RequestKey(.hash(on))).hash(
      head, bytes.span, from: Peer(address: peer.flatMap { IPAddress($0) }, port: 1), trusting: proxies)
  }

  @Test func othersDontHash() {
    for algorithm in [BalancingAlgorithm.leastConnections, .roundRobin, .randomTwo] {
      #expect(RequestKey(algorithm) == nil)
    }
  }

  @Test func headersAndCookies() throws {
    let first = try key(.header("x-tenant"), "X-Tenant: a")
    #expect(first != nil)
    #expect(try key(.header("x-tenant"), peer: "10.0.0.1", "x-tenant:a", "Other: b") == first)
    #expect(try key(.header("x-tenant"), "X-Tenant: b") != first)
    #expect(try key(.header("x-tenant"), "X-Tenant:") == nil)
    #expect(try key(.header("x-tenant"), "Other: a") == nil)
    let session = try key(.cookie("s"), "Cookie: a=1; s=x")
    #expect(session != nil)
    #expect(try key(.cookie("s"), "Cookie: s=x") == session)
    #expect(try key(.cookie("s"), "Cookie: s=y") != session)
    #expect(try key(.cookie("s"), "Cookie: a=x") == nil)
  }

  @Test func aStrangerIsItsOwnAddress() throws {
    let own = try key(.clientAddress)
    #expect(own != nil)
    #expect(try key(.clientAddress, "X-Forwarded-For: 198.51.100.1") == own)
    #expect(try key(.clientAddress, "Forwarded: for=198.51.100.1") == own)
    #expect(try key(.clientAddress, peer: "192.0.2.10") != own)
    #expect(try key(.clientAddress, peer: nil) == nil)
  }

  /// However the proxy in front writes it.
  @Test(arguments: [
    "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 198.51.100.1:4711",
    "X-Forwarded-For: 6.6.6.6, 198.51.100.1", "X-Forwarded-For: 198.51.100.1, 10.0.0.7,10.0.0.8",
    "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For:",
    "X-Forwarded-For: ::ffff:198.51.100.1", "X-Forwarded-For: [::ffff:198.51.100.1]:99",
    "Forwarded: for=6.6.6.6, for=\"198.51.100.1:1\";proto=https",
    "X-Forwarded-For: 198.51.100.1\r\nForwarded: for=6.6.6.6",
  ])
  func aTrustedProxySaysWhoTheClientIs(_ fields: String) throws {
    let expected = try key(.clientAddress, peer: "198.51.100.1")
    #expect(try key(.clientAddress, peer: "10.0.0.1", trusting: ["10.0.0.0/8"], fields) == expected)
    #expect(
      try key(.clientAddress, peer: nil, trusting: ["10.0.0.0/8"], unix: true, fields) == expected)
  }

  @Test func oneWithoutAnAddressIsItsName() throws {
    let proxy = ["10.0.0.0/8"]
    let hidden = try key(
      .clientAddress, peer: "10.0.0.1", trusting: proxy, "X-Forwarded-For: 6.6.6.6, _a")
    #expect(hidden != nil)
    #expect(
      try key(.clientAddress, peer: "10.0.0.1", trusting: proxy, "X-Forwarded-For: 7.7.7.7, _a") == hidden)
    #expect(try key(.clientAddress, peer: "10.0.0.1", trusting: proxy, "X-Forwarded-For: _b") != hidden)
  }

  @Test func aProxyThatSaysNothingIsTheClient() throws {
    let own = try key(.clientAddress, peer: "10.0.0.1")
    #expect(try key(.clientAddress, peer: "10.0.0.1", trusting: ["10.0.0.0/8"]) == own)
    // All are trusted: the first one began it.
    let inside = try key(.clientAddress, peer: "10.0.0.3")
    #expect(
      try key(
        .clientAddress, peer: "10.0.0.1", trusting: ["10.0.0.0/8"], "X-Forwarded-For: 10.0.0.3, 10.0.0.2")
        == inside)
    #expect(try key(.clientAddress, peer: nil, unix: true) == nil)
  }
}
