import SystemCalls
import Testing

@Suite struct EndpointTests {
  @Test(arguments: [
    ("unix:/run/g.sock", Endpoint.unix(path: "/run/g.sock")),
    ("unix:///run/g.sock", .unix(path: "/run/g.sock")),
    ("unix:g.sock", .unix(path: "g.sock")),
    ("localhost:8080", .tcp(host: "localhost", port: 8080)),
    ("127.0.0.1:0", .tcp(host: "127.0.0.1", port: 0)),
    ("[::1]:8080", .tcp(host: "::1", port: 8080)),
    (":8080", .tcp(host: "", port: 8080)),
  ])
  func reads(_ text: String, _ expected: Endpoint) throws {
    #expect(try Endpoint(parsing: text) == expected)
  }

  @Test(arguments: [
    ("", Endpoint.Malformed.empty),
    ("unix:", .emptyPath),
    ("unix:" + String(repeating: "p", count: 108), .pathTooLong(108)),
    ("localhost", .missingPort),
    ("localhost:", .missingPort),
    ("localhost:65536", .badPort("65536")),
    ("localhost:-1", .badPort("-1")),
    ("localhost:٣", .badPort("٣")),
    ("::1:80", .badHost("::1")),
    ("[127.0.0.1]:80", .badHost("127.0.0.1")),
    ("[::1]80", .missingPort),
    ("a b:80", .badHost("a b")),
  ])
  func refuses(_ text: String, _ expected: Endpoint.Malformed) {
    #expect(throws: expected) { try Endpoint(parsing: text) }
  }

  @Test func printsWhatItReads() throws {
    for text in ["unix:/a", "h:1", "[::1]:2", ":3"] {
      #expect(try Endpoint(parsing: text).description == text)
    }
  }
}

@Suite struct AddressTests {
  @Test(arguments: ["0.0.0.0", "9.10.99.255", "127.0.0.1", "::", "::1", "2001:db8::ff00:42:8329"])
  func writesWhatItReads(_ text: String) {
    #expect(IPAddress(text)?.description == text)
  }

  @Test(arguments: [
    "192.0.2.1", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.1",
    "1111:2222:3333:4444:5555:6666:123.123.123.123", "", "192.0.2", "192.0.2.1 ", "192.0.2.01",
    "192.0.2.1:80",
    "[::1]", "fe80::1%eth0", "unknown", "192.0.2.1\0",
    "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb",
  ])
  func bytesAreReadAsTextIs(_ text: String) {
    let address = Array(text.utf8).withUnsafeBytes { IPAddress(text: $0) }
    // A String ends for C at a zero byte; bytes don't.
    #expect(address == (text.utf8.contains(0) ? nil : IPAddress(text)))
  }

  @Test func mappedAddressesAreIPv4() {
    #expect(IPAddress("::ffff:10.1.2.3") == IPAddress("10.1.2.3"))
  }

  @Test(arguments: [
    ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "1.2.3.4", true),
    ("0.0.0.0/0", "::1", false), ("::/0", "2001:db8::1", true), ("2001:db8::/32", "2001:db9::", false),
    ("192.0.2.7", "192.0.2.7", true), ("192.0.2.7", "192.0.2.6", false), ("fe80::/65", "fe80::1", true),
    ("fe80::/65", "fe80::8000:0:0:1", false),
  ])
  func blocksContain(_ block: String, _ address: String, _ expected: Bool) throws {
    let block = try #require(AddressBlock(block))
    let address = try #require(IPAddress(address))
    #expect(block.contains(address) == expected)
  }

  @Test(arguments: ["10.0.0.1/8", "10.0.0.0/33", "::/129", "10/8", "10.0.0.0/", "10.0.0.0/+8", "x"])
  func malformedBlocksAreRefused(_ text: String) {
    #expect(AddressBlock(text) == nil)
  }
}
