import EventLoop
import Glibc
import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

/// The deadlines of a client whose bytes have come while its loop had other things to do.
@Suite struct ClientDeadlineTests {
  private let silent: SilentLog
  private let loop: EventLoop
  private let worker: Worker

  init() throws {
    silent = try SilentLog()
    loop = try EventLoop()
    var settings = Settings()
    settings.pools = [
      PoolSettings(name: "p", upstreams: [UpstreamSettings(name: "u", endpoint: .unix(path: "/missing"))])
    ]
    settings.routes = [Route(pool: "p")]
    let site = try Site(settings, log: silent.log)
    worker = Worker(
      loop: loop, number: 0, site: site, accessLog: nil, census: Census(workers: 1), log: silent.log
    ) { _, _ in }
  }

  /// Guards against a connection that is closed as idle, or told 408, while its next bytes wait to be read. If nothing had
  /// come after all, that follows a moment later.
  @Test(arguments: [("", ""), ("GET / HTTP/1.1\r\nHo", "HTTP/1.1 408 ")])
  func whatHasComeIsReadFirst(_ begun: String, _ outcome: String) throws {
    var pair: [Int32] = [-1, -1]
    let kind = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
    try #require(socketpair(AF_UNIX, kind, 0, &pair) == 0)
    let end = Descriptor(owning: pair[1])
    #expect(begun.withCString { Glibc.send(end.number, $0, strlen($0), 0) } == begun.utf8.count)
    worker.adopt(pair[0], Peer(address: nil, port: 0))
    let client = try #require(worker.clients.last)

    loop.enqueue(client, for: .receiveRequests)
    client.deadlinePassed()
    #expect(!client.isClosed && client.ending == nil)

    let stop = StopReminder(loop)
    loop.setDeadline(of: stop, in: 100)
    loop.run()
    loop.remove(stop)
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = recv(end.number, &buffer, buffer.count, 0)
    #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).hasPrefix(outcome))
    #expect(client.isClosed == outcome.isEmpty)
    worker.cutAll()
  }
}

private final class StopReminder: Timed {
  private let loop: EventLoop

  init(_ loop: EventLoop) { self.loop = loop }

  override func deadlinePassed() { loop.stop() }
}
