import Foundation
import SystemCalls
import Testing

@testable import GravityRestart

private let patience = WaitLimit(until: .after(.seconds(60)))

private func target(_ unit: String) -> RestartTarget {
  RestartTarget(unit: unit, pool: "_default_", upstream: "gunicorn0", endpoint: .unix(path: "/nowhere"))
}

private func read(_ text: String) throws(XMLRPCError) -> XMLRPCAnswer {
  try XMLRPCAnswer(parsing: Array(text.utf8))
}

private func value(_ text: String) throws(XMLRPCError) -> XMLRPCAnswer {
  try read("<methodResponse><params><param><value>\(text)</value></param></params></methodResponse>")
}

@Suite struct XMLRPCTests {
  @Test(arguments: [
    ("<int>5</int>", XMLRPCValue.integer(5)), ("<i4>-1</i4>", .integer(-1)),
    ("<boolean>1</boolean>", .boolean(true)),
    ("<boolean>0</boolean>", .boolean(false)), ("<string>a &amp; b</string>", .string("a & b")),
    ("plain", .string("plain")),
    ("<string/>", .string("")), ("", .string("")),
    (
      "<array><data><value><int>1</int></value><value>x</value></data></array>",
      .array([.integer(1), .string("x")])
    ),
    ("<array><data/></array>", .array([])),
    (
      "<struct>\n <member>\n<name>n</name><value><int>2</int></value></member></struct>",
      .structure(["n": .integer(2)])
    ),
  ])
  func values(_ text: String, _ expected: XMLRPCValue) throws {
    #expect(try value(text) == .value(expected))
  }

  @Test(arguments: [
    "<int>x</int>", "<int></int>", "<int> 5</int>", "<int>99999999999999999999</int>",
    "<boolean>true</boolean>",
    "<double>1</double>", "<nil/>", "<int>1</int><int>2</int>", "<string><int>1</int></string>", "<array/>",
    "<array><data><int>1</int></data></array>", "<struct><name>n</name></struct>",
    "<struct><member><name>n</name></member></struct>",
    "<struct><member><value>v</value><name>n</name></member></struct>",
    "<struct><member><name>n</name><value>1</value></member><member><name>n</name><value>2</value></member></struct>",
  ])
  func otherValuesAreRefused(_ text: String) {
    #expect(throws: XMLRPCError.self) { try value(text) }
  }

  @Test(arguments: [
    "", "<html><body>no</body></html>", "<methodResponse/>", "<methodResponse><params/></methodResponse>",
    "<methodResponse><params><param/></params></methodResponse>",
    "<methodResponse><fault><value><int>1</int></value></fault></methodResponse>",
    "<methodResponse><fault><value><struct><member><name>faultCode</name><value>10</value></member></struct></value>"
      + "</fault></methodResponse>",
    "<!DOCTYPE x [<!ENTITY e 'x'>]><methodResponse><params><param><value>&e;</value></param></params></methodResponse>",
    String(repeating: "<methodResponse>", count: 1000),
  ])
  func otherAnswersAreRefused(_ text: String) {
    #expect(throws: XMLRPCError.self) { try read(text) }
  }

  @Test func namesAreEscaped() throws {
    let call = XMLRPCCall(method: "m", parameters: [.string("<a>&]]>\"'\r\n"), .boolean(false)])
    let text = String(decoding: call.document, as: UTF8.self)
    #expect(text.contains("<string>&lt;a&gt;&amp;]]&gt;\"'&#13;\n</string>"))
    // What was escaped reads back.
    let start = try #require(text.range(of: "<value>")).upperBound
    let end = try #require(text.range(of: "</value>")).lowerBound
    #expect(try value(String(text[start..<end])) == .value(.string("<a>&]]>\"'\r\n")))
  }

  /// RFC 4648 10.
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ("foobar", "Zm9vYmFy"),
  ])
  func base64(_ text: String, _ expected: String) {
    #expect(SupervisorCredentials.base64(Array(text.utf8)) == expected)
  }
}

@Suite struct SupervisorDriverTests {
  @Test(arguments: [
    (0, "STOPPED", UnitState.stopped), (10, "STARTING", .starting), (20, "RUNNING", .running),
    (30, "BACKOFF", .failing),
    (40, "STOPPING", .stopping), (100, "EXITED", .stopped), (200, "FATAL", .fatal), (1000, "UNKNOWN", .fatal),
  ])
  func states(_ number: Int, _ name: String, _ expected: UnitState) throws {
    let server = try ScriptedServer([.program("g", state: number, name, process: 7, start: 900, error: "why")]
    )
    let status = try SupervisorDriver(server.endpoint).inspect(target("g"), within: patience)
    #expect(status.state == expected)
    #expect(status.process == 7)
    #expect(status.uptime == .seconds(100))
    #expect(status.description.contains(name) && status.description.contains("why"))
    let asked = try #require(server.asked.first)
    #expect(asked.hasPrefix("POST /RPC2 HTTP/1.1\r\n"))
    #expect(asked.contains("<methodName>supervisor.getProcessInfo</methodName>"))
    #expect(!asked.contains("Authorization"))
  }

  @Test func ordersDoNotWait() throws {
    let server = try ScriptedServer([
      .value("<boolean>1</boolean>"), .program("g", state: 0, "STOPPED"), .value("<boolean>1</boolean>"),
    ])
    let driver = SupervisorDriver(
      server.endpoint, credentials: SupervisorCredentials(user: "u", password: "p:q"))
    _ = try driver.perform(.stop, on: target("a:g"), within: patience)
    _ = try driver.perform(.start, on: target("a:g"), within: patience)
    try #require(server.asked.count == 3)
    for (asked, method) in [(server.asked[0], "stopProcess"), (server.asked[2], "startProcess")] {
      #expect(asked.contains("<methodName>supervisor.\(method)</methodName>"))
      #expect(asked.contains("<string>a:g</string></value></param><param><value><boolean>0</boolean>"))
      #expect(asked.contains("\r\nAuthorization: Basic dTpwOnE=\r\n"))
    }
  }

  @Test func whatIsDoneAlreadyIsNoError() throws {
    let server = try ScriptedServer([
      .fault(70, "NOT_RUNNING: g"), .program("g", state: 20, "RUNNING"), .fault(60, "ALREADY_STARTED: g"),
    ])
    let driver = SupervisorDriver(server.endpoint)
    #expect(try driver.perform(.stop, on: target("g"), within: patience) == "")
    #expect(try driver.perform(.start, on: target("g"), within: patience) == "")
  }

  @Test(arguments: [
    (10, ProcessManagerError.Kind.unknownUnit), (20, .startFailed), (21, .startFailed), (50, .startFailed),
    (40, .startFailed), (30, .refused), (1, .refused), (999, .refused), (6, .unreachable),
  ])
  func faultsOfAStart(_ code: Int, _ kind: ProcessManagerError.Kind) throws {
    let server = try ScriptedServer([
      .program("g", state: 0, "STOPPED"), .fault(code, "FAULT: g"),
      .program("g", state: 30, "BACKOFF", error: "spawn failed"),
    ])
    let error = #expect(throws: ProcessManagerError.self) {
      try SupervisorDriver(server.endpoint).perform(.start, on: target("g"), within: patience)
    }
    #expect(error?.kind == kind)
    if code == 50 { #expect(error?.message.contains("spawn failed") == true) }
  }

  @Test func whatStillStopsIsNotStarted() throws {
    let server = try ScriptedServer([.program("g", state: 40, "STOPPING", process: 7)])
    let error = #expect(throws: ProcessManagerError.self) {
      try SupervisorDriver(server.endpoint).perform(.start, on: target("g"), within: patience)
    }
    #expect(error?.kind == .wrongState)
    #expect(server.asked.count == 1)
  }

  @Test(arguments: [
    (ScriptedServer.Answer.http("", status: "401 Unauthorized"), ProcessManagerError.Kind.permissionDenied),
    (.http("", status: "500 Error"), .refused), (.http("", status: "404 Not Found"), .malformedAnswer),
    (.http("<html/>"), .malformedAnswer), (.http("no"), .malformedAnswer),
    (.text("nonsense\r\n\r\n"), .malformedAnswer),
    (.text(""), .unreachable), (.text("HTTP/1.1 200 OK\r\nContent-Le"), .unreachable),
    (.text("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n<methodResponse>"), .unreachable),
    (.text("HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"), .malformedAnswer),
    (.text("HTTP/1.1 100 Continue\r\n\r\n"), .malformedAnswer),
    (.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), .malformedAnswer),
    (.text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"), .unreachable),
    (.text("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "<", count: (4 << 20) + 1)), .malformedAnswer),
    (.text("HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 20_000)), .malformedAnswer),
    (.value("<int>5</int>"), .malformedAnswer), (.value("<struct/>"), .malformedAnswer),
    (.program("g", state: 77, "NEW"), .malformedAnswer),
  ])
  func whatIsNotSupervisor(_ answer: ScriptedServer.Answer, _ kind: ProcessManagerError.Kind) throws {
    let server = try ScriptedServer([answer])
    let error = #expect(throws: ProcessManagerError.self) {
      try SupervisorDriver(server.endpoint).inspect(target("g"), within: patience)
    }
    #expect(error?.kind == kind, "\(error.map(\.description) ?? "")")
    #expect(error?.advice.isEmpty == false)
  }

  @Test func chunksAndOpenEndsAreRead() throws {
    let content = "<methodResponse><params><param><value>3.0</value></param></params></methodResponse>"
    let half = content.utf8.count / 2
    let chunks = [content.prefix(half), content.dropFirst(half)]
      .map { "\(String($0.utf8.count, radix: 16))\r\n\($0)\r\n" }.joined()
    let server = try ScriptedServer([
      .text("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)0\r\n\r\n"),
      .text("HTTP/1.0 200 OK\r\n\r\n\(content)"),
    ])
    let interface = SupervisorInterface(endpoint: server.endpoint)
    for _ in 0..<2 {
      #expect(try interface.value(of: "m", within: patience) == .string("3.0"))
    }
  }

  @Test func silenceIsBounded() throws {
    let server = try ScriptedServer([.silence])
    let error = #expect(throws: ProcessManagerError.self) {
      try SupervisorDriver(server.endpoint).checkAccess(within: WaitLimit(until: .after(.milliseconds(50))))
    }
    #expect(error?.kind == .timedOut)
  }

  @Test func aCancellationEndsTheWait() throws {
    let server = try ScriptedServer([.silence])
    let cancellation = try Cancellation()
    let hasBeenAsked = server.hasBeenAsked
    let canceller = try SystemCalls.Thread {
      let deadline = Deadline.after(.seconds(60))
      while !hasBeenAsked(), !deadline.hasPassed { usleep(1000) }
      cancellation.cancel()
    }
    let error = #expect(throws: ProcessManagerError.self) {
      try SupervisorDriver(server.endpoint).checkAccess(
        within: WaitLimit(until: .after(.seconds(60)), cancellation: cancellation))
    }
    canceller.join()
    #expect(error?.kind == .cancelled)
  }

  /// Nothing listens, or nobody accepts and the backlog is full.
  @Test func nobodyThere() throws {
    let path = NSTemporaryDirectory() + "nobody-\(UUID().uuidString.prefix(8)).sock"
    defer { unlink(path) }
    func kind(_ limit: WaitLimit = patience) -> ProcessManagerError.Kind? {
      #expect(throws: ProcessManagerError.self) {
        try SupervisorDriver(.unix(path: path)).checkAccess(within: limit)
      }?.kind
    }
    #expect(kind() == .unreachable)

    let number = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    let listener = Descriptor(owning: number)
    #expect(SocketAddress(unixPath: path).withPointer { bind(listener.number, $0, $1) } == 0)
    #expect(kind() == .unreachable)
    #expect(listen(listener.number, 0) == 0)
    let soon = WaitLimit(until: .after(.milliseconds(50)))
    // The first one still fits into the backlog.
    #expect(kind(soon) == .timedOut)
    #expect(kind(soon) == .timedOut)
    let tooLong = "/" + String(repeating: "p", count: 200)
    let error = #expect(throws: ProcessManagerError.self) {
      try SupervisorDriver(.unix(path: tooLong)).checkAccess(within: patience)
    }
    #expect(error?.message.contains("201 bytes") == true)
  }

  @Test(arguments: ["", ":", "g:", ":g", "g:*", "*", "a:b:c", "a\nb", "a\u{0}b"])
  func namesOfSeveralOrNone(_ unit: String) {
    for step in [RestartStep.stop, .start] {
      let error = #expect(throws: ProcessManagerError.self) {
        try SupervisorDriver(.unix(path: "/nowhere")).perform(step, on: target(unit), within: patience)
      }
      #expect(error?.kind == .badName)
    }
  }

  @Test func hasNoOtherSteps() {
    for step in [RestartStep.restart, .reload] {
      let error = #expect(throws: ProcessManagerError.self) {
        try SupervisorDriver(.unix(path: "/nowhere")).perform(step, on: target("g"), within: patience)
      }
      #expect(error?.kind == .unsupported)
    }
  }
}
