import GravityRestart
import SystemCalls
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

/// What galaxy-lb.yml says for all pools and for single ones.
@Suite struct PoolOptionsTests {
  /// Loads a file beside which Galaxy's configuration describes the pools `galaxies`.
  private func load(
    _ text: String, galaxies: [String] = [], upstreams: [Endpoint] = []
  ) throws -> (pools: [String: ConfiguredPool], text: String, problems: [String]) {
    let folder = try TemporaryFolder()
    var commandLine = CommandLineSettings()
    commandLine.file = try folder.write("f.yml", text)
    commandLine.upstreams = upstreams
    var diagnostics = Diagnostics()
    let configuration = Configuration(
      commandLine,
      galaxy: { files, _ in (files, galaxies.enumerated().map { galaxyPool($1, port: UInt16(9000 + $0)) }) },
      into: &diagnostics)
    let pools = configuration.pools.map { ($0.settings.name, $0) }
    #expect(configuration.settings.pools == configuration.pools.map(\.settings))
    return (
      Dictionary(pools) { first, _ in first }, configuration.text,
      diagnostics.sorted.map { $0.description.replacing(folder.path + "/f.yml:", with: "") }
    )
  }

  private func galaxyPool(_ name: String, port: UInt16) -> ConfiguredPool {
    var settings = PoolSettings(
      name: name, upstreams: [UpstreamSettings(name: "g", endpoint: .tcp(host: "h", port: port))],
      healthPath: "/\(name)/api/version")
    settings.health.isProbed = true
    return ConfiguredPool(
      settings: settings, origin: .file("galaxy.yml"),
      details: [UpstreamDetails(origin: .file("galaxy.yml"))],
      urlPrefix: "/" + name)
  }

  private let everything = """
    balance: hash
    hash_on: cookie galaxysession
    slow_start: 10s
    max_connections: 4
    health: {probe: true, path: /up?deep=1, expected_status: 200-399, interval: 1s, interval_when_down: 100ms,
      timeout: 2s, rise: 3, fall: 4}
    hold: {time: 20s, requests: 50, bytes: 1MiB}
    restart: {max_unavailable: 50%, min_available: 0, capacity_wait: 1s, preflight_timeout: 2s, timeout: 3s,
      drain: {ordinary: 4s, upload: 5s, download: 6s, event_stream: 7s, tunnel: 8s, tunnel_closing: 9s},
      ready: {successes: 10, interval: 11ms, timeout: 12ms}, probation: {shares: [1, 99], duration: 13s,
      longest_duration: 14s, minimum_requests: 15, tolerated_errors: 16, tolerated_latency: 170,
      latency_margin: 18ms}}

    """

  private func expectEverything(_ pool: ConfiguredPool) {
    let settings = pool.settings
    #expect(settings.balance == .hash(.cookie("galaxysession")))
    #expect(settings.slowStart == 10_000)
    #expect(settings.upstreams.allSatisfy { $0.maximumConnections == 4 })
    #expect(settings.healthPath == "/up?deep=1")
    let health = settings.health
    #expect(health.isProbed && health.expectedStatus == 200...399 && health.rise == 3 && health.fall == 4)
    #expect(health.interval == 1000 && health.intervalWhenDown == 100 && health.timeout == 2000)
    #expect(settings.hold.time == 20_000 && settings.hold.maximumRequests == 50)
    #expect(settings.hold.maximumBytes == 1 << 20)
    var policy = RestartPolicy()
    policy.maximumUnavailable = .percent(50)
    policy.minimumAvailable = .number(0)
    policy.capacityWait = 1000
    policy.preflightTimeout = 2000
    policy.budgets.ordinary = 4000
    policy.budgets.upload = 5000
    policy.budgets.download = 6000
    policy.budgets.eventStream = 7000
    policy.budgets.tunnel = 8000
    policy.budgets.tunnelClosing = 9000
    policy.readiness.successes = 10
    policy.readiness.interval = 11
    var probation = ProbationRule()
    probation.shares = [1, 99]
    probation.duration = 13_000
    probation.longestDuration = 14_000
    probation.minimumRequests = 15
    probation.toleratedErrors = 16
    probation.toleratedLatency = 170
    probation.latencyMargin = 18
    policy.probation = probation
    #expect(pool.restart.policy == policy)
    #expect(pool.restart.probeTimeout == 12)
    #expect(pool.restart.services.count == settings.upstreams.count)
    #expect(pool.restart.services.allSatisfy { $0.restartTimeout == 3000 })
  }

  @Test func forAllPools() throws {
    let text =
      everything + "galaxy: g.yml\npools: {p: {upstreams: 'h:1'}}\nroutes: [{pool: p}, {path: /a, pool: a}]\n"
    let (pools, _, problems) = try load(text, galaxies: ["a"])
    #expect(problems == [])
    #expect(pools.count == 2)
    for pool in pools.values { expectEverything(pool) }
    let (own, _, _) = try load(everything, upstreams: [.tcp(host: "h", port: 1)])
    expectEverything(try #require(own["default"]))
  }

  @Test func forOnePool() throws {
    let indented = everything.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n")
    let text = """
      galaxy: g.yml
      pools:
        p:
          upstreams: "h:1"
      \(indented)
        a:
      \(indented)
        q: {upstreams: "h:2"}
      routes: [{pool: p}, {path: /a, pool: a}, {path: /b, pool: b}, {path: /q, pool: q}]
      """
    let (pools, _, problems) = try load(text, galaxies: ["a", "b"])
    #expect(problems == [])
    expectEverything(try #require(pools["p"]))
    expectEverything(try #require(pools["a"]))
    for name in ["b", "q"] {
      let settings = try #require(pools[name]).settings
      var expected = PoolSettings(
        name: name, upstreams: settings.upstreams, healthPath: name == "q" ? "/api/version" : "/b/api/version"
      )
      expected.health.isProbed = name == "b"
      #expect(settings == expected)
      #expect(pools[name]?.restart.policy == RestartPolicy())
    }
  }

  @Test func onePoolGoesBeforeAll() throws {
    let text = """
      max_connections: 2
      balance: round-robin
      health: {rise: 5, fall: 6}
      hold: {time: 5s}
      pools:
        p:
          max_connections: none
          balance: random-two
          health: {fall: 7}
          upstreams:
            - "h:1"
            - {address: "h:2", max_connections: 9}
        q:
          upstreams: ["h:3", {address: "h:4", max_connections: none}]
      routes: [{pool: p}, {path: /q, pool: q}]
      """
    let (pools, _, problems) = try load(text)
    #expect(problems == [])
    let p = try #require(pools["p"])
    #expect(p.settings.balance == .randomTwo)
    #expect(p.settings.health.rise == 5 && p.settings.health.fall == 7 && p.settings.hold.time == 5000)
    #expect(p.settings.upstreams.map(\.maximumConnections) == [nil, 9])
    let q = try #require(pools["q"])
    #expect(q.settings.balance == .roundRobin)
    #expect(q.settings.upstreams.map(\.maximumConnections) == [2, nil])
  }

  /// The options of the file hold for the pool that `--upstream` makes, too.
  @Test func thePoolOfTheCommandLineCanBeNamed() throws {
    let text = "pools: {default: {balance: round-robin}, p: {upstreams: 'h:2'}}\n"
    let (pools, _, problems) = try load(text, upstreams: [.tcp(host: "h", port: 1)])
    #expect(problems == [])
    #expect(pools.mapValues(\.settings.balance) == ["default": .roundRobin])
  }

  @Test(arguments: [
    ("client-address", HashKey.clientAddress), ("header X-Tenant", .header("x-tenant")),
    ("cookie galaxySession", .cookie("galaxySession")), ("header  a", .header("a")),
  ])
  func hashKeys(_ text: String, _ expected: HashKey) throws {
    let (pools, printed, problems) = try load(
      "balance: hash\nhash_on: \(text)\npools: {p: {upstreams: 'h:1'}}\n")
    #expect(problems == [])
    #expect(try #require(pools["p"]).settings.balance == .hash(expected))
    #expect(try load(printed).pools["p"]?.settings == pools["p"]?.settings)
  }

  @Test func theClientAddressIsHashedUnlessSaidOtherwise() throws {
    let (pools, _, _) = try load("balance: hash\npools: {p: {upstreams: 'h:1'}}\n")
    #expect(try #require(pools["p"]).settings.balance == .hash(.clientAddress))
  }

  /// What is printed for the only pool, by its name with the sections in front.
  private func options(in lines: [String]) -> [String: Substring] {
    var path: [Substring] = []
    var options: [String: Substring] = [:]
    for line in lines.drop(while: { $0 != "pools:" }).prefix(while: { $0 != "    upstreams:" }) {
      let indent = line.prefix { $0 == " " }.count
      guard indent >= 4, let colon = line.firstIndex(of: ":") else { continue }
      path = path.prefix((indent - 4) / 2) + [line[..<colon].dropFirst(indent)]
      #expect(options.updateValue(line[colon...], forKey: path.joined(separator: ".")) == nil, "\(line)")
    }
    return options
  }

  @Test func allIsPrintedWithItsOrigin() throws {
    let (pools, text, problems) = try load(
      everything
        + "pools:\n  p:\n    upstreams: ['h:1', {address: 'h:2', max_connections: 1}]\n    health: {rise: 9}\n"
    )
    #expect(problems == [])
    let lines = text.split(separator: "\n").map(String.init)
    let printed = options(in: lines)
    for key in PoolKey.all where key.name != "max_connections" {
      let place = key.name == "health.rise" ? ":16:20" : ".yml:"
      #expect(printed[key.name]?.contains(place) == true, "\(key.name): \(printed[key.name] ?? "missing")")
    }
    #expect(lines.count { $0.hasPrefix("        max_connections: 4  # ") && $0.hasSuffix("f.yml:4:18") } == 1)
    #expect(
      lines.count { $0.hasPrefix("        max_connections: 1  # ") && $0.hasSuffix("f.yml:15:58") } == 1)
    #expect(try load(text).pools["p"]?.settings == pools["p"]?.settings)
    let defaults = try load("pools: {p: {upstreams: 'h:1'}}\n").text.split(separator: "\n")
    for line in [
      "    balance: least-connections", "    hash_on: null", "    slow_start: 0ms", "      probe: false",
      "      path: /api/version", "      expected_status: 200-299", "      time: 0ms",
      "        max_connections: none",
    ] {
      #expect(defaults.contains { $0 == line + "  # default" }, "\(line)")
    }
  }

  @Test(arguments: [
    (
      "balance: leastconn",
      "1:10: error: balance: found the string 'leastconn', expected least-connections, round-robin, random-two or hash"
    ),
    (
      "balance: roundrobin",
      "1:10: error: balance: found the string 'roundrobin', expected least-connections, round-robin, random-two or "
        + "hash (did you mean 'round-robin'?)"
    ),
    (
      "hash_on: cookies a",
      "1:10: error: hash_on: found the string 'cookies a', expected client-address, header NAME or cookie NAME "
        + "(did you mean 'cookie a'?)"
    ),
    (
      "hash_on: header a b",
      "1:10: error: hash_on: found the string 'header a b', expected client-address, header NAME or cookie NAME"
    ),
    (
      "hash_on: 'cookie a;b'",
      "1:10: error: hash_on: found the string 'cookie a;b', expected client-address, header NAME or cookie NAME"
    ),
    (
      "hash_on: []", "1:10: error: hash_on: found a list, expected client-address, header NAME or cookie NAME"
    ),
    (
      "slow_start: 10",
      "1:13: error: slow_start: found the number 10, expected a duration with its unit (ms, s, m or h), such as "
        + "500ms, 30s, 5m or 1h"
    ),
    (
      "max_connections: 0",
      "1:18: error: max_connections: found the number 0, expected a whole number from 1 to 1000000 or none"
    ),
    (
      "max_connections: unlimited",
      "1:18: error: max_connections: found the string 'unlimited', expected a whole number from 1 to 1000000 or none"
    ),
    (
      "health: {probes: true}", "1:10: error: unknown key 'probes' in health (did you mean 'probe'?)"
    ),
    ("health: true", "1:9: error: health: found the boolean true, expected a mapping"),
    ("health: {probe: 1}", "1:17: error: health.probe: found the number 1, expected true or false"),
    (
      "health: {path: api}",
      "1:16: error: health.path: found the string 'api', expected a path that starts with / and has no spaces, dot "
        + "segments or empty segments"
    ),
    (
      "health: {expected_status: 2xx}",
      "1:27: error: health.expected_status: found the string '2xx', expected a status such as 200, or a range such as "
        + "200-299, from 200 to 599"
    ),
    (
      "health: {expected_status: 299-200}",
      "1:27: error: health.expected_status: found the string '299-200', expected a status such as 200, or a range such "
        + "as 200-299, from 200 to 599"
    ),
    (
      "health: {interval: 1ms}",
      "1:20: error: health.interval: found the string '1ms', expected a duration from 100ms to 1h"
    ),
    (
      "health: {rise: 0}",
      "1:16: error: health.rise: found the number 0, expected a whole number from 1 to 100"
    ),
    (
      "hold: {seconds: 1}", "1:8: error: unknown key 'seconds' in hold; expected one of bytes, requests, time"
    ),
    ("hold: {bytes: 1}", "1:15: error: hold.bytes: found the number 1, expected a size from 64KiB to 1TiB"),
    (
      "pools: {p: {upstreams: 'h:1', health: {fal: 2}}}",
      "1:40: error: unknown key 'fal' in pools.p.health (did you mean 'fall'?)"
    ),
    (
      "pools: {p: {upstreams: 'h:1', hold: {time: long}}}",
      "1:44: error: pools.p.hold.time: found the string 'long', expected a duration such as 500ms, 30s, 5m or 1h"
    ),
    (
      "pools: {p: {upstreams: [{address: 'h:1', max_connections: -1}]}}",
      "1:59: error: pools.p.upstreams.max_connections: found the number -1, expected a whole number from 1 to 1000000 "
        + "or none"
    ),
    (
      "pools: {mian: {balance: hash}}",
      "1:9: error: pools.mian: no upstreams, expected at least one under 'upstreams', or the name of a pool that is "
        + "described elsewhere (did you mean 'main'?)"
    ),
  ])
  func mistakes(_ text: String, _ expected: String) throws {
    let isOwn = text.contains("upstreams:")
    #expect(try load(text, galaxies: isOwn ? [] : ["main"]).problems == [expected])
  }

  @Test func allMistakesAreToldAtOnce() throws {
    let text = """
      balance: x
      health: {rise: a, fall: b}
      pools:
        p:
          upstreams: "h:1"
          slow_start: c
          hold: {time: d}
        q:
      """
    #expect(try load(text).problems.map { $0.prefix { $0 != ":" } } == ["1", "2", "2", "6", "7"])
  }

  @Test func aPoolOfNobodyIsTheOnlyProblem() throws {
    #expect(
      try load("pools: {main: {}}").problems == [
        "1:9: error: pools.main: no upstreams, expected at least one under 'upstreams', or the name of a pool that is "
          + "described elsewhere"
      ])
  }

  /// The name of a Galaxy that can't be read is not known.
  @Test func aGalaxyThatIsWrongHidesItsName() throws {
    let folder = try TemporaryFolder()
    var commandLine = CommandLineSettings()
    commandLine.file = try folder.write("f.yml", "galaxy: g.yml\npools: {main: {balance: hash}}\n")
    var diagnostics = Diagnostics()
    _ = Configuration(
      commandLine,
      galaxy: { files, diagnostics in
        diagnostics.error("unreadable", at: .file("g.yml"))
        return (files, [])
      }, into: &diagnostics)
    #expect(diagnostics.sorted.map(\.message) == ["unreadable"])
  }

  @Test func hashingNothingIsWarnedOf() throws {
    let all = try load("hash_on: cookie a\npools: {p: {upstreams: 'h:1'}}\n").problems
    #expect(all == ["1:10: warning: hash_on: no pool has 'balance: hash', so it changes nothing"])
    let one = try load("pools: {p: {upstreams: 'h:1', hash_on: cookie a}}\n").problems
    #expect(
      one == [
        "1:40: warning: pools.p.hash_on: changes nothing with 'balance: least-connections', only with 'balance: hash'"
      ])
  }

  @Test func aPoolHasAMostOfUpstreams() throws {
    func problems(_ count: Int) throws -> [String] {
      let list = (1...count).map { "'h:\($0)'" }.joined(separator: ", ")
      return try load("pools: {p: {upstreams: [\(list)]}}\n").problems
    }
    #expect(try problems(256) == [])
    #expect(try problems(257) == ["1:9: error: pool 'p' has 257 upstreams, expected at most 256"])
  }
}
