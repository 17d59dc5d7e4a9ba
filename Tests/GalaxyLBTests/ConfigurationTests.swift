import Glibc
import GravityRestart
import SystemCalls
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

@Suite struct ConfigurationTests {
  /// A Galaxy configuration reader that answers `pools` and remembers what it was asked for.
  private final class Galaxy {
    var pools: [ConfiguredPool]
    var asked: [[String]] = []

    init(_ pools: [ConfiguredPool] = []) { self.pools = pools }

    func read(
      _ files: [Sourced<String>], _ diagnostics: inout Diagnostics
    ) -> (files: [Sourced<String>], pools: [ConfiguredPool]) {
      asked.append(files.map(\.value))
      return (files, pools)
    }
  }

  private func galaxyPool(_ name: String, prefix: String = "", address: String) throws -> ConfiguredPool {
    let upstream = UpstreamSettings(name: "gunicorn", endpoint: try Endpoint(parsing: address))
    return ConfiguredPool(
      settings: PoolSettings(name: name, upstreams: [upstream], healthPath: prefix + "/api/version"),
      origin: .file("galaxy.yml"),
      details: [UpstreamDetails(origin: .file("galaxy.yml"))],
      urlPrefix: prefix)
  }

  private func load(
    _ commandLine: CommandLineSettings, file text: String? = nil, galaxy: Galaxy = Galaxy()
  ) throws -> (configuration: Configuration, problems: [Diagnostic]) {
    var commandLine = commandLine
    let folder = try TemporaryFolder()
    if let text { commandLine.file = try folder.write("galaxy-lb.yml", text) }
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: galaxy.read, into: &diagnostics)
    return (configuration, diagnostics.sorted)
  }

  private func errors(_ problems: [Diagnostic]) -> [String] {
    problems.filter { $0.severity == .error }.map(\.message)
  }

  private var oneUpstream: CommandLineSettings {
    var settings = CommandLineSettings()
    settings.upstreams = [.tcp(host: "127.0.0.1", port: 9001)]
    return settings
  }

  @Test func defaultsComeLast() throws {
    let galaxy = Galaxy()
    let (configuration, problems) = try load(oneUpstream, galaxy: galaxy)
    #expect(errors(problems).isEmpty)
    #expect(configuration.settings.listen == [.tcp(host: "127.0.0.1", port: 8088)])
    #expect((1...256).contains(configuration.settings.threads))
    #expect(configuration.settings.pools.map(\.name) == ["default"])
    #expect(configuration.settings.routes == [Route(pool: "default")])
    #expect(configuration.origins.isEmpty)
    #expect(galaxy.asked.isEmpty)
  }

  @Test func theCommandLineGoesBeforeTheFile() throws {
    var commandLine = oneUpstream
    commandLine.listen = [.tcp(host: "", port: 1)]
    commandLine.threads = 3
    commandLine.control = .at(path: "/nowhere/control.sock")
    commandLine.logLevel = .debug
    let file = """
      listen: :2
      threads: 4
      control: /elsewhere/control.sock
      log_level: error
      galaxy: galaxy.yml
      pools: {main: {upstreams: 'h:1'}}
      timeouts: {connect: 1s}
      """
    let galaxy = Galaxy()
    let (configuration, problems) = try load(commandLine, file: file, galaxy: galaxy)
    #expect(errors(problems).isEmpty)
    let settings = configuration.settings
    #expect(settings.listen == commandLine.listen && settings.threads == 3 && settings.logLevel == .debug)
    #expect(settings.control == .at(path: "/nowhere/control.sock"))
    #expect(settings.pools.map(\.name) == ["default"])
    #expect(settings.timeouts.connect == 1000)
    #expect(configuration.origin(of: "threads") == .option("--threads"))
    #expect(galaxy.asked.isEmpty)
    guard case .text(let place) = configuration.origin(of: "timeouts.connect") else {
      Issue.record("the origin of timeouts.connect is \(configuration.origin(of: "timeouts.connect"))")
      return
    }
    #expect(place.line == 7)
  }

  @Test func galaxyFilesOfTheCommandLineReplaceThoseOfTheFile() throws {
    var commandLine = CommandLineSettings()
    commandLine.galaxyFiles = ["a.yml", "b.yml"]
    let galaxy = Galaxy([try galaxyPool("main", address: "h:1")])
    let (configuration, problems) = try load(commandLine, file: "galaxy: [c.yml]\n", galaxy: galaxy)
    #expect(errors(problems).isEmpty)
    #expect(galaxy.asked == [["a.yml", "b.yml"]])
    #expect(
      configuration.galaxyFiles.map(\.origin) == [.option("--galaxy-config"), .option("--galaxy-config")])
    #expect(configuration.settings.pools.map(\.name) == ["main"])
  }

  @Test func withoutAnySourceGalaxyIsLookedFor() throws {
    let galaxy = Galaxy([try galaxyPool("main", address: "h:1")])
    for text in ["threads: 1\n", "galaxy: []\npools: {}\n", "galaxy:\npools:\n"] {
      let (configuration, problems) = try load(CommandLineSettings(), file: text, galaxy: galaxy)
      #expect(errors(problems).isEmpty)
      #expect(configuration.settings.pools.map(\.name) == ["main"])
    }
    #expect(galaxy.asked == [[], [], []])
  }

  @Test func wrongPoolsAreNoReasonToLookForOthers() throws {
    let galaxy = Galaxy([try galaxyPool("main", address: "h:1")])
    let (_, problems) = try load(CommandLineSettings(), file: "pools: {a b: {}}\n", galaxy: galaxy)
    #expect(errors(problems).count == 1)
    #expect(galaxy.asked.isEmpty)
  }

  @Test func nothingFoundIsAnError() throws {
    let (_, problems) = try load(CommandLineSettings())
    #expect(errors(problems).count == 1)
    #expect(errors(problems).first?.hasPrefix("no upstream to send requests to") == true)
  }

  @Test func anUnreadableFileIsTheOnlyProblem() throws {
    let galaxy = Galaxy()
    var commandLine = CommandLineSettings()
    commandLine.file = "/nowhere/galaxy-lb.yml"
    var diagnostics = Diagnostics()
    _ = Configuration(commandLine, galaxy: galaxy.read, into: &diagnostics)
    #expect(
      diagnostics.sorted.map(\.description) == [
        "option --config: error: '/nowhere/galaxy-lb.yml' can't be read (No such file or directory)"
      ])
    #expect(galaxy.asked.isEmpty)
  }

  @Test(arguments: [
    ("listen: ['h:1', 'H:1']", "h:1", false), ("listen: ['127.0.0.1:9001']", "127.0.0.1:9001", false),
    ("listen: ':9001'", "127.0.0.1:9001", false), ("listen: '0.0.0.0:9001'", "127.0.0.1:9001", false),
    ("listen: 'LOCALHOST:9001'", "127.0.0.1:9001", false),
    ("control: /nowhere/c.sock\nlisten: 'unix:/nowhere/c.sock'", "unix:/nowhere/c.sock", false),
    ("listen: ['h:0', 'h:0', ':9002', 'h:9001', '[::1]:9001']", "", true),
  ])
  func anAddressIsUsedOnce(_ text: String, _ address: String, _ isGood: Bool) throws {
    let (_, problems) = try load(oneUpstream, file: text)
    if isGood {
      #expect(errors(problems).isEmpty)
    } else {
      #expect(errors(problems).count == 1)
      #expect(errors(problems).first?.lowercased().hasPrefix("\(address) is used twice: as ") == true)
    }
  }

  @Test func listeningEverywhereDoesNotTakeRemotePorts() throws {
    var commandLine = CommandLineSettings()
    commandLine.listen = [.tcp(host: "", port: 8080)]
    commandLine.upstreams = [.tcp(host: "192.0.2.1", port: 8080)]
    #expect(try errors(load(commandLine).problems).isEmpty)
  }

  @Test func namesAreUsedOnce() throws {
    let galaxy = Galaxy([try galaxyPool("main", address: "h:1")])
    let file = """
      galaxy: galaxy.yml
      pools:
        main:
          upstreams:
            - {name: a, address: "h:2"}
            - {name: a, address: "h:3"}
      routes: [{pool: main}]
      """
    let found = try errors(load(CommandLineSettings(), file: file, galaxy: galaxy).problems)
    #expect(found.count == 2)
    #expect(found.contains { $0.hasPrefix("the upstream name 'a' is used twice in pool 'main', first at ") })
    #expect(found.contains { $0.hasPrefix("the pool name 'main' is used twice, first at ") })
  }

  @Test func foldersOfSocketsAreLookedAt() throws {
    let folder = try TemporaryFolder()
    try #require(mkdir(folder.path + "/open", 0o700) == 0 && mkdir(folder.path + "/own", 0o700) == 0)
    try #require(chmod(folder.path + "/open", 0o777) == 0)
    _ = try folder.write("file", "")
    var commandLine = CommandLineSettings()
    commandLine.upstreams = ["own/a", "open/b", "open/c", "missing/d", "file/e"].map {
      .unix(path: "\(folder.path)/\($0)")
    }
    let (_, problems) = try load(commandLine)
    #expect(problems.allSatisfy { $0.severity == .warning })
    let path = folder.path
    #expect(
      problems.map(\.message) == [
        "everybody can write to '\(path)/open' and put another socket in the place of '\(path)/open/b'; a folder of "
          + "its own protects it",
        "the folder '\(path)/missing' of the socket can't be found",
        "'\(path)/file' is not a folder, so no socket can be in it",
      ])
  }

  @Test func moreConnectionsThanDescriptorsAreWarnedOf() throws {
    var limit = rlimit()
    try #require(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
    let connections = min(Int(limit.rlim_max / 2) + 1, 1_000_000)
    try #require(UInt64(connections) * 2 > limit.rlim_max, "this system has no limit to speak of")
    let file = "limits: {connections: \(connections)}\n"
    let warnings = try load(oneUpstream, file: file).problems.map(\.message)
    #expect(warnings.contains { $0.contains("may need \(connections * 2) open files") })
  }
}

@Suite struct ConfigurationTextTests {
  /// The text of a configuration without its comments.
  private func values(_ text: String) -> [Substring] {
    text.split(separator: "\n").map { $0.split(separator: "  #")[0] }.filter { !$0.contains("# ") }
  }

  private func reread(_ text: String) throws -> Configuration {
    let folder = try TemporaryFolder()
    var commandLine = CommandLineSettings()
    commandLine.file = try folder.write("galaxy-lb.yml", text)
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: { files, _ in (files, []) }, into: &diagnostics)
    #expect(diagnostics.sorted.filter { $0.severity == .error } == [])
    return configuration
  }

  @Test func whatIsPrintedReadsAsTheSame() throws {
    let text = """
      listen: [":80", "[::1]:81", "unix:/run/a b/#c.sock"]
      threads: 2
      control: "/run/tab\\tquote\\".sock"
      user: root
      state_directory: "/var/lib/a b"
      restart:
        max_unavailable: 25%
        probation: off
        hooks: {before: "echo '100%'", after: ["a b", "-c", "", "off"], timeout: 1h, folder: /srv/d}
      pools:
        main:
          health: {path: /g/api/version?x=1}
          restart: {timeout: 10m, min_available: 2, drain: {upload: 0s}, probation: {shares: [7]}}
          service: {systemd: "g-%i"}
          upstreams:
            - {name: "123", address: "unix:/run/\\u00e9.sock", weight: 7, backup: true}
            - name: "null"
              address: "localhost:82"
              service: {supervisor: "main:g", socket: "h:9001", timeout: 20s}
            - {name: "a:", address: "10.0.0.1:81", service: {signal: HUP, pid_file: "/run/a b.pid"}}
            - {name: d, address: "h:2", service: {command: "kill -HUP $(cat %n)", start: [x, "%%"], preload: no}}
        "off": {upstreams: ["unix:/run/h", "unix:/run/i"], service: {signal: HUP}}
      routes:
        - {host: "*.example.org", path: /g, pool: main}
        - {pool: "off"}
      timeouts: {connect: 1500ms, tunnel: 2h}
      limits: {request_body: 5GiB, fields: 99}
      trusted_proxies: [unix, "10.0.0.0/8", "fe80::/10"]
      identity_headers: []
      access_log: {destination: "/var/log/galaxy lb", format: json}
      log_level: notice
      defer_accept: true
      """
    let first = try reread(text)
    let second = try reread(first.text)
    #expect(values(first.text) == values(second.text))
    #expect(second.settings.listen == first.settings.listen)
    #expect(second.settings.control == .at(path: "/run/tab\tquote\".sock"))
    #expect(second.settings.pools == first.settings.pools)
    #expect(second.settings.pools[0].upstreams.map(\.name) == ["123", "null", "a:", "d"])
    #expect(second.settings.restarts == first.settings.restarts)
    #expect(second.settings.restarts.flatMap(\.services).allSatisfy { $0.manager != nil })
    #expect(second.settings.restartHooks == first.settings.restartHooks)
    #expect(second.settings.restartHooks.after?.workingDirectory == "/srv/d")
    #expect(second.settings.stateDirectory == "/var/lib/a b")
    #expect(second.settings.routes == first.settings.routes)
    #expect(second.settings.timeouts == first.settings.timeouts)
    #expect(second.settings.limits == first.settings.limits)
    #expect(second.settings.trustedProxies == first.settings.trustedProxies)
    #expect(second.settings.identityHeaders == [])
    #expect(second.settings.accessLog == first.settings.accessLog)
    #expect(second.settings.runAs == first.settings.runAs)
    #expect(second.settings.logLevel == .notice && second.settings.deferAccept)
  }

  @Test func everyKeyIsPrintedWithItsOrigin() throws {
    let lines = try reread("pools: {m: {upstreams: 'h:1'}}\ntimeouts: {connect: 1s}\n").text
      .split(separator: "\n")
    for key in SettingsFile.keys where key != "galaxy" && !PoolKey.sections.contains(key) {
      #expect(lines.contains { $0.hasPrefix("\(key):") }, "\(key) is missing")
    }
    for key in TimeoutKey.all.map(\.name) + LimitKey.all.map(\.name) where key != "connect" {
      #expect(
        lines.contains { $0.hasPrefix("  \(key): ") && $0.hasSuffix("  # default") }, "\(key) is missing")
    }
    #expect(lines.contains { $0.hasPrefix("  connect: 1s  # ") && $0.hasSuffix("galaxy-lb.yml:2:21") })
  }

  @Test func whatRestartsAnUpstreamIsPrinted() {
    var configuration = Configuration()
    let upstream = UpstreamSettings(name: "g", endpoint: .unix(path: "/run/g.sock"))
    configuration.galaxyFiles = [Sourced("/srv/galaxy\n.yml", from: .option("--galaxy-config"))]
    let manager = ServiceManager.supervisor(.unix(path: "/srv/supervisor.sock"), nil)
    var restart = PoolRestart(services: [UpstreamService(manager: manager, unit: "main:gunicorn0")])
    restart.versionSource = .galaxyPackage(folder: "/srv/galaxy/lib/galaxy")
    configuration.pools = [
      ConfiguredPool(
        settings: PoolSettings(name: "main", upstreams: [upstream]), restart: restart,
        origin: .file("galaxy.yml"), details: [UpstreamDetails(origin: .file("galaxy.yml"))],
        processManager: "supervisor at /srv/supervisor.sock")
    ]
    let lines = configuration.text.split(separator: "\n")
    #expect(lines.first == "# read /srv/galaxy\\n.yml, named by option --galaxy-config")
    #expect(lines.contains("    # process manager: supervisor at /srv/supervisor.sock"))
    #expect(lines.contains("    # version of the code on disk: /srv/galaxy/lib/galaxy/version"))
    #expect(lines.contains("        # service: supervisor main:gunicorn0"))
    #expect(lines.contains("          socket: unix:/srv/supervisor.sock"))
    #expect(lines.contains("      - name: g  # galaxy.yml"))
  }
}
