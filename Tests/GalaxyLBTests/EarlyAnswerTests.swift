import SystemCalls
import Testing

@Suite struct EarlyAnswerTests {
  /// Guards against a connection that is kept for another request while the end of a body has not gone out on it: its
  /// upstream, which answered early, would read the next request as that end (RFC 9112 9.3, 9.6).
  ///
  /// The body is larger than what the upstream's socket takes, by less than what the proxy reads ahead: so the proxy
  /// has all of it, and has not sent all of it, when the answer comes. A unix socket takes its buffer of 208 KiB and up
  /// to one piece of 64 KiB more.
  @Test(arguments: [290_000, 300_000, 310_000])
  func aConnectionWithAnUnsentBodyIsNotKept(_ length: Int) throws {
    let running = try RunningWorker()
    let client = try PatientSocket(connectingTo: running.clientAddress)
    try client.send("POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: \(length)\r\n\r\n")
    let first = try PatientSocket(acceptingFrom: running.upstream)
    try first.receive(exactly: "POST /first HTTP/1.1\r\n")
    try client.send(String(repeating: "b", count: length))
    try first.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
    _ = try client.receive(until: "\r\n\r\nearly")

    try client.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n")
    let second = try PatientSocket(acceptingFrom: running.upstream)
    let head = try second.receive(until: "\r\n\r\n")
    #expect(head.hasPrefix("GET /second HTTP/1.1\r\n"))
    try second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
    #expect(try client.receive(until: "late").hasPrefix("HTTP/1.1 200 OK\r\n"))
  }
}
