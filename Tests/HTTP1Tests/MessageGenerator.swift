import TestSupport

/// Makes heads and bodies of the pieces that matter, most of them valid, some of them broken.
struct MessageGenerator {
  var random: SeededGenerator

  init(_ random: SeededGenerator) { self.random = random }

  private mutating func pick<Element>(_ elements: [Element]) -> Element {
    elements.randomElement(using: &random)!
  }
  private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  /// A request head, with what else the client sends behind it at times.
  mutating func request() -> [UInt8] {
    let method = pick(["GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "CONNECT", "M-SEARCH", "get"])
    let target =
      chance(85)
      ? pick(["/", "/a/b?c=d", "//x", "http://h/p?q", "http://h", "https://h:1?q", "/%00é", "http://[::1]/"])
      : pick(["*", "http://", "x", ""])
    let version = chance(90) ? pick(["1.1", "1.1", "1.1", "1.0", "1.2"]) : pick(["2.0", "1"])
    var lines = (0..<Int.random(in: 0...12, using: &random)).map { _ in requestField() }
    if chance(95) {
      lines.insert("Host: " + pick(chance(90) ? ["h", "h:80", "[::1]"] : ["", "a b"]), at: 0)
    }
    if chance(15) { lines += ["Connection: upgrade", "Upgrade: websocket"] }
    if chance(20) { lines.append("Content-Length: " + length()) }
    if chance(15) { lines.append("Transfer-Encoding: " + coding()) }
    if chance(15) { lines.append("Expect: 100-continue") }
    return finish("\(method) \(target) HTTP/\(version)", lines)
  }

  mutating func response() -> [UInt8] {
    let status = pick(["200", "200", "204", "304", "100", "103", "101", "500", "099", "20", "999"])
    let reason = pick([" OK", " ", "", " Not  Found\té"])
    let version = pick(["1.1", "1.1", "1.1", "1.0", "1.9", "2.0"])
    var lines = (0..<Int.random(in: 0...12, using: &random)).map { _ in responseField() }
    if chance(40) { lines.append("Content-Length: " + length()) }
    if chance(30) { lines.append("Transfer-Encoding: " + coding()) }
    return finish("HTTP/\(version) \(status)\(reason)", lines)
  }

  mutating func chunkedBody() -> [UInt8] {
    var text = ""
    for _ in 0..<Int.random(in: 0...4, using: &random) {
      let content = String(
        repeating: pick(["x", "\r\n", "0\r\n\r\n"]), count: Int.random(in: 1...20, using: &random))
      let size = String(content.utf8.count, radix: 16, uppercase: chance(50))
      text +=
        pick(["", "", "00"]) + size + pick(["", "", ";a", " ;b=\"c\"", ";"]) + "\r\n" + content + "\r\n"
    }
    text += pick(["0", "0", "00", "0;x"]) + "\r\n"
    for _ in 0..<pick([0, 0, 0, 1, 3]) { text += responseField() + "\r\n" }
    return spoil(Array((text + "\r\n" + pick(["", "GET / HTTP/1.1\r\n"])).utf8))
  }

  private mutating func finish(_ first: String, _ lines: [String]) -> [UInt8] {
    let text = first + "\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
    return spoil(Array((pick(["", "", "", "\r\n"]) + text + pick(["", "", text, "0\r\n\r\n"])).utf8))
  }

  private mutating func requestField() -> String {
    chance(50)
      ? responseField()
      : pick([
        "Connection: close", "Connection: keep-alive, A", "Connection: ,x-y,, Host", "TE: trailers",
        "Upgrade: h2c",
        "X-Forwarded-For: 1.2.3.4", "X_Forwarded_For: 1", "Content_Length: 3", "Remote-User: u",
        "REMOTE_USER: u",
        "X-Forwarded-Prefix: /x", "Forwarded: for=x", "Expect: x", "User-Agent: é \u{1F600}", "Referer: x",
        "HTTP2-Settings: x", "Trailer: A", "X-Request-ID: 1", "Under_Score: 1",
      ])
  }

  private mutating func responseField() -> String {
    pick(["A", "X-Y", "Set-Cookie", "Content-Type", "ETag", "Keep-Alive", "a!b", "x_y"])
      + pick([":", ": ", ":  ", ":\t", ": \t "])
      + pick(["", "1", "v w", "text/event-stream", "a, b ,,c", ":", "\"q\""])
      + pick(["", "", "", " ", "\t "])
  }

  private mutating func length() -> String {
    chance(70)
      ? pick(["0", "1", "5", "007", "5, 5", "9223372036854775807"])
      : pick(["5,6", "x", "", "-1", "9223372036854775808", "5 5"])
  }

  private mutating func coding() -> String {
    pick([
      "chunked", "chunked", "Chunked", ", chunked ,", "gzip, chunked", "chunked, chunked", "", "identity",
    ])
  }

  /// Breaks some messages: a byte changed, put in, taken out or repeated, or the end cut off.
  private mutating func spoil(_ bytes: [UInt8]) -> [UInt8] {
    guard chance(30) else { return bytes }
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
      let position = Int.random(in: 0..<bytes.count, using: &random)
      let special: [UInt8] = [0x00, 0x09, 0x0A, 0x0D, 0x20, 0x2C, 0x3A, 0x5F, 0x7F, 0x80, 0xFF]
      let byte = chance(70) ? pick(special) : UInt8.random(in: 0...255, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[position] = byte
      case 1: bytes.insert(byte, at: position)
      case 2: bytes.remove(at: position)
      case 3: bytes.insert(contentsOf: bytes[position..<min(position + 20, bytes.count)], at: position)
      default: bytes.removeSubrange(position...)
      }
    }
    return bytes
  }
}
