import GravityRestart
import SystemCalls
import Testing
import UpstreamPool
import YAML

import func Glibc.mkdir

@testable import galaxy_lb

/// From Galaxy's files to pools, routes and what --check says of them.
@Suite struct GalaxyPoolsTests {
  private let folder: TemporaryFolder
  private let environment: GravityEnvironment

  init() throws {
    folder = try TemporaryFolder()
    environment = GravityEnvironment(
      variables: [:], user: 1000, workingDirectory: folder.path, home: folder.path)
  }

  private func load(
    _ files: [String], routes: String? = nil
  ) throws -> (configuration: Configuration, problems: [Diagnostic]) {
    var commandLine = CommandLineSettings()
    commandLine.galaxyFiles = files
    if let routes { commandLine.file = try folder.write("galaxy-lb.yml", routes) }
    var diagnostics = Diagnostics()
    let reader: GalaxyReader = { galaxyPools($0, in: environment, into: &$1) }
    let configuration = Configuration(commandLine, galaxy: reader, into: &diagnostics)
    return (configuration, diagnostics.sorted)
  }

  private func galaxy(_ name: String, prefix: String = "", gunicorn: String) throws -> String {
    try folder.write(
      "\(name).yml",
      """
      gravity:
        instance_name: \(name)
        process_manager: supervisor
        galaxy_root: \(folder.path)
        gunicorn: \(gunicorn)
        handlers: {h: {processes: 1}}
      galaxy:
        galaxy_url_prefix: "\(prefix)"
      """)
  }

  @Test func gunicornsAreUpstreams() throws {
    let file = try galaxy("main", prefix: "/g/", gunicorn: "[{bind: 'unix:a.sock'}, {bind: 'unix:b.sock'}]")
    let (configuration, problems) = try load([file])
    #expect(problems.filter { $0.severity == .error } == [])
    var expected = PoolSettings(
      name: "main",
      upstreams: [
        UpstreamSettings(name: "gunicorn0", endpoint: .unix(path: folder.path + "/a.sock")),
        UpstreamSettings(name: "gunicorn1", endpoint: .unix(path: folder.path + "/b.sock")),
      ], healthPath: "/g/api/version")
    expected.health.isProbed = true
    expected.hold.time = 30_000
    #expect(configuration.settings.pools == [expected])
    #expect(configuration.settings.routes == [Route(pool: "main")])
    let lines = configuration.text.split(separator: "\n")
    #expect(lines.first == "# read \(file), named by option --galaxy-config")
    #expect(lines.contains("        # service: supervisor main:gunicorn0"))
    #expect(lines.contains("        # service: supervisor main:gunicorn1"))
    #expect(lines.contains { $0.hasPrefix("    # process manager: supervisor at \(folder.path)/") })
    #expect(lines.contains("  main:  # \(file):2:18"))
    #expect(lines.contains { $0.hasPrefix("      - name: gunicorn1  # \(file):5:") })
  }

  @Test func gravityRestartsItsGunicorns() throws {
    let gunicorn = "[{bind: 'unix:a.sock', restart_timeout: 120}, {bind: 'unix:b.sock', preload: no}]"
    try makeVersion("24.1")
    let (configuration, problems) = try load([try galaxy("main", gunicorn: gunicorn)])
    #expect(problems.filter { $0.severity == .error } == [])
    let restart = try #require(configuration.settings.restarts.first)
    let socket = folder.path + "/database/gravity/supervisor/supervisor.sock"
    let manager = ServiceManager.supervisor(.unix(path: socket), nil)
    #expect(
      restart.services == [
        UpstreamService(manager: manager, unit: "main:gunicorn0", restartTimeout: 120_000),
        UpstreamService(manager: manager, unit: "main:gunicorn1", isPreloaded: false),
      ])
    #expect(restart.policy == RestartPolicy() && restart.probeTimeout == 5000)
    #expect(try restart.versionSource?.read() == "24.1")
    let lines = configuration.text.split(separator: "\n")
    #expect(lines.contains("    # version of the code on disk: \(folder.path)/lib/galaxy/version"))
    #expect(lines.contains("          timeout: 2m  # \(folder.path)/main.yml:5:53"))
    #expect(lines.contains("          preload: true  # default"))
    #expect(lines.contains("          preload: false  # \(folder.path)/main.yml:5:90"))
  }

  @Test func aTimeoutOfGravitysIsKeptWithinBounds() throws {
    let gunicorn =
      "[{bind: 'unix:a.sock', restart_timeout: 0}, {bind: 'unix:b.sock', restart_timeout: 2000000000}]"
    let services = try load([try galaxy("main", gunicorn: gunicorn)]).configuration.settings.restarts[0]
      .services
    #expect(services.map(\.restartTimeout) == [1000, 86_400_000])
  }

  @Test func systemdOfTheUser() throws {
    let file = try folder.write(
      "g.yml", "gravity: {process_manager: systemd, gunicorn: {bind: 'unix:a.sock'}}\ngalaxy: {}\n")
    let restarts = try load([file]).configuration.settings.restarts
    #expect(
      restarts.flatMap(\.services) == [
        UpstreamService(manager: .systemd(userMode: true), unit: "galaxy-gunicorn.service")
      ])
    #expect(restarts.map(\.versionSource) == [nil])
  }

  private func makeVersion(_ major: String) throws {
    for part in ["lib", "lib/galaxy"] { try #require(mkdir("\(folder.path)/\(part)", 0o755) == 0) }
    _ = try folder.write("lib/galaxy/version.py", "VERSION_MAJOR = '\(major)'\nVERSION_MINOR = None\n")
  }

  @Test func whatIsSaidForAllPoolsIsSaidForGalaxies() throws {
    let files = [
      try galaxy("main", gunicorn: "{bind: 'unix:a.sock'}"),
      try galaxy("test", prefix: "/test", gunicorn: "{bind: 'unix:b.sock'}"),
    ]
    let text =
      "health: {probe: false}\nhold: {time: 1m}\npools: {test: {hold: {time: 0s}, max_connections: 3}}\n"
    let (configuration, problems) = try load(files, routes: text)
    #expect(problems.filter { $0.severity == .error } == [])
    let pools = configuration.settings.pools
    #expect(pools.map(\.health.isProbed) == [false, false])
    #expect(pools.map(\.hold.time) == [60_000, 0])
    #expect(pools.flatMap(\.upstreams).map(\.maximumConnections) == [nil, 3])
  }

  @Test func oneGunicornIsCalledAsItsService() throws {
    let (configuration, _) = try load([try galaxy("main", gunicorn: "{bind: 'unix:a.sock'}")])
    #expect(configuration.settings.pools.flatMap(\.upstreams).map(\.name) == ["gunicorn"])
  }

  @Test func prefixesRouteSeveralGalaxies() throws {
    let files = [
      try galaxy("main", gunicorn: "{bind: 'unix:a.sock'}"),
      try galaxy("test", prefix: "/test", gunicorn: "{bind: 'unix:b.sock'}"),
    ]
    let (configuration, problems) = try load(files)
    #expect(problems.filter { $0.severity == .error } == [])
    #expect(
      configuration.settings.routes == [Route(pathPrefix: "/test", pool: "test"), Route(pool: "main")])
  }

  @Test func equalPrefixesNeedRoutes() throws {
    let files = [
      try galaxy("main", gunicorn: "{bind: 'unix:a.sock'}"),
      try galaxy("test", gunicorn: "{bind: 'unix:b.sock'}"),
    ]
    let errors = try load(files).problems.filter { $0.severity == .error }
    #expect(errors.count == 1)
    #expect(errors.first?.message.contains("have the same url prefix '/'") == true)
    let routes = "routes: [{host: a.org, pool: main}, {host: b.org, pool: test}]"
    let (configuration, problems) = try load(files, routes: routes)
    #expect(problems.filter { $0.severity == .error } == [])
    #expect(configuration.settings.routes.map(\.pool) == ["main", "test"])
  }

  @Test func anAddressOfAnExplicitPoolIsNotAlsoAGunicorns() throws {
    let file = try galaxy("main", gunicorn: "{bind: 'localhost:9001'}")
    let text = """
      galaxy: \(file)
      pools: {more: {upstreams: '127.0.0.1:9001'}}
      routes: [{pool: main}, {path: /more, pool: more}]
      """
    var commandLine = CommandLineSettings()
    commandLine.file = try folder.write("galaxy-lb.yml", text)
    var diagnostics = Diagnostics()
    let reader: GalaxyReader = { galaxyPools($0, in: environment, into: &$1) }
    _ = Configuration(commandLine, galaxy: reader, into: &diagnostics)
    let errors = diagnostics.sorted.filter { $0.severity == .error }.map(\.message)
    #expect(errors.count == 1)
    #expect(
      errors.first?.contains(":9001 is used twice: as upstream '127.0.0.1:9001' of pool 'more'") == true)
  }

  @Test func oneProblemIsToldOnce() throws {
    let bind = "{bind: 'unix:a.sock'}"
    let two = try galaxy("main", gunicorn: "[\(bind), \(bind)]")
    let errors = try load([two]).problems.filter { $0.severity == .error }
    #expect(errors.count == 1)
    #expect(errors.first?.message.hasPrefix("bind 'unix:a.sock' is the address of another gunicorn") == true)
  }

  @Test func anInstanceNameMustDoForAPool() throws {
    let file = try folder.write("odd.yml", "gravity: {instance_name: 'a b', gunicorn: {bind: 'h:1'}}\n")
    let errors = try load([file]).problems.filter { $0.severity == .error }.map(\.message)
    #expect(
      errors == [
        "instance_name: found 'a b', expected 1 to 64 letters, digits and . _ - : @ for the name of a pool"
      ])
  }

  @Test func aGalaxyWithoutGunicornHasNoPool() throws {
    let (configuration, problems) = try load([try galaxy("main", gunicorn: "{enable: false}")])
    #expect(configuration.settings.pools.isEmpty)
    #expect(problems.contains { $0.severity == .error && $0.message.hasPrefix("no upstream to send") })
  }

  @Test func galaxysUsualPlacesAreLookedAt() throws {
    let file = try galaxy("galaxy", gunicorn: "{bind: 'unix:a.sock'}")
    let (configuration, problems) = try load([])
    #expect(problems.filter { $0.severity == .error } == [])
    #expect(configuration.galaxyFiles == [Sourced("galaxy.yml", from: .builtIn)])
    #expect(file == folder.path + "/galaxy.yml")
    #expect(configuration.settings.pools.map(\.name) == ["galaxy"])
  }
}
