import Glibc
import HTTP1
import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

/// A log that nobody reads.
final class SilentLog {
  let log: Log
  private let descriptor: Descriptor

  init() throws {
    descriptor = Descriptor(
      owning: try retryingInterrupts("open") { open("/dev/null", O_WRONLY | O_CLOEXEC) })
    log = Log(level: .debug, descriptor: descriptor.number, style: .timestamped)
  }
}

@Suite struct SiteTests {
  private func pool(_ name: String, _ endpoints: Endpoint...) -> PoolSettings {
    PoolSettings(
      name: name,
      upstreams: endpoints.enumerated().map { UpstreamSettings(name: "\(name)\($0)", endpoint: $1) })
  }

  private func settings(_ pools: PoolSettings...) -> Settings {
    var settings = Settings()
    settings.pools = pools
    settings.routes = pools.map { Route(pathPrefix: "/\($0.name)", pool: $0.name) }
    return settings
  }

  @Test func poolsAreMadeInOrder() throws {
    let silent = try SilentLog()
    let first = pool("a", .unix(path: "/x/a"), .tcp(host: "127.0.0.1", port: 81))
    let site = try Site(settings(first, pool("b", .tcp(host: "::1", port: 82))), log: silent.log)
    #expect(site.pools.map(\.name) == ["a", "b"])
    #expect(site.pools[0].upstreams.map(\.index) == [0, 1])
    #expect(site.pools[0].upstreams.map { "\($0.address)" } == ["unix:/x/a", "127.0.0.1:81"])
    #expect("\(site.pools[1].upstreams[0].address)" == "[::1]:82")
    let request = ReadRequest("GET /b/x HTTP/1.1", "Host: h")
    #expect(site.routes.pool(for: request.head, request.bytes.span) == 1)
  }

  /// Guards against a reload that forgets what is known of upstreams that stay: work in flight and failures.
  @Test func aReloadKeepsWhatHasNotChanged() throws {
    let silent = try SilentLog()
    let (kept, changed, gone) = (
      pool("kept", .unix(path: "/x/k")), pool("changed", .unix(path: "/x/c")),
      pool("gone", .unix(path: "/x/g"))
    )
    let before = try Site(settings(gone, changed, kept), log: silent.log)
    let lease = LocalUpstream(before.pools[2].upstreams[0], loop: 0).lease(.ordinary)
    before.pools[2].upstreams[0].noteFailure(.unreachable, now: 0)
    before.pools[1].upstreams[0].noteFailure(.unreachable, now: 0)
    var heavier = changed
    heavier.upstreams[0].weight = 7
    let after = try Site(
      settings(kept, heavier, pool("new", .unix(path: "/x/n"))), replacing: before, log: silent.log)
    #expect(after.pools.map(\.name) == ["kept", "changed", "new"])
    #expect(after.pools[0] === before.pools[2])
    #expect(after.pools[0].upstreams[0].inFlight == 1 && lease.upstream === after.pools[0].upstreams[0])
    #expect(!after.pools[0].upstreams[0].state.isEligible)
    #expect(after.pools[1] !== before.pools[1])
    #expect(!after.pools[1].upstreams[0].state.isEligible && after.pools[1].upstreams[0].settings.weight == 7)
    #expect(before.pools[1].upstreams[0].settings.weight == 1)
  }

  /// A reload with a name that can't be looked up changes nothing.
  @Test func anUnknownHostIsAnError() throws {
    let silent = try SilentLog()
    let bad = pool("a", .tcp(host: "no-such-host.invalid", port: 80))
    #expect(throws: ResolutionFailure.self) { try Site(settings(bad), log: silent.log) }
  }

  /// Guards against fewer counters than there are loops: their number changes only with a restart.
  @Test func anotherNumberOfThreadsChangesNoPool() throws {
    let silent = try SilentLog()
    var settings = settings(pool("a", .unix(path: "/x/a")))
    settings.threads = 2
    let before = try Site(settings, log: silent.log)
    settings.threads = 1
    settings.pools.append(pool("b", .unix(path: "/x/b")))
    let after = try Site(settings, replacing: before, log: silent.log)
    #expect(after.pools[0] === before.pools[0])
    #expect(after.pools[1].upstreams[0].statistics.count == 2)
  }

  @Test func limitsAndIdentityNamesAreCompiled() throws {
    let silent = try SilentLog()
    var settings = settings(pool("a", .unix(path: "/x/a")))
    settings.limits.requestLine = 100
    settings.limits.requestHead = 200
    settings.limits.fields = 3
    settings.limits.responseHead = 300
    settings.identityHeaders = ["x-secret-user"]
    let site = try Site(settings, log: silent.log)
    #expect(
      site.requestLimits.line == 100 && site.requestLimits.head == 200 && site.requestLimits.fields == 3)
    #expect(site.responseLimits.head == 300 && site.responseLimits.fields == 3)
    let bytes = Array("GET / HTTP/1.1\r\nHost: h\r\nX-Secret-User: u\r\n\r\n".utf8)
    var head = RequestHead()
    let progress = head.read(bytes.span, limits: site.requestLimits, classifier: site.classifier)
    #expect(progress == .complete(byteCount: bytes.count))
    #expect(head.value(of: .identity).map { String(decoding: bytes[$0], as: UTF8.self) } == "u")
  }
}
