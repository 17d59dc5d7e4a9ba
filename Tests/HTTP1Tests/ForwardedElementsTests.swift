import HTTP1
import HTTP1Invariants
import Testing

/// RFC 7239 4 to 6.
@Suite struct ForwardedElementsTests {
  private struct Read: Equatable {
    var clients: [String] = []
    var proto: String?
    var host: String?

    init(_ values: String...) {
      let bytes = Array(values.joined(separator: "\n").utf8)
      var elements = ForwardedElements()
      var start = 0
      for value in values {
        elements.read(bytes.span, start..<start + value.utf8.count)
        start += value.utf8.count + 1
      }
      clients = elements.clients.map { latin1(bytes[$0]) }
      proto = elements.proto.map { latin1(bytes[$0]) }
      host = elements.host.map { latin1(bytes[$0]) }
    }
  }

  @Test(arguments: [
    ("for=192.0.2.60", ["192.0.2.60"]), ("For=\"192.0.2.60:47011\"", ["192.0.2.60"]),
    ("FOR=\"[2001:db8::1]:4711\"", ["2001:db8::1"]), ("for=\"[2001:db8::1]\"", ["2001:db8::1"]),
    ("for=a, for=b", ["a", "b"]), ("for=a;by=c , for=b;proto=http", ["a", "b"]), ("for=unknown", ["unknown"]),
    ("for=_hidden", ["_hidden"]), ("by=x;for=a", ["a"]), (";;, ,for=a,;", ["a"]), ("", []), ("for", []),
    ("for=", []),
    ("for=\"\"", []), ("=a", []), ("for =a", []), ("xfor=a", []), ("for=\"a b\"", []), ("for=\"[::1\"", []),
    ("for=\"[zz]\"", []), ("for=a@b", []), ("junk, for=a", ["a"]), ("for=\"a", ["a"]),
  ])
  func clientsAreReadInOrder(_ value: String, _ expected: [String]) {
    #expect(Read(value).clients == expected, "\(value)")
  }

  /// Guards against what stands in a quoted string and looks like an element of its own.
  @Test(arguments: [
    "by=\"x;for=6.6.6.6\"", "by=\"x\\\";for=6.6.6.6;\\\"\"", "\"x;for=6.6.6.6;\"", "by=\"\\",
    "by=\"x,for=6.6.6.6",
    "x\"a;for=6.6.6.6;b\"",
  ])
  func quotedStringsAreOnePiece(_ value: String) {
    #expect(Read(value).clients.isEmpty, "\(value)")
    #expect(Read(value + "\"", "for=1.1.1.1").clients == ["1.1.1.1"])
  }

  @Test func theFirstProtoAndHostCount() {
    let read = Read("for=a;proto=https;host=one.example", "proto=http;host=two.example;for=b")
    #expect(read.clients == ["a", "b"] && read.proto == "https" && read.host == "one.example")
  }

  @Test func aMalformedHostIsPassedOver() {
    #expect(Read("host=\"a b\";host=c:80").host == "c:80")
    #expect(Read("host=\"\"").host == nil)
  }
}
