import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

@Suite struct LostRequestsTests {
  @Test(arguments: [
    ("GET / HTTP/1.1\r\n", "GET /"), ("POST /api/jobs?key=secret HTTP/1.1\r\n", "POST /api/jobs"),
    ("OPTIONS * HTTP/1.1\r\n", "OPTIONS *"), ("GET /a\\b\u{1}é HTTP/1.1\r\n", #"GET /a\x5Cb\x01\xC3\xA9"#),
    ("GET /x\r\n", "GET /x"), ("", ""),
  ])
  func theTextIsMethodAndPath(_ head: String, _ expected: String) {
    #expect(Array(head.utf8).withUnsafeBytes { LostRequest.text(ofRequest: $0) } == expected)
  }

  @Test func theTextIsBounded() {
    let head = "GET /" + String(repeating: "a", count: 5_000) + " HTTP/1.1\r\n"
    let text = Array(head.utf8).withUnsafeBytes { LostRequest.text(ofRequest: $0) }
    #expect(text == "GET /" + String(repeating: "a", count: 195) + "...")
    let fitting = "GET /" + String(repeating: "a", count: 195)
    #expect(
      Array((fitting + "?q HTTP/1.1").utf8).withUnsafeBytes { LostRequest.text(ofRequest: $0) } == fitting)
  }

  @Test func moreThanThereIsRoomForAreCounted() {
    let lost = LostRequests()
    let request = LostRequest(pool: "p", upstream: nil, request: "GET /", reason: .noUpstream)
    lost.isWatched = true
    for _ in 0..<LostRequests.maximumWaiting + 7 { lost.note(request) }
    let taken = lost.takeAll()
    #expect(taken.requests.count == LostRequests.maximumWaiting && taken.leftOut == 7)
    #expect(lost.takeAll().requests.isEmpty && lost.takeAll().leftOut == 0)
    lost.note(request)
    lost.isWatched = false
    #expect(lost.takeAll().requests.isEmpty)
  }

  /// What the plane was told.
  private final class Told {
    var requests: [LostRequest] = []
  }

  private func watch(_ running: RunningWorker) -> Told {
    let told = Told()
    running.plane.onLostRequests = { requests, leftOut in
      told.requests += requests
      #expect(leftOut == 0)
    }
    return told
  }

  private func request(_ running: RunningWorker, _ target: String) throws -> PatientSocket {
    let client = try PatientSocket(connectingTo: running.clientAddress)
    try client.send("POST \(target) HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
    return client
  }

  @Test func whatUsersLoseIsTold() throws {
    let running = try RunningWorker {
      $0.pools[0].hold.time = 100
      $0.timeouts.connect = 100
    }
    let told = watch(running)
    // The upstream takes it, and goes.
    let failed = try request(running, "/failed?x")
    do { _ = try PatientSocket(acceptingFrom: running.upstream).receive(until: "\r\n\r\n") }
    _ = try failed.receive(until: "</html>\n")
    // The answer is cut.
    let cut = try request(running, "/cut")
    do {
      let server = try PatientSocket(acceptingFrom: running.upstream)
      _ = try server.receive(until: "\r\n\r\n")
      try server.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    }
    _ = try cut.receiveToEnd()
    // Nobody is there.
    running.pool.upstreams[0].setAdministrative(.draining)
    _ = try request(running, "/held").receive(until: "</html>\n")
    running.pool.upstreams[0].setAdministrative(.maintenance)
    _ = try request(running, "/refused").receive(until: "</html>\n")
    eventually("all are told") {
      running.plane.takeLostRequests()
      return told.requests.count == 4
    }
    #expect(
      told.requests == [
        LostRequest(
          pool: "p", upstream: "u0", request: "POST /failed", reason: .upstreamFailed(.closedBeforeAnswer)),
        LostRequest(
          pool: "p", upstream: "u0", request: "POST /cut", reason: .upstreamFailed(.truncatedResponse)),
        LostRequest(pool: "p", upstream: nil, request: "POST /held", reason: .holdExpired),
        LostRequest(pool: "p", upstream: nil, request: "POST /refused", reason: .noUpstream),
      ])
  }

  @Test func whatUsersGetOrGiveUpIsNot() throws {
    let running = try RunningWorker()
    let told = watch(running)
    // An error of Galaxy's own.
    let error = try request(running, "/error")
    let first = try PatientSocket(acceptingFrom: running.upstream)
    _ = try first.receive(until: "\r\n\r\n")
    try first.send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
    _ = try error.receive(until: "\r\n\r\n")
    // A connection that ended while it was kept: sent again, and fine.
    first.endSending()
    try error.send("GET /again HTTP/1.1\r\nHost: h\r\n\r\n")
    let second = try PatientSocket(acceptingFrom: running.upstream)
    _ = try second.receive(until: "\r\n\r\n")
    try second.send("HTTP/1.1 204 No Content\r\n\r\n")
    #expect(try error.receive(until: "\r\n\r\n").hasPrefix("HTTP/1.1 204 "))
    // A client that leaves.
    do {
      let leaving = try request(running, "/left")
      try leaving.send("x")
    }
    // A bad request.
    let bad = try PatientSocket(connectingTo: running.clientAddress)
    try bad.send("GET / HTTP/1.1\r\n\r\n")
    _ = try bad.receive(until: "</html>\n")
    eventually("the client's leaving is noticed") { running.census.count(of: .clientLeft) == 1 }
    running.plane.takeLostRequests()
    #expect(told.requests.isEmpty)
  }

  @Test func nobodyWhoWantsToKnowCostsNothing() throws {
    let running = try RunningWorker()
    running.pool.upstreams[0].setAdministrative(.maintenance)
    _ = try request(running, "/").receive(until: "</html>\n")
    eventually("it has ended") { running.census.count(of: .noUpstream) == 1 }
    #expect(running.census.lostRequests.takeAll().requests.isEmpty)
    let told = watch(running)
    _ = try request(running, "/").receive(until: "</html>\n")
    eventually("it is told") {
      running.plane.takeLostRequests()
      return told.requests.count == 1
    }
    running.plane.onLostRequests = nil
    _ = try request(running, "/").receive(until: "</html>\n")
    eventually("it has ended") { running.census.count(of: .noUpstream) == 3 }
    #expect(running.census.lostRequests.takeAll().requests.isEmpty)
  }
}
