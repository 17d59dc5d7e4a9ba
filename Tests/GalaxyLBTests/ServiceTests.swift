import Foundation
import GravityRestart
import SystemCalls
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

/// How galaxy-lb.yml says what restarts each upstream.
@Suite struct ServiceTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func load(
    _ text: String, galaxy: ConfiguredPool? = nil
  ) throws -> (configuration: Configuration, problems: [String]) {
    var commandLine = CommandLineSettings()
    commandLine.file = try folder.write("f.yml", text)
    var diagnostics = Diagnostics()
    let configuration = Configuration(
      commandLine, galaxy: { files, _ in (files, galaxy.map { [$0] } ?? []) }, into: &diagnostics)
    return (configuration, diagnostics.sorted.map { $0.description.replacing(folder.path, with: "ROOT") })
  }

  private func services(_ text: String, galaxy: ConfiguredPool? = nil) throws -> [UpstreamService] {
    let (configuration, problems) = try load(text, galaxy: galaxy)
    #expect(problems == [])
    #expect(configuration.settings.restarts == configuration.pools.map(\.restart))
    return configuration.settings.restarts.flatMap(\.services)
  }

  private func command(_ form: RestartCommand.Form, in place: String? = nil) -> RestartCommand {
    RestartCommand(form, workingDirectory: place ?? folder.path)
  }

  @Test func eachKind() throws {
    let services = try services(
      """
      pools:
        p:
          upstreams:
            - {address: "h:1", service: {supervisor: "main:g0", socket: run/s.sock, preload: no, timeout: 2m}}
            - {address: "h:2", service: {supervisor: g, socket: "unix:/run/s.sock"}}
            - {address: "h:3", service: {supervisor: g, socket: "localhost:9001", user: 7, password: yes}}
            - {address: "h:4", service: {systemd: galaxy-gunicorn@0}}
            - {address: "h:5", service: {systemd: a.service, user: true}}
            - {address: "h:6", service: {command: "docker restart g && sleep 1"}}
            - {address: "h:7", service: {command: [./r, 5, ""], start: ./start, folder: sub, keeps_socket: false}}
            - {address: "h:9", service: {command: ./usr2, keeps_socket: true}}
            - {address: "h:8", service: {signal: HUP, pid_file: run/g.pid}}
            - {address: "unix:/run/g", service: {signal: SIGHUP, preload: false}}
      """)
    let sub = folder.path + "/sub"
    let expected: [ServiceManager] = [
      .supervisor(.unix(path: folder.path + "/run/s.sock"), nil),
      .supervisor(.unix(path: "/run/s.sock"), nil),
      .supervisor(
        .tcp(host: "localhost", port: 9001), SupervisorCredentials(user: "7", password: "yes")),
      .systemd(userMode: false), .systemd(userMode: true),
      .command(restart: command(.shell("docker restart g && sleep 1")), start: nil),
      .command(
        restart: command(.program("./r", arguments: ["5", ""]), in: sub),
        start: command(.shell("./start"), in: sub)),
      .command(restart: command(.shell("./usr2")), start: nil, keepsSocket: true),
      .signal(.file(folder.path + "/run/g.pid")), .signal(.listener),
    ]
    #expect(services.map(\.manager) == expected)
    #expect(
      services.map(\.unit) == [
        "main:g0", "g", "g", "galaxy-gunicorn@0.service", "a.service", "h:6", "h:7", "h:9", "h:8", "g",
      ])
    #expect(services.map(\.restartTimeout) == [120_000] + Array(repeating: 300_000, count: 9))
    #expect(services.map(\.isPreloaded) == [false, true, true, true, true, true, true, true, false, false])
  }

  @Test func aPoolsDefaultIsFilledIn() throws {
    let services = try services(
      """
      pools:
        p:
          service: {command: [restart, "%n", "100%%"], start: "start %i", folder: /srv/%n, timeout: 7s}
          restart: {timeout: 9s}
          upstreams: ["unix:\(folder.path)/a.sock", {name: b, address: "h:1", service: {command: "%n %% %x"}}]
        q: {service: {signal: HUP, pid_file: "%i/%n.pid"}, upstreams: ["h:2", {address: "h:3", name: c}]}
        r: {service: {supervisor: "g:g%i", socket: "/run/%n"}, upstreams: "h:4"}
        s: {service: {systemd: "g@%i"}, upstreams: ["h:5", "h:6"]}
      routes: [{pool: p}, {path: /q, pool: q}, {path: /r, pool: r}, {path: /s, pool: s}]
      """)
    #expect(
      services.map(\.manager) == [
        .command(
          restart: command(.program("restart", arguments: ["a", "100%"]), in: "/srv/a"),
          start: command(.shell("start 0"), in: "/srv/a")),
        .command(restart: command(.shell("%n %% %x")), start: nil),
        .signal(.file(folder.path + "/0/h:2.pid")), .signal(.file(folder.path + "/1/c.pid")),
        .supervisor(.unix(path: "/run/h:4"), nil), .systemd(userMode: false), .systemd(userMode: false),
      ])
    #expect(services.suffix(3).map(\.unit) == ["g:g0", "g@0.service", "g@1.service"])
    #expect(services.prefix(2).map(\.restartTimeout) == [7000, 9000])
  }

  private func galaxy(_ manager: ServiceManager = .supervisor(.unix(path: "/run/gravity.sock"), nil))
    -> ConfiguredPool
  {
    var service = UpstreamService(
      manager: manager, unit: "gunicorn", isPreloaded: true, restartTimeout: 33_000)
    if case .systemd = manager { service.unit = "galaxy-gunicorn.service" }
    return ConfiguredPool(
      settings: PoolSettings(
        name: "g", upstreams: [UpstreamSettings(name: "gunicorn", endpoint: .tcp(host: "h", port: 1))]),
      restart: PoolRestart(services: [service]), origin: .file("galaxy.yml"),
      details: [UpstreamDetails(origin: .file("galaxy.yml"))], urlPrefix: "", processManager: "Gravity's")
  }

  @Test func itReplacesGravitys() throws {
    #expect(try services("galaxy: g.yml\n", galaxy: galaxy()) == galaxy().restart.services)
    var expected = galaxy().restart.services
    // Where supervisor is, whether it preloads, and how long it may take is still what Gravity says.
    expected[0].unit = "other:gunicorn"
    #expect(
      try services("galaxy: g\npools: {g: {service: {supervisor: 'other:%n'}}}\n", galaxy: galaxy())
        == expected)
    expected[0].manager = .command(restart: command(.shell("x")), start: nil)
    expected[0].unit = "gunicorn"
    #expect(try services("galaxy: g\npools: {g: {service: {command: x}}}\n", galaxy: galaxy()) == expected)
    expected[0].restartTimeout = 5000
    expected[0].isPreloaded = false
    #expect(
      try services(
        "galaxy: g\npools: {g: {service: {command: x, preload: no, timeout: 5s}}}\n", galaxy: galaxy())
        == expected)
    let text = try load("galaxy: g\npools: {g: {service: {command: x}}}\n", galaxy: galaxy()).configuration
      .text
    #expect(!text.contains("# process manager"))
    #expect(text.contains("        # service: command x\n        service:  # \(folder.path)/f.yml:2:22\n"))
  }

  @Test func aKeptSocketIsShown() throws {
    for (setting, shown) in [("", "false"), (", keeps_socket: true", "true")] {
      let service = "{command: x\(setting)}"
      let text = try load("pools: {p: {upstreams: ['h:1'], service: \(service)}}\n").configuration.text
      #expect(text.contains("          keeps_socket: \(shown)\n"))
      #expect(text.contains("# service: command x, which keeps the socket\n") == (shown == "true"))
    }
  }

  @Test func aTimeoutGoesBeforeGravitys() throws {
    let (configuration, problems) = try load("galaxy: g\nrestart: {timeout: 44s}\n", galaxy: galaxy())
    #expect(problems == [])
    #expect(configuration.settings.restarts[0].services[0].restartTimeout == 44_000)
    #expect(configuration.text.contains("          timeout: 44s  # \(folder.path)/f.yml:2:20\n"))
  }

  @Test func gravitysSupervisorIsNoOtherOne() throws {
    let text = "galaxy: g\npools: {g: {service: {supervisor: x}}}\n"
    #expect(
      try load(text, galaxy: galaxy(.systemd(userMode: false))).problems == [
        "ROOT/f.yml:2:22: error: pools.g.service: no address of supervisor, expected 'socket', that of its "
          + "[unix_http_server] or [inet_http_server]"
      ])
  }

  /// In front of each message is how far into the service it is about something.
  @Test(arguments: [
    ("[]", "0: error: pools.p.service: found a list, expected a mapping"),
    ("{}", "0: error: pools.p.service: found none, expected one of command, signal, supervisor or systemd"),
    (
      "{sytemd: a}", "1: error: unknown key 'sytemd' in pools.p.service (did you mean 'systemd'?)"
    ),
    (
      "{command: a, systemd: b}",
      "0: error: pools.p.service: found command and systemd, expected one of command, signal, supervisor or systemd"
    ),
    (
      "{systemd: a, pidfile: b}",
      "13: error: unknown key 'pidfile' in pools.p.service with systemd; expected one of preload, systemd, timeout, user"
    ),
    (
      "{command: a, keeps_socket: HUP}",
      "27: error: pools.p.service.keeps_socket: found the string 'HUP', expected true or false"
    ),
    (
      "{systemd: a, keeps_socket: true}",
      "13: error: unknown key 'keeps_socket' in pools.p.service with systemd; expected one of preload, systemd, timeout, "
        + "user"
    ),
    (
      "{command: a, folders: b}",
      "13: error: unknown key 'folders' in pools.p.service with command (did you mean 'folder'?)"
    ),
    (
      "{systemd: }",
      "10: error: pools.p.service.systemd: found nothing, expected the name of a service of systemd"
    ),
    (
      "{systemd: 'g*'}",
      "10: error: pools.p.service: found 'g*', expected the name of one service of systemd; it has letters, digits and "
        + ": - _ . \\ @"
    ),
    (
      "{systemd: a.timer}",
      "10: error: pools.p.service: found 'a.timer', expected the name of one service of systemd; only services can be "
        + "restarted here"
    ),
    (
      "{systemd: a, user: g}", "19: error: pools.p.service.user: found the string 'g', expected true or false"
    ),
    (
      "{supervisor: 'g:*', socket: /s}",
      "13: error: pools.p.service: found 'g:*', expected the name of one program of supervisor; write NAME or "
        + "GROUP:NAME, as `galaxyctl pm status` prints it"
    ),
    (
      "{supervisor: 'g:', socket: /s}",
      "13: error: pools.p.service: found 'g:', expected the name of one program of supervisor; write NAME or "
        + "GROUP:NAME, as `galaxyctl pm status` prints it"
    ),
    (
      "{supervisor: g}",
      "0: error: pools.p.service: no address of supervisor, expected 'socket', that of its [unix_http_server] or "
        + "[inet_http_server]"
    ),
    (
      "{supervisor: g, socket: 'h:x'}", "24: error: 'h:x': 'x' is not a port (0 to 65535)"
    ),
    (
      "{supervisor: g, socket: s, user: u}",
      "33: error: pools.p.service: a user without a password, expected both or none"
    ),
    (
      "{supervisor: g, socket: s, password: u}",
      "37: error: pools.p.service: a password without a user, expected both or none"
    ),
    (
      "{supervisor: g, socket: s, user: 'a:b', password: c}",
      "33: error: pools.p.service.user: found the string 'a:b', expected a name without a colon"
    ),
    (
      "{command: ' '}",
      "10: error: pools.p.service.command: found the string ' ', expected a line for sh, or a list of a program and its "
        + "arguments"
    ),
    (
      "{command: ['', x]}",
      "11: error: pools.p.service.command: found the string '', expected the name or the path of a program"
    ),
    (
      "{command: []}",
      "10: error: pools.p.service.command: found an empty list, expected a line for sh, or a list of a program and its "
        + "arguments"
    ),
    (
      "{command: [a, [b]]}",
      "14: error: pools.p.service.command: found a list, expected an argument of the program"
    ),
    ("{signal: TERM}", "9: error: pools.p.service.signal: found the string 'TERM', expected HUP"),
    (
      "{signal: HUP}",
      "0: error: pools.p.service: who listens at h:1 can't be told, as it is no unix socket; expected 'pid_file', the "
        + "file that gunicorn writes with --pid"
    ),
    (
      "{signal: HUP, pid_file: f, preload: true}",
      "0: warning: pools.p.service: a HUP keeps the code that gunicorn has preloaded, so a restart will be refused; "
        + "expected 'preload: false' if it doesn't preload, else another way to restart it"
    ),
    (
      "{command: 'date +%s'}",
      "0: error: pools.p.service: found 'date +%s', expected %n (the upstream's name), %i (its number from 0) or %% "
        + "behind each % of a pool's default"
    ),
    (
      "{command: 'x %'}",
      "0: error: pools.p.service: found 'x %', expected %n (the upstream's name), %i (its number from 0) or %% behind "
        + "each % of a pool's default"
    ),
    (
      "{command: x, timeout: 0s}",
      "22: error: pools.p.service.timeout: found the string '0s', expected a duration from 1s to 24h"
    ),
    (
      "{command: x, preload: 1}",
      "22: error: pools.p.service.preload: found the number 1, expected true or false"
    ),
  ])
  func mistakes(_ service: String, _ expected: String) throws {
    let offset = try #require(Int(expected.prefix { $0 != ":" }))
    let message = expected.drop { $0 != ":" }
    let pool = "pools: {p: {upstreams: ['h:1'], service: "
    #expect(
      try load("\(pool)\(service)}}\n").problems == ["ROOT/f.yml:1:\(pool.count + 1 + offset)\(message)"])
    // What only a pool's default is asked.
    if message.contains("behind each %") { return }
    let own = "pools: {p: {upstreams: [{address: 'h:1', service: "
    #expect(
      try load("\(own)\(service)}]}}\n").problems == [
        "ROOT/f.yml:1:\(own.count + 1 + offset)"
          + message.replacing("pools.p.service", with: "pools.p.upstreams.service")
      ])
  }

  @Test(arguments: [
    ("{systemd: a}", "systemd a.service"), ("{supervisor: a, socket: s}", "supervisor a"),
    ("{signal: HUP, pid_file: a}", "HUP to the gunicorn that ROOT/a names"),
  ])
  func aServiceHasOneUpstream(_ service: String, _ name: String) throws {
    let (_, problems) = try load("pools: {p: {upstreams: ['h:1', 'h:2'], service: \(service)}}\n")
    #expect(
      problems == [
        "ROOT/f.yml:1:49: error: \(name) is the service of two upstreams, 'h:1' of pool 'p' and 'h:2' of pool 'p', so a "
          + "restart of one would stop both; expected one for each (in that of a pool %n stands for the name, %i for "
          + "the number)"
      ])
  }

  @Test func whatCanNotBeRestartedAmongOthersIsWarnedOf() throws {
    let (_, problems) = try load(
      "pools: {p: {upstreams: ['h:1', {address: 'h:2', service: {command: x}}]}}\n")
    #expect(
      problems == [
        "ROOT/f.yml:1:25: warning: pool 'p': nothing is known to restart upstream 'h:1', as there is for others; "
          + "expected 'service' for it or for the pool"
      ])
  }

  @Test(arguments: [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)])
  func aPasswordIsForNobodyElse(_ mode: Int, _ warnings: Int) throws {
    let text =
      "pools: {p: {upstreams: 'h:1', service: {supervisor: g, socket: s, user: u, password: hunter2}}}\n"
    let file = try folder.write("secret.yml", text)
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: file)
    var commandLine = CommandLineSettings()
    commandLine.file = file
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: { files, _ in (files, []) }, into: &diagnostics)
    let expected =
      "\(file):1:86: warning: pools.p.service.password: every user can read \(file); expected a file for the proxy's "
      + "user alone (chmod o-r)"
    #expect(diagnostics.sorted.map(\.description) == Array(repeating: expected, count: warnings))
    #expect(
      !configuration.text.contains("hunter2")
        && configuration.text.contains("          # password: not shown\n"))
  }

  @Test func aCommandOfTheWorkingDirectoryNeedsNoFolder() throws {
    let file = SettingsFile(
      "pools: {p: {upstreams: 'h:1', service: {command: x}}}\nrestart: {hooks: {before: y}}\n", path: "f.yml")
    var configuration = file.configuration
    var diagnostics = Diagnostics()
    configuration.applyPoolOptions(into: &diagnostics)
    #expect(diagnostics.isEmpty)
    #expect(
      configuration.pools[0].restart.services[0].manager
        == .command(restart: RestartCommand(.shell("x")), start: nil))
    #expect(configuration.settings.restartHooks.before == RestartCommand(.shell("y")))
  }
}
