import HTTP1
import HTTP1Invariants
import Testing

/// RFC 9112 3.2 and 3.3, RFC 9110 7.2 and 7.7.
@Suite struct TargetTests {
  @Test(arguments: [
    "/", "/a/b?c=d", "//", "//evil.example/x", "/../..//./x", "/%00%2e%2E/", "/?", "/#f", "/a?b?c#d",
    "/;a=b,c", "/<>\"\\^`{|}", "/http://h/",
  ])
  func originFormGoesOnByteForByte(_ target: String) {
    let reading = RequestReading("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.written() == "GET \(target) HTTP/1.1\r\nHost: h\r\n")
    #expect(reading.text(reading.head.path) == target)
  }

  @Test func bytesAboveASCIIGoOnByteForByte() {
    let target: [UInt8] = Array("/".utf8) + (0x80...0xFF) + Array("?é".utf8)
    let reading = RequestReading(Array("GET ".utf8) + target + Array(" HTTP/1.1\r\nHost: h\r\n\r\n".utf8))
    #expect(reading.isTaken)
    #expect(Array(reading.bytes[reading.head.path]) == target)
    #expect(reading.written() == "GET \(latin1(target)) HTTP/1.1\r\nHost: h\r\n")
  }

  @Test(arguments: [
    ("http://example.org/p?q", "/p?q", "example.org"), ("HTTP://Example.ORG/p", "/p", "Example.ORG"),
    ("https://h:8443/", "/", "h:8443"), ("http://h", "/", "h"), ("http://h?q", "/?q", "h"),
    ("http://h#f", "/#f", "h"), ("http://[::1]:80/x", "/x", "[::1]:80"), ("http://h:/x", "/x", "h:"),
    ("http://h//x", "//x", "h"), ("http://1.2.3.4/", "/", "1.2.3.4"),
  ])
  func absoluteFormGivesPathAndAuthority(_ target: String, _ path: String, _ authority: String) {
    let reading = RequestReading("GET \(target) HTTP/1.1\r\nHost: other.example\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.text(reading.head.target) == target)
    #expect(reading.text(reading.head.authority) == authority)
    #expect(reading.written() == "GET \(path) HTTP/1.1\r\nHost: \(authority)\r\n")
  }

  @Test(arguments: [
    ("*", "*", "h"), ("/p", "/p", "h"), ("http://a.example", "*", "a.example"),
    ("http://a.example/", "/", "a.example"), ("http://a.example?q", "/?q", "a.example"),
  ])
  func optionsMayAskForTheServerItself(_ target: String, _ path: String, _ authority: String) {
    // RFC 9112 3.2.4.
    let reading = RequestReading("OPTIONS \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.written() == "OPTIONS \(path) HTTP/1.1\r\nHost: \(authority)\r\n")
  }

  @Test(arguments: [
    "*", "**", "*/", "p", "h:80", "example.org", "?q", "#f", "http:/h/", "http:h", "http://", "http:///p",
    "http://?q", "http://:80/", "http://u@h/", "http://u:p@h/", "http://h:x/", "http://h:65536/",
    "http://[::1/",
    "http://[::1]x/", "http://a%2/", "http://a%zz/", "http://a\\b/", "http://h:8 0/", "ftp://h/",
    "httpx://h/",
    "ws://h/", "javascript:x", "é", "http://é/",
  ])
  func otherTargetsAreRefused(_ target: String) {
    let reading = RequestReading("GET \(target) HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(
      reading.rejection == (target.contains(" ") ? .malformedRequestLine : .malformedTarget), "\(target)")
  }

  @Test func anEmptyTargetIsRefused() {
    #expect(RequestReading("GET  HTTP/1.1\r\nHost: h\r\n\r\n").rejection == .malformedTarget)
  }
}

/// RFC 9112 3.2, RFC 9110 7.2.
@Suite struct HostTests {
  @Test(arguments: [
    "h", "example.org", "example.org:8080", "h:", "h:0", "h:65535", "h:00080", "1.2.3.4", "a_b-c.~d", "a%41b",
    "%c3%a9", "!$&'()*+,;=", "EXAMPLE.org.", "[::]", "[::1]", "[::1]:8080", "[::1]:",
    "[2001:db8::FF00:42:8329]",
    "[1:2:3:4:5:6:7:8]", "[1::]", "[1:2:3:4:5:6:7::]", "[::2:3:4:5:6:7:8]", "[::ffff:10.1.2.255]",
    "[1:2:3:4:5:6:0.0.0.0]", "[v1.x:y]", "[vF.1]",
  ])
  func validHostsGoOnUnchanged(_ host: String) {
    let reading = RequestReading("GET / HTTP/1.1\r\nhOsT: \(host) \r\n\r\n")
    #expect(reading.isTaken)
    #expect(reading.text(reading.head.authority) == host)
    #expect(reading.written() == "GET / HTTP/1.1\r\nHost: \(host)\r\n")
  }

  @Test(arguments: [
    "", " ", ":80", "h:x", "h:-1", "h:+1", "h:65536", "h:99999999999999999999999", "h:80:80", "h h", "h\t.x",
    "h/x", "h?x", "h#x", "u@h", "a,b c", "a\\b", "\"h\"", "<h>", "a%", "a%4", "a%4x", "é", "h:٨", "::1", "[",
    "[]", "[]:80", "[::1", "::1]", "[::1]x", "[::1]80", "[::1]:x", "[1]", "[hello]", "[1:2:3:4:5:6:7]",
    "[1:2:3:4:5:6:7:8:9]", "[1:2:3:4:5:6:7:8::]", "[1::2::3]", "[:::]", "[1:::2]", "[:1::]", "[1::2:]",
    "[12345::]", "[g::]", "[::1.2.3]", "[::1.2.3.256]", "[::1.2.3.4.5]", "[::01.2.3.4]", "[::1.2.3.4:5]",
    "[1:2:3:4:5:6:7:1.2.3.4]", "[1.2.3.4]", "[fe80::1%25eth0]", "[v.x]", "[v1]", "[v1.]", "[vg.x]", "[::1]]",
  ])
  func malformedHostsAreRefused(_ host: String) {
    #expect(RequestReading("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n").rejection == .malformedHost, "\(host)")
  }

  @Test func hostIsNeededOnceInHTTP11() {
    #expect(RequestReading("GET / HTTP/1.1\r\n\r\n").rejection == .missingHost)
    #expect(RequestReading("GET http://h/ HTTP/1.1\r\n\r\n").rejection == .missingHost)
    #expect(RequestReading("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n").rejection == .repeatedHost)
    #expect(RequestReading("GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n").rejection == .repeatedHost)
    #expect(RequestReading("GET http://h/ HTTP/1.1\r\nHost: h h\r\n\r\n").rejection == .malformedHost)
  }

  @Test func hostIsMadeForHTTP10() {
    let without = RequestReading("GET /p HTTP/1.0\r\n\r\n")
    #expect(without.head.authority == nil)
    #expect(without.written() == "GET /p HTTP/1.1\r\nHost: localhost\r\n")
    let absolute = RequestReading("GET http://h/p HTTP/1.0\r\n\r\n")
    #expect(absolute.written() == "GET /p HTTP/1.1\r\nHost: h\r\n")
  }
}
