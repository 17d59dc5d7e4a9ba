import Glibc
import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

private let webSocketHead =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
private let getAndWait = "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n"
/// As a server sends it: code 1001, "going away".
private let closeFrame: [UInt8] = [0x88, 0x02, 0x03, 0xE9]

/// What a restart does with the traffic of one upstream, through a worker with real sockets.
@Suite struct UpstreamTrafficTests {
  private let running: RunningWorker
  private var pool: Pool { running.pool }
  private var upstream: Upstream { pool.upstreams[0] }
  private var plane: ControlPlane { running.plane }

  init() throws { running = try RunningWorker() }

  /// A client whose request has reached the upstream, and the upstream's end.
  private func exchange(_ request: String) throws -> (client: PatientSocket, server: PatientSocket) {
    let client = try PatientSocket(connectingTo: running.clientAddress)
    try client.send(request)
    let server = try PatientSocket(acceptingFrom: running.upstream)
    _ = try server.receive(until: "\r\n\r\n")
    return (client, server)
  }

  private func expectDrained(_ reason: EndReason? = nil, at place: SourceLocation = #_sourceLocation) {
    eventually("nothing is in flight", at: place) { upstream.inFlight == 0 }
    guard let reason else { return }
    eventually("it ended as \(reason.name)", at: place) { running.census.count(of: reason) == 1 }
  }

  // MARK: Event streams

  private let streamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

  @Test func anEventStreamEndsBehindTheEventThatIsUnderWay() throws {
    let (client, server) = try exchange("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
    try server.send(streamHead + "7\r\ndata: 1\r\n")
    _ = try client.receive(until: "data: 1\r\n")
    plane.endEventStreams(of: upstream, in: pool)
    // Only when the worker has heard of it.
    plane.set(.draining, reason: nil, for: upstream, of: pool).waitUntilPassed()
    try server.send("b\r\n\n\ndata: 2\n\n\r\n")
    #expect(try client.receive(until: "0\r\n\r\n").contains("\n\ndata: 2\n\n"))
    #expect(try server.receiveToEnd().isEmpty)
    expectDrained(.completed)
    // The client's connection goes on.
    upstream.setAdministrative(.ready)
    try client.send(getAndWait)
    _ = try PatientSocket(acceptingFrom: running.upstream).receive(until: "\r\n\r\n")
  }

  @Test func anEventStreamBetweenTwoEventsEndsAtOnce() throws {
    let (client, server) = try exchange("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
    try server.send(streamHead + "9\r\ndata: 1\n\n\r\n")
    _ = try client.receive(until: "data: 1\n\n\r\n")
    plane.endEventStreams(of: upstream, in: pool)
    #expect(try client.receive(until: "0\r\n\r\n") == "0\r\n\r\n")
    #expect(try server.receiveToEnd().isEmpty)
    expectDrained(.completed)
  }

  @Test func whatTurnsIntoAnEventStreamLaterEndsToo() throws {
    let (client, server) = try exchange("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
    plane.endEventStreams(of: upstream, in: pool)
    plane.set(.draining, reason: nil, for: upstream, of: pool).waitUntilPassed()
    try server.send(streamHead)
    #expect(try client.receive(until: "0\r\n\r\n").hasPrefix("HTTP/1.1 200 OK\r\n"))
    expectDrained(.completed)
  }

  @Test func otherResponsesGoOn() throws {
    let (client, server) = try exchange(getAndWait)
    plane.endEventStreams(of: upstream, in: pool)
    plane.closeTunnels(of: upstream, in: pool)
    for traffic in TrafficClass.allCases where traffic != .ordinary {
      plane.cut(traffic, of: upstream, in: pool)
    }
    plane.set(.draining, reason: nil, for: upstream, of: pool).waitUntilPassed()
    try server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n")
    #expect(try client.receive(until: "0\r\n\r\n").hasSuffix("2\r\n\n\n\r\n0\r\n\r\n"))
    expectDrained(.completed)
  }

  // MARK: Tunnels

  private func tunnel() throws -> (client: PatientSocket, server: PatientSocket) {
    let (client, server) = try exchange(
      "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    try server.send(webSocketHead)
    _ = try client.receive(until: "\r\n\r\n")
    return (client, server)
  }

  /// A masked frame with code 1001 (RFC 6455 5.3).
  private func expectMaskedClose(_ server: PatientSocket, at place: SourceLocation = #_sourceLocation)
    throws
  {
    let frame = try server.receive(8)
    #expect(
      frame[0] == 0x88 && frame[1] == 0x82 && frame[6] ^ frame[2] == 0x03 && frame[7] ^ frame[3] == 0xE9,
      "\(frame)", sourceLocation: place)
  }

  private let maskedClose: [UInt8] = [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xE9 ^ 2]

  @Test func aWebSocketIsClosedBetweenFramesAndBothEndsHaveTheirSay() throws {
    let (client, server) = try tunnel()
    try client.send([0x81, 0x81, 0, 0, 0, 0, 0x41])
    #expect(try server.receive(7).last == 0x41)
    plane.closeTunnels(of: upstream, in: pool)
    #expect(try client.receive(4) == closeFrame)
    try expectMaskedClose(server)
    // What is said behind it is not passed on, and the tunnel waits for both.
    try server.send([0x81, 1, 0x42])
    try client.send(maskedClose)
    #expect(upstream.inFlight(.tunnel) == 1)
    try server.send(closeFrame)
    #expect(try server.receiveToEnd().isEmpty)
    #expect(try client.receiveToEnd().isEmpty)
    expectDrained(.tunnelClosed)
  }

  @Test func insideFramesItWaitsForTheirEnds() throws {
    let (client, server) = try tunnel()
    try server.send([0x82, 126, 1, 0] + Array(repeating: 7, count: 100))
    _ = try client.receive(104)
    try client.send([0x01, 0x85, 0, 0])
    _ = try server.receive(4)
    plane.closeTunnels(of: upstream, in: pool)
    plane.set(.draining, reason: nil, for: upstream, of: pool).waitUntilPassed()
    // The frame's end and the beginning of the next one, which is no more passed on.
    try server.send(Array(repeating: 7, count: 156) + [0x81, 5, 1])
    #expect(try client.receive(160) == Array(repeating: 7, count: 156) + closeFrame)
    try client.send([0, 0, 1, 2, 3, 4, 5])
    #expect(try server.receive(7) == [0, 0, 1, 2, 3, 4, 5])
    try expectMaskedClose(server)
    // A server closes first (RFC 6455 7.1.1), and the client's answer does not reset anything.
    try server.send([2, 3, 4, 5] + closeFrame)
    server.endSending()
    try client.send(maskedClose)
    #expect(try client.receiveToEnd().isEmpty)
    expectDrained(.tunnelClosed)
  }

  @Test func aCloseFrameOfAnEndIsPassedOnAndNotSentTwice() throws {
    let (client, server) = try tunnel()
    try client.send(Array(maskedClose[..<4]))
    _ = try server.receive(4)
    plane.closeTunnels(of: upstream, in: pool)
    #expect(try client.receive(4) == closeFrame)
    try client.send(Array(maskedClose[4...]))
    #expect(try server.receive(4) == Array(maskedClose[4...]))
    try server.send(closeFrame)
    #expect(try server.receiveToEnd().isEmpty)
    #expect(try client.receiveToEnd().isEmpty)
    expectDrained(.tunnelClosed)
  }

  @Test func aHandshakeThatIsUnderWayIsFinishedFirst() throws {
    let (client, server) = try exchange(
      "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    plane.closeTunnels(of: upstream, in: pool)
    plane.set(.draining, reason: nil, for: upstream, of: pool).waitUntilPassed()
    try server.send(Array(webSocketHead.utf8) + [0x81, 1, 0x41])
    #expect(try client.receive(until: [0x81, 1, 0x41] + closeFrame).starts(with: "HTTP/1.1 101 ".utf8))
    try expectMaskedClose(server)
  }

  @Test func endsThatDoNotAnswerAreCut() throws {
    let (client, server) = try tunnel()
    plane.closeTunnels(of: upstream, in: pool)
    #expect(try client.receive(4) == closeFrame)
    try expectMaskedClose(server)
    #expect(upstream.inFlight(.tunnel) == 1)
    plane.cut(.tunnel, of: upstream, in: pool)
    #expect(try server.receiveToEnd().isEmpty)
    #expect(try client.receiveToEnd().isEmpty)
    expectDrained(.drainExpired)
  }

  /// There is no place for a Close frame in what is no WebSocket after all.
  @Test func whatIsNoWebSocketIsEnded() throws {
    let (client, server) = try tunnel()
    try server.send([0x89, 0xFF, 1])
    _ = try client.receive(3)
    plane.closeTunnels(of: upstream, in: pool)
    #expect(try client.receiveToEnd().isEmpty)
    try expectMaskedClose(server)
    #expect(try server.receiveToEnd().isEmpty)
    expectDrained(.tunnelClosed)
  }

  /// The proxy's own stop does the same.
  @Test func aStopClosesWebSockets() throws {
    let (client, server) = try tunnel()
    running.tell(.drain)
    #expect(try client.receive(4) == closeFrame)
    try expectMaskedClose(server)
    try client.send(maskedClose)
    try server.send(closeFrame)
    #expect(try client.receiveToEnd().isEmpty)
    expectDrained(.tunnelClosed)
  }

  // MARK: Cutting

  @Test func aRequestWithoutAnAnswerIsToldSo() throws {
    let (client, server) = try exchange(getAndWait)
    plane.cut(.ordinary, of: upstream, in: pool)
    let answer = try client.receive(until: "</html>\n")
    #expect(answer.hasPrefix("HTTP/1.1 504 Gateway Timeout\r\n") && !answer.contains("Connection: close"))
    #expect(try server.receiveToEnd().isEmpty)
    expectDrained(.drainExpired)
  }

  @Test func aRequestThatIsNotWholeMayComeAgain() throws {
    let (client, server) = try exchange("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2000000\r\n\r\n")
    eventually("it is an upload") { upstream.inFlight(.upload) == 1 }
    plane.cut(.upload, of: upstream, in: pool)
    let answer = try client.receive(until: "</html>\n")
    #expect(answer.hasPrefix("HTTP/1.1 503 Service Unavailable\r\n") && answer.contains("Connection: close"))
    #expect(try server.receiveToEnd().isEmpty)
    expectDrained(.drainExpired)
  }

  @Test(arguments: [
    ("Transfer-Encoding: chunked", "5\r\nfirst\r\n"), ("Content-Length: 2000000", "first"),
  ])
  func anAnswerThatHasBegunIsVisiblyCut(_ framing: String, _ piece: String) throws {
    let (client, server) = try exchange(getAndWait)
    try server.send("HTTP/1.1 200 OK\r\n\(framing)\r\n\r\n\(piece)")
    _ = try client.receive(until: piece)
    plane.cut(.download, of: upstream, in: pool)
    #expect(try client.receiveToEnd().isEmpty)
    #expect(try server.receiveToEnd().isEmpty)
    expectDrained(.drainExpired)
  }

  @Test func otherUpstreamsAreLeftAlone() throws {
    let running = try RunningWorker(upstreams: 2)
    func exchange(_ listener: ListeningSocket) throws -> (client: PatientSocket, server: PatientSocket) {
      let client = try PatientSocket(connectingTo: running.clientAddress)
      try client.send(getAndWait)
      let server = try PatientSocket(acceptingFrom: listener)
      _ = try server.receive(until: "\r\n\r\n")
      return (client, server)
    }
    let (first, firstServer) = try exchange(running.upstreams[0])
    let (second, secondServer) = try exchange(running.upstreams[1])
    running.plane.cut(.ordinary, of: running.pool.upstreams[0], in: running.pool)
    #expect(try first.receive(until: "</html>\n").hasPrefix("HTTP/1.1 504 "))
    #expect(try firstServer.receiveToEnd().isEmpty)
    try secondServer.send("HTTP/1.1 204 No Content\r\n\r\n")
    #expect(try second.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
  }

  /// What the upstream has not got yet goes elsewhere: its backlog is full, so that its connection doesn't stand.
  @Test func whatWasNotSentGoesElsewhere() throws {
    let full = try FullListener()
    let running = try RunningWorker(upstreams: 2) { settings in
      settings.pools[0].upstreams[0].endpoint = full.endpoint
      settings.timeouts.connect = 60_000
    }
    let (full0, other) = (running.pool.upstreams[0], running.upstreams[1])
    let client = try PatientSocket(connectingTo: running.clientAddress)
    try client.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody")
    eventually("it is on its way") { full0.inFlight(.ordinary) == 1 }
    full0.setAdministrative(.draining)
    running.plane.cut(.ordinary, of: full0, in: running.pool)
    let server = try PatientSocket(acceptingFrom: other)
    #expect(try server.receive(until: "\r\n\r\nbody").hasPrefix("POST / HTTP/1.1\r\n"))
    #expect(full0.inFlight == 0)
    try server.send("HTTP/1.1 204 No Content\r\n\r\n")
    #expect(try client.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
    #expect(running.census.count(of: .drainExpired) == 0)
  }

  // MARK: Reloads

  /// Guards against what is under way on a pool that a reload has replaced.
  @Test func whatBeganBeforeAReloadIsReached() throws {
    let (ordinary, ordinaryServer) = try exchange(getAndWait)
    let (streaming, streamServer) = try exchange("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
    try streamServer.send(streamHead + "9\r\ndata: 1\n\n\r\n")
    _ = try streaming.receive(until: "data: 1\n\n\r\n")
    let (socket, socketServer) = try tunnel()
    let before = pool
    for slowStart in [5, 6] as [Int64] { try running.reload { $0.pools[0].slowStart = slowStart } }
    #expect(pool !== before && upstream.inFlight == 3)

    plane.endEventStreams(of: upstream, in: pool)
    #expect(try streaming.receive(until: "0\r\n\r\n") == "0\r\n\r\n")
    plane.closeTunnels(of: upstream, in: pool)
    #expect(try socket.receive(4) == closeFrame)
    try expectMaskedClose(socketServer)
    plane.cut(.tunnel, of: upstream, in: pool)
    plane.cut(.ordinary, of: upstream, in: pool)
    #expect(try ordinary.receive(until: "</html>\n").hasPrefix("HTTP/1.1 504 "))
    #expect(try ordinaryServer.receiveToEnd().isEmpty)
    expectDrained()
  }

  /// Guards against idle connections to a drained upstream that nobody closes.
  @Test func aConnectionOfBeforeAReloadIsNotKept() throws {
    // It would be kept for longer than the test waits.
    let running = try RunningWorker { $0.timeouts.upstreamKeepAlive = 60_000 }
    let client = try PatientSocket(connectingTo: running.clientAddress)
    try client.send(getAndWait)
    let server = try PatientSocket(acceptingFrom: running.upstream)
    _ = try server.receive(until: "\r\n\r\n")
    try running.reload { $0.pools[0].slowStart = 5 }
    // So that the worker has heard of it.
    let upstream = running.pool.upstreams[0]
    running.plane.set(.draining, reason: nil, for: upstream, of: running.pool).waitUntilPassed()
    running.plane.set(.ready, reason: nil, for: upstream, of: running.pool)
    try server.send("HTTP/1.1 204 No Content\r\n\r\n")
    _ = try client.receive(until: "\r\n\r\n")
    #expect(try server.receiveToEnd().isEmpty)
  }
}

extension TurnBarrier {
  fileprivate func waitUntilPassed() { eventually("the worker has heard") { isPassed } }
}

/// A TCP socket that takes no more connections: those that come wait to be established (listen(2), tcp(7)).
private final class FullListener {
  let endpoint: Endpoint
  private let listener: ListeningSocket
  private var waiting: [PatientSocket] = []

  init() throws {
    let number = try retryingInterrupts("socket") {
      socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    }
    listener = ListeningSocket(owning: number)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(INADDR_LOOPBACK).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    try withUnsafeMutablePointer(to: &address) { pointer in
      try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { general in
        _ = try retryingInterrupts("bind") { bind(number, general, length) }
        _ = try retryingInterrupts("listen") { listen(number, 0) }
        _ = try retryingInterrupts("getsockname") { getsockname(number, general, &length) }
      }
    }
    endpoint = .tcp(host: "127.0.0.1", port: UInt16(bigEndian: address.sin_port))
    let target = try SocketAddress.resolve(endpoint)
    while let socket = try PatientSocket(establishing: target) { waiting.append(socket) }
  }
}
