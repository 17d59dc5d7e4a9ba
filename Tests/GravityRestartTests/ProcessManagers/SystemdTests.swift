import SystemCalls
import Testing

@testable import GravityRestart

private let patience = WaitLimit(until: .after(.seconds(60)))

private func target(_ unit: String) -> RestartTarget {
  RestartTarget(unit: unit, pool: "_default_", upstream: "gunicorn0", endpoint: .unix(path: "/nowhere"))
}

/// What systemctl 252 printed for a running service, with some lines in place of others.
private func properties(_ changes: [String: String] = [:], without: Set<String> = []) -> String {
  let usual = [
    "Id": "galaxy-gunicorn@0.service", "LoadState": "loaded", "LoadError": "", "ActiveState": "active",
    "SubState": "running", "MainPID": "6481", "Result": "success", "NRestarts": "0", "ExecMainCode": "0",
    "ExecMainStatus": "0", "ExecMainStartTimestampMonotonic": "4858436259", "Job": "",
    "NeedDaemonReload": "no",
    "InvocationID": "35d34fce70b14b96bd9415da15f3570a", "RequiredBy": "", "BoundBy": "", "ConsistsOf": "",
  ]
  return usual.merging(changes) { $1 }.filter { !without.contains($0.key) }
    .map { "\($0.key)=\($0.value)\n" }.joined()
}

private func status(_ changes: [String: String], without: Set<String> = []) throws -> UnitStatus {
  try SystemdProperties(parsing: properties(changes, without: without)).status(now: .seconds(5000))
}

@Suite struct SystemdPropertiesTests {
  @Test(arguments: [
    (["ActiveState": "active"], UnitState.running), (["ActiveState": "reloading"], .running),
    (["ActiveState": "activating", "SubState": "start"], .starting),
    (["ActiveState": "activating", "SubState": "auto-restart"], .failing),
    (["ActiveState": "activating", "SubState": "auto-restart-queued"], .failing),
    (["ActiveState": "deactivating", "SubState": "stop-sigterm"], .stopping),
    (["ActiveState": "inactive", "SubState": "dead"], .stopped),
    (["ActiveState": "failed", "SubState": "failed"], .fatal),
    (["LoadState": "not-found", "ActiveState": "inactive"], .missing),
  ])
  func states(_ changes: [String: String], _ expected: UnitState) throws {
    #expect(try status(changes).state == expected)
  }

  @Test func aRunningService() throws {
    let running = try status([:])
    #expect(running.process == 6481)
    #expect(running.uptime == .seconds(5000) - .microseconds(4_858_436_259))
    #expect(running.run == "35d34fce70b14b96bd9415da15f3570a")
    #expect(running.automaticRestarts == 0)
    #expect(!running.hasPendingOrder)
    #expect(running.warnings.isEmpty)
    #expect(running.description == "systemd says active (running), main process 6481")
  }

  @Test func aFailedService() throws {
    let failed = try status([
      "ActiveState": "failed", "SubState": "failed", "MainPID": "0", "Result": "exit-code", "NRestarts": "3",
      "ExecMainCode": "1", "ExecMainStatus": "3", "Job": "48",
    ])
    #expect(failed.process == nil && failed.uptime == nil)
    #expect(failed.automaticRestarts == 3)
    #expect(failed.hasPendingOrder)
    #expect(
      failed.description
        == "systemd says failed (failed), result exit-code, exit status 3, started again by itself 3 times")
    let killed = try status([
      "MainPID": "0", "ExecMainCode": "2", "ExecMainStatus": "9", "Result": "oom-kill",
    ])
    #expect(killed.description.contains("result oom-kill, ended by signal 9"))
  }

  @Test func whatSomebodyShouldKnow() throws {
    #expect(try status(["LoadState": "masked"]).warnings.count == 1)
    #expect(
      try status(["LoadState": "bad-setting", "LoadError": "x \"y\""]).warnings[0].contains("bad-setting"))
    #expect(try status(["NeedDaemonReload": "yes"]).warnings[0].contains("daemon-reload"))
    #expect(try status(["Result": "start-limit-hit"]).warnings[0].contains("reset-failed"))
    let dependents = try status(["RequiredBy": "a.service b.target", "ConsistsOf": "c.service"])
    #expect(dependents.warnings[0].hasSuffix("a.service, b.target, c.service."))
  }

  @Test func someMayBeLeftOut() throws {
    let without: Set = [
      "LoadError", "InvocationID", "Job", "NeedDaemonReload", "RequiredBy", "BoundBy", "ConsistsOf",
    ]
    let status = try status([:], without: without)
    #expect(status.state == .running && status.run == nil && !status.hasPendingOrder)
  }

  @Test(arguments: [
    "Id", "LoadState", "ActiveState", "SubState", "MainPID", "Result", "NRestarts", "ExecMainCode",
    "ExecMainStatus",
    "ExecMainStartTimestampMonotonic",
  ])
  func othersMayNot(_ key: String) {
    #expect(throws: SystemdPropertiesError.self) { try status([:], without: [key]) }
  }

  @Test(arguments: [
    "MainPID=1", "Unasked=1", "no equals sign", "=", "Id=again",
  ])
  func strayLinesAreRefused(_ line: String) {
    #expect(throws: SystemdPropertiesError.self) {
      try SystemdProperties(parsing: properties() + line + "\n")
    }
  }

  @Test(arguments: [
    ["MainPID": "x"], ["MainPID": "-1"], ["MainPID": ""], ["MainPID": "4294967296"], ["NRestarts": "1.5"],
    ["ExecMainStartTimestampMonotonic": "n/a"], ["ActiveState": "dancing"],
  ])
  func strangeValuesAreRefused(_ changes: [String: String]) {
    #expect(throws: SystemdPropertiesError.self) { try status(changes) }
  }
}

@Suite struct SystemdUnitNameTests {
  @Test(arguments: [
    ("galaxy-gunicorn.service", "galaxy-gunicorn.service"),
    ("galaxy-gunicorn@0.service", "galaxy-gunicorn@0.service"),
    ("tusd", "tusd.service"), ("galaxy-1.2@a:b_c", "galaxy-1.2@a:b_c.service"),
    ("a\\x2db.service", "a\\x2db.service"),
  ])
  func accepts(_ text: String, _ expected: String) throws {
    #expect(try SystemdUnitName(text).description == expected)
  }

  @Test(arguments: [
    "", ".service", "galaxy-*", "galaxy-?.service", "galaxy-[01].service", "galaxy.target", "galaxy.socket",
    "a b", "a/b",
    "galaxy-gunicorn@.service", "@0.service", "a;b", "a\nb", "ä.service", String(repeating: "a", count: 248),
  ])
  func refuses(_ text: String) {
    let error = #expect(throws: ProcessManagerError.self) { try SystemdUnitName(text) }
    #expect(error?.kind == .badName)
  }
}

/// systemctl itself is replaced by a script that fails like it.
@Suite struct SystemctlTests {
  private func driver(_ script: String, userMode: Bool = false, _ site: Site) throws -> SystemdDriver {
    try site.write("#!/bin/sh\n\(script)\n", to: "systemctl")
    try site.setMode("systemctl", 0o755)
    return SystemdDriver(userMode: userMode, systemctl: site.root + "/systemctl")
  }

  @Test(arguments: [
    (
      "echo 'Failed to restart a.service: Access denied' >&2; exit 4",
      ProcessManagerError.Kind.permissionDenied
    ),
    (
      "echo 'Failed to restart a.service: Interactive authentication required.' >&2; exit 1",
      .permissionDenied
    ),
    ("echo 'Failed to restart a.service: Unit a.service not found.' >&2; exit 5", .unknownUnit),
    ("echo 'Failed to connect to bus: No such file or directory' >&2; exit 1", .unreachable),
    ("echo 'System has not been booted with systemd as init system' >&2; exit 1", .unreachable),
    ("echo 'Failed to restart a.service: Unit a.service is masked.' >&2; exit 1", .refused),
    ("exit 1", .refused), ("kill -9 $$", .unreachable),
  ])
  func complaints(_ script: String, _ kind: ProcessManagerError.Kind) throws {
    let site = try Site(galaxyCode: false)
    let error = #expect(throws: ProcessManagerError.self) {
      try driver(script, site).perform(.restart, on: target("a"), within: patience)
    }
    #expect(error?.kind == kind)
    #expect(error?.advice.isEmpty == false)
  }

  @Test func silenceIsBounded() throws {
    let site = try Site(galaxyCode: false)
    let error = #expect(throws: ProcessManagerError.self) {
      try driver("sleep 1000", site).inspect(
        target("a"), within: WaitLimit(until: .after(.milliseconds(100))))
    }
    #expect(error?.kind == .timedOut)
  }

  @Test func otherOutputIsRefused() throws {
    let site = try Site(galaxyCode: false)
    let driver = try driver("echo hello", site)
    #expect(throws: ProcessManagerError.self) { try driver.inspect(target("a"), within: patience) }
    #expect(throws: ProcessManagerError.self) { try driver.checkAccess(within: patience) }
  }

  @Test func itsOwnWordsAndNoShell() throws {
    let site = try Site(galaxyCode: false)
    let script = "printf '%s|' \"$@\" \"$LC_ALL\" \"${NOTIFY_SOCKET-none}\""
    let said = try driver(script, userMode: true, site).perform(.restart, on: target("-a"), within: patience)
    #expect(said == "--user|--no-ask-password|--no-pager|restart|--no-block|--|-a.service|C|none|")
  }

  @Test func noSystemctl() {
    let error = #expect(throws: ProcessManagerError.self) {
      try SystemdDriver(userMode: false, systemctl: "/nowhere/systemctl").checkAccess(within: patience)
    }
    #expect(error?.kind == .unreachable)
  }
}
