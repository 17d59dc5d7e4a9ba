import Glibc
import SystemCalls
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

@Suite struct SettingsFileTests {
  private func read(_ text: String) -> SettingsFile { SettingsFile(text, path: "/etc/lb/galaxy-lb.yml") }

  private func problems(_ text: String) -> [String] {
    read(text).diagnostics.sorted.map { $0.description.replacing("/etc/lb/galaxy-lb.yml:", with: "") }
  }

  @Test func anEmptyFileIsTheDefaults() {
    for text in ["", "# nothing\n", "{}", SettingsFile.keys.map { "\($0):" }.joined(separator: "\n")] {
      let file = read(text)
      #expect(file.diagnostics.isEmpty)
      #expect(file.configuration.origins.isEmpty)
      #expect(file.configuration.settings.timeouts == Timeouts())
      #expect(file.configuration.settings.listen.isEmpty)
    }
  }

  @Test func everyKeyIsRead() throws {
    let file = read(
      """
      listen: [":80", "unix:public.sock"]
      threads: 4
      control: /run/lb/control.sock
      user: \(geteuid())
      galaxy: [galaxy.yml, /srv/g/galaxy.yml]
      timeouts: {request_head: 1s, request_body: 2s, send: 3s, keep_alive: 4s, connect: 5ms, response: 6m,
        event_stream: 7h, tunnel: 8h, shutdown: 0s, upstream_keep_alive: 9ms}
      limits: {request_head: 8KiB, request_line: 4096, fields: 100, request_body: 1GiB, response_head: 1MiB,
        connections: 7}
      trusted_proxies: [10.0.0.0/8, "::1", unix]
      identity_headers: [Remote-User, X_User]
      access_log: {destination: log/access.log, format: json}
      log_level: error
      defer_accept: true
      """)
    #expect(!file.diagnostics.hasErrors)
    let settings = file.configuration.settings
    #expect(settings.listen == [.tcp(host: "", port: 80), .unix(path: "/etc/lb/public.sock")])
    #expect(settings.threads == 4)
    #expect(settings.control == .at(path: "/run/lb/control.sock"))
    #expect(settings.runAs?.user == geteuid())
    #expect(file.configuration.galaxyFiles.map(\.value) == ["/etc/lb/galaxy.yml", "/srv/g/galaxy.yml"])
    #expect(
      settings.timeouts
        == Timeouts(
          requestHead: 1000, requestBody: 2000, send: 3000, keepAlive: 4000, connect: 5, response: 360_000,
          eventStream: 25_200_000, tunnel: 28_800_000, shutdown: 0, upstreamKeepAlive: 9))
    #expect(
      settings.limits
        == Limits(
          requestHead: 8192, requestLine: 4096, fields: 100, requestBody: 1 << 30, responseHead: 1 << 20,
          connections: 7))
    #expect(settings.trustedProxies.blocks == [AddressBlock("10.0.0.0/8"), AddressBlock("::1")])
    #expect(settings.trustedProxies.unixPeers)
    #expect(settings.identityHeaders == ["remote-user", "x_user"])
    #expect(settings.accessLog.destination == .file(path: "/etc/lb/log/access.log"))
    #expect(settings.accessLog.format == .json)
    #expect(settings.logLevel == .error)
    #expect(settings.deferAccept)
  }

  @Test func placesAreKept() {
    let origins = read("threads: 2\ntimeouts:\n  connect: 1s\naccess_log: stderr\n").configuration.origins
    func place(_ line: Int, _ column: Int) -> Origin {
      .text(Position(file: "/etc/lb/galaxy-lb.yml", line: line, column: column))
    }
    #expect(origins["threads"] == place(1, 10))
    #expect(origins["timeouts.connect"] == place(3, 12))
    #expect(origins["access_log.destination"] == place(4, 13))
    #expect(origins["timeouts.tunnel"] == nil)
  }

  @Test(arguments: [
    ("off", AccessLogSettings.Destination.off), ("'off'", .off), ("stderr", .standardError),
    ("/var/log/a", .file(path: "/var/log/a")), ("{destination: off}", .off), ("{format: json}", .off),
  ])
  func accessLogDestinations(_ text: String, _ expected: AccessLogSettings.Destination) {
    let file = read("access_log: \(text)\n")
    #expect(file.diagnostics.isEmpty)
    #expect(file.configuration.settings.accessLog.destination == expected)
  }

  @Test(arguments: [
    ("thread: 4", "1:1: error: unknown key 'thread' in galaxy-lb.yml (did you mean 'threads'?)"),
    ("threads: many", "1:10: error: threads: found the string 'many', expected a whole number from 1 to 256"),
    ("threads: 257", "1:10: error: threads: found the number 257, expected a whole number from 1 to 256"),
    ("- a", "1:1: error: galaxy-lb.yml: found a list, expected a mapping"),
    (
      "timeouts: {connect: 5}",
      "1:21: error: timeouts.connect: found the number 5, expected a duration with its unit (ms, s, m or h), "
        + "such as 500ms, 30s, 5m or 1h"
    ),
    (
      "timeouts: {connect: 5sec}",
      "1:21: error: timeouts.connect: found the string '5sec', expected a whole number and a unit (ms, s, m or h) "
        + "(did you mean '5s'?)"
    ),
    (
      "timeouts: {connect: 0s}",
      "1:21: error: timeouts.connect: found the string '0s', expected a duration from 1ms to 24h"
    ),
    (
      "timeouts: {keepalive: 5s}",
      "1:12: error: unknown key 'keepalive' in timeouts (did you mean 'keep_alive'?)"
    ),
    (
      "limits: {request_head: 1}",
      "1:24: error: limits.request_head: found the number 1, expected a size from 4KiB to 16MiB"
    ),
    (
      "limits: {request_body: many}",
      "1:24: error: limits.request_body: found the string 'many', expected a size such as 65536, 64KiB or 1MiB "
        + "or none"
    ),
    (
      "limits: {request_line: 128KiB}",
      "1:24: error: limits.request_line is larger than limits.request_head, which includes it"
    ),
    (
      "listen: 8080",
      "1:9: error: '8080': no port (expected HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH)"
    ),
    ("listen: []", "1:9: error: listen: found a list, expected at least one address"),
    ("listen: {a: b}", "1:9: error: listen: found a mapping, expected an address or a list of them"),
    (
      "trusted_proxies: 10.0.0.1/8",
      "1:18: error: trusted_proxies: found the string '10.0.0.1/8', expected an IP address, a block such as "
        + "10.0.0.0/8 (no bit set behind the prefix), or unix"
    ),
    (
      "access_log: stdout",
      "1:13: error: access_log.destination: found the string 'stdout', expected off, stderr or the path of a file "
        + "with at least one /"
    ),
    (
      "access_log: {format: jsn}",
      "1:22: error: access_log.format: found the string 'jsn', expected combined or json (did you mean 'json'?)"
    ),
    (
      "log_level: inof",
      "1:12: error: log_level: found the string 'inof', expected debug, info, notice, warning or error "
        + "(did you mean 'info'?)"
    ),
    (
      "defer_accept: maybe",
      "1:15: error: defer_accept: found the string 'maybe', expected true or false"
    ),
    (
      "identity_headers: [Content-Length]",
      "1:20: error: identity_headers: found the string 'Content-Length', expected the name of a header that says "
        + "who a user is"
    ),
    (
      "user: no-such-user-here",
      "1:7: error: user: found 'no-such-user-here', expected a user of this system"
    ),
    (
      "group: no-such-group-here",
      "1:8: error: group: found 'no-such-group-here', expected a group of this system"
    ),
    (
      "control: ''", "1:10: error: control: found the string '', expected the path of a unix socket, or off"
    ),
  ])
  func mistakes(_ text: String, _ expected: String) {
    #expect(problems(text) == [expected])
  }

  @Test func allMistakesAreToldAtOnce() {
    let text = "threads: x\nlog_level: y\ntimeouts:\n  connect: z\n  nonsense: 1\n"
    #expect(problems(text).map { $0.prefix(1) } == ["1", "2", "4", "5"])
  }

  @Test func rootExists() throws {
    let runAs = try #require(read("user: root").configuration.settings.runAs)
    #expect(runAs.user == 0 && runAs.group == 0 && runAs.userName == "root" && runAs.groupName == "root")
    #expect(read("{user: 0, group: root}").configuration.settings.runAs == runAs)
  }

  @Test func aGroupAloneKeepsTheUser() throws {
    let runAs = try #require(read("group: root").configuration.settings.runAs)
    #expect(runAs.user == geteuid() && runAs.group == 0)
  }
}

@Suite struct PoolReadingTests {
  private func read(_ text: String) -> (pools: [ConfiguredPool], problems: [String]) {
    let file = SettingsFile(text, path: "/etc/lb/f.yml")
    let problems = file.diagnostics.sorted.map { $0.description.replacing("/etc/lb/f.yml:", with: "") }
    return (file.configuration.pools, problems)
  }

  @Test func poolsAreRead() throws {
    let (pools, problems) = read(
      """
      pools:
        main:
          upstreams:
            - unix:run/g0.sock
            - {address: "127.0.0.1:8080", name: spare, weight: 3, backup: true,
              max_connections: 8}
        other: {upstreams: "[::1]:9000"}
      """)
    #expect(problems.isEmpty)
    #expect(
      pools.map(\.settings) == [
        PoolSettings(
          name: "main",
          upstreams: [
            UpstreamSettings(name: "g0", endpoint: .unix(path: "/etc/lb/run/g0.sock")),
            UpstreamSettings(
              name: "spare", endpoint: .tcp(host: "127.0.0.1", port: 8080), weight: 3, backup: true,
              maximumConnections: 8),
          ]),
        PoolSettings(
          name: "other",
          upstreams: [UpstreamSettings(name: "::1:9000", endpoint: .tcp(host: "::1", port: 9000))]),
      ])
    #expect(pools[0].details[1].origin == .text(Position(file: "/etc/lb/f.yml", line: 5, column: 9)))
    #expect(pools.allSatisfy { $0.urlPrefix == nil })
  }

  @Test func equalDerivedNamesBecomeLonger() {
    let upstreams = ["a/x/g.sock", "b/x/g.sock", "c/h.sock"].map { Endpoint.unix(path: $0) }
    let pool = commandLinePool(upstreams + [.tcp(host: "h", port: 1)])
    #expect(pool.settings.upstreams.map(\.name) == ["a-x-g", "b-x-g", "h", "h:1"])
  }

  @Test func namesHoldOnlyWhatNamesMay() {
    #expect(Endpoint.unix(path: "/run/my socket é.sock").derivedName == "my_socket__")
    #expect(Endpoint.unix(path: "/run/.sock").derivedName == ".sock")
    #expect(Endpoint.unix(path: "/run/" + String(repeating: "n", count: 80)).derivedName.count == 64)
  }

  @Test(arguments: [
    (
      "pools: {main: {upstreams: []}}",
      "1:27: error: pools.main.upstreams: no upstreams, expected at least one"
    ),
    (
      "pools: {a b: {upstreams: 'h:1'}}",
      "1:9: error: pools: found the name 'a b', expected 1 to 64 letters, digits and . _ - : @"
    ),
    (
      "pools: {m: {upstream: 'h:1', upstreams: 'h:1'}}",
      "1:13: error: unknown key 'upstream' in pools.m (did you mean 'upstreams'?)"
    ),
    (
      "pools: {m: {upstreams: [{name: x}]}}",
      "1:25: error: pools.m.upstreams: an upstream without 'address'"
    ),
    (
      "pools: {m: {upstreams: [{address: 'h:1', weight: 0}]}}",
      "1:50: error: pools.m.upstreams.weight: found the number 0, expected a whole number from 1 to 1000"
    ),
    (
      "pools: {m: {upstreams: [{address: 'h:1', name: 'a/b'}]}}",
      "1:48: error: pools.m.upstreams.name: found the string 'a/b', expected 1 to 64 letters, digits and . _ - : @"
    ),
    (
      "pools: [a]", "1:8: error: pools: found a list, expected a mapping"
    ),
  ])
  func mistakes(_ text: String, _ expected: String) {
    #expect(read(text).problems == [expected])
  }
}
