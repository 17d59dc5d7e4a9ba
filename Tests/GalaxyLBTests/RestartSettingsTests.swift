import GravityRestart
import SystemCalls
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

/// `restart` and `state_directory` of galaxy-lb.yml. How each key is read is in PoolOptionsTests.
@Suite struct RestartSettingsTests {
  private func load(_ text: String) throws -> (configuration: Configuration, problems: [String]) {
    let folder = try TemporaryFolder()
    var commandLine = CommandLineSettings()
    commandLine.file = try folder.write("f.yml", text)
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: { files, _ in (files, []) }, into: &diagnostics)
    return (
      configuration, diagnostics.sorted.map { $0.description.replacing(folder.path + "/f.yml:", with: "") }
    )
  }

  @Test func onePoolGoesBeforeAllKeyByKey() throws {
    let (configuration, problems) = try load(
      """
      restart: {max_unavailable: 2, drain: {upload: 1m, download: 2m}, probation: off, ready: {successes: 5}}
      pools:
        p: {upstreams: 'h:1', restart: {drain: {upload: 3m}, probation: {}, ready: {timeout: 1s}}}
        q: {upstreams: 'h:2', restart: {max_unavailable: 100%, probation: {duration: 0s}}}
        r: {upstreams: 'h:3', restart: {probation: off}}
      routes: [{pool: p}, {path: /q, pool: q}, {path: /r, pool: r}]
      """)
    #expect(problems == [])
    let restarts = configuration.settings.restarts
    #expect(restarts.map(\.policy.maximumUnavailable) == [.number(2), .percent(100), .number(2)])
    #expect(restarts.map(\.policy.budgets.upload) == [180_000, 60_000, 60_000])
    #expect(restarts.map(\.policy.budgets.download) == [120_000, 120_000, 120_000])
    #expect(restarts.map(\.policy.probation?.duration) == [10_000, 0, nil])
    #expect(restarts.map(\.policy.readiness.successes) == [5, 5, 5])
    #expect(restarts.map(\.probeTimeout) == [1000, 5000, 5000])
    let lines = configuration.text.split(separator: "\n").map(String.init)
    #expect(lines.count { $0.hasPrefix("      probation:  # ") && $0.hasSuffix("f.yml:3:67") } == 1)
    #expect(lines.count { $0.hasPrefix("      probation: off  # ") && $0.hasSuffix("f.yml:5:46") } == 1)
  }

  @Test func hooks() throws {
    let file = SettingsFile(
      """
      restart:
        hooks: {before: ./before --all, after: [after, 1], on_halt: halt, timeout: 5s}
      """, path: "/etc/lb/f.yml")
    #expect(file.diagnostics.isEmpty)
    var hooks = RestartHooks()
    hooks.before = RestartCommand(.shell("./before --all"), workingDirectory: "/etc/lb")
    hooks.after = RestartCommand(.program("after", arguments: ["1"]), workingDirectory: "/etc/lb")
    hooks.onHalt = RestartCommand(.shell("halt"), workingDirectory: "/etc/lb")
    hooks.timeout = 5000
    #expect(file.configuration.settings.restartHooks == hooks)
    #expect(
      file.configuration.origins["restart.hooks.after"]
        == .text(Position(file: "/etc/lb/f.yml", line: 2, column: 42)))
    let elsewhere = SettingsFile("restart: {hooks: {before: x, folder: sub}}\n", path: "/etc/lb/f.yml")
    #expect(elsewhere.configuration.settings.restartHooks.before?.workingDirectory == "/etc/lb/sub")
  }

  @Test(arguments: [
    ("restart: 1", "1:10: error: restart: found the number 1, expected a mapping"),
    (
      "restart: {max_unavailabel: 1}",
      "1:11: error: unknown key 'max_unavailabel' in restart (did you mean 'max_unavailable'?)"
    ),
    (
      "restart: {max_unavailable: 0}",
      "1:28: error: restart.max_unavailable: found the number 0, expected a whole number from 1 to 256, or from 1% to "
        + "100%"
    ),
    (
      "restart: {max_unavailable: 0%}",
      "1:28: error: restart.max_unavailable: found the string '0%', expected a whole number from 1 to 256, or from 1% to "
        + "100%"
    ),
    (
      "restart: {min_available: 101%}",
      "1:26: error: restart.min_available: found the string '101%', expected a whole number from 0 to 256, or from 1% "
        + "to 100%"
    ),
    (
      "restart: {min_available: -1}",
      "1:26: error: restart.min_available: found the number -1, expected a whole number from 0 to 256, or from 1% to "
        + "100%"
    ),
    (
      "restart: {drain: {uplaod: 1s}}",
      "1:19: error: unknown key 'uplaod' in restart.drain (did you mean 'upload'?)"
    ),
    ("restart: {drain: 1s}", "1:18: error: restart.drain: found the string '1s', expected a mapping"),
    (
      "restart: {drain: {tunnel: 1}}",
      "1:27: error: restart.drain.tunnel: found the number 1, expected a duration with its unit (ms, s, m or h), such as "
        + "500ms, 30s, 5m or 1h"
    ),
    (
      "restart: {timeout: 0s}",
      "1:20: error: restart.timeout: found the string '0s', expected a duration from 1s to 24h"
    ),
    (
      "restart: {probation: on}",
      "1:22: error: restart.probation: found the boolean on, expected off or a mapping"
    ),
    ("restart: {probation: [10]}", "1:22: error: restart.probation: found a list, expected off or a mapping"),
    (
      "restart: {probation: {share: [1]}}",
      "1:23: error: unknown key 'share' in restart.probation (did you mean 'shares'?)"
    ),
    (
      "restart: {probation: {shares: [50, 10]}}",
      "1:31: error: restart.probation.shares: found a list, expected a list of 1 to 10 rising numbers from 1 to 100 (per "
        + "cent)"
    ),
    (
      "restart: {probation: {shares: [0]}}",
      "1:32: error: restart.probation.shares: found the number 0, expected a whole number from 1 to 100"
    ),
    (
      "restart: {hooks: {befor: x}}",
      "1:19: error: unknown key 'befor' in restart.hooks (did you mean 'before'?)"
    ),
    (
      "restart: {hooks: {before: []}}",
      "1:27: error: restart.hooks.before: found an empty list, expected a line for sh, or a list of a program and its "
        + "arguments"
    ),
    (
      "restart: {hooks: {timeout: 1}}",
      "1:28: error: restart.hooks.timeout: found the number 1, expected a duration with its unit (ms, s, m or h), such "
        + "as 500ms, 30s, 5m or 1h"
    ),
    (
      "state_directory: []",
      "1:18: error: state_directory: found a list, expected the path of a folder, or off"
    ),
    (
      "restart: {probation: {duration: 40s}}",
      "1:33: error: restart.probation.longest_duration is 30s, expected at least 'duration', 40s"
    ),
    (
      "restart: {min_available: 2}",
      "1:26: warning: pool 'p': restart.min_available keeps 2 of its 2 upstreams in service, so that none can be "
        + "restarted; expected at most 1"
    ),
    (
      "restart: {min_available: 51%}",
      "1:26: warning: pool 'p': restart.min_available keeps 2 of its 2 upstreams in service, so that none can be "
        + "restarted; expected at most 1"
    ),
  ])
  func mistakes(_ text: String, _ expected: String) throws {
    #expect(try load(text + "\npools: {p: {upstreams: ['h:1', 'h:2']}}\n").problems == [expected])
  }

  @Test func hooksAreForAllPools() throws {
    #expect(
      try load("pools: {p: {upstreams: 'h:1', restart: {hooks: {before: x}, drain: {upload: 1}}}}\n").problems
        == [
          "1:48: error: pools.p.restart.hooks: hooks run once for all pools, expected them in 'restart' at the top level",
          "1:77: error: pools.p.restart.drain.upload: found the number 1, expected a duration with its unit (ms, s, m or "
            + "h), such as 500ms, 30s, 5m or 1h",
        ])
  }

  /// The only upstream of a pool is restarted whatever `min_available` says.
  @Test func whatCanBeRestartedIsNotWarnedOf() throws {
    for text in ["min_available: 5", "min_available: 100%"] {
      #expect(try load("restart: {\(text)}\npools: {p: {upstreams: 'h:1'}}\n").problems == [])
    }
    for text in ["min_available: 50%", "min_available: 0", "max_unavailable: 9"] {
      #expect(try load("restart: {\(text)}\npools: {p: {upstreams: ['h:1', 'h:2']}}\n").problems == [])
    }
  }

  @Test func theStateDirectory() throws {
    func read(_ text: String) -> String? {
      SettingsFile("state_directory: \(text)\n", path: "/etc/lb/f.yml").configuration.settings.stateDirectory
    }
    #expect(read("state") == "/etc/lb/state" && read("/var/s") == "/var/s" && read("off") == nil)
    let pools = "pools: {p: {upstreams: 'h:1'}}\n"
    let off = try load(pools + "state_directory: off\n").configuration
    #expect(off.settings.stateDirectory == nil)
    #expect(off.text.contains("\nstate_directory: off  # "))
    #expect(try load(pools).configuration.settings.stateDirectory != nil)
    #expect(
      try load(pools + "state_directory: ./off\n").configuration.settings.stateDirectory?.hasSuffix("/off")
        == true)
  }

  @Test(arguments: [
    (["STATE_DIRECTORY": "/var/lib/a:/var/lib/b"], 0, "/var/lib/a", Origin.environment("STATE_DIRECTORY")),
    (["STATE_DIRECTORY": "/s", "XDG_STATE_HOME": "/x"], 7, "/s", .environment("STATE_DIRECTORY")),
    (["STATE_DIRECTORY": "", "XDG_STATE_HOME": "/x"], 0, "/var/lib/galaxy-lb", .builtIn),
    (["STATE_DIRECTORY": "relative"], 0, "/var/lib/galaxy-lb", .builtIn),
    (["XDG_STATE_HOME": "/x", "HOME": "/h"], 7, "/x/galaxy-lb", .environment("XDG_STATE_HOME")),
    (["XDG_STATE_HOME": "x", "HOME": "/h"], 7, "/h/.local/state/galaxy-lb", .builtIn),
    ([:], 7, "/home/g/.local/state/galaxy-lb", .builtIn),
  ])
  func theStateDirectoryByDefault(
    _ environment: [String: String], _ user: UInt32, _ expected: String, _ origin: Origin
  ) {
    #expect(
      Settings.defaultStateDirectory(environment, user: user, home: "/home/g")
        == Sourced(expected, from: origin))
  }

  @Test func nobodyHasNoStateDirectory() {
    #expect(Settings.defaultStateDirectory([:], user: 7, home: nil) == nil)
  }
}
