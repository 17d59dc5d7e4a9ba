import Foundation
import SystemCalls
import Testing

@testable import GravityRestart

private let patience = WaitLimit(until: .after(.seconds(60)))
private let target = RestartTarget(
  unit: "web 1", pool: "main", upstream: "gunicorn1", endpoint: .unix(path: "/srv/g.sock"), process: 77)

private func shell(_ line: String) -> CommandDriver {
  CommandDriver(restart: RestartCommand(.shell(line)))
}

@Suite struct CommandDriverTests {
  @Test func findsTheUpstreamInItsEnvironment() throws {
    let command = RestartCommand(.program("env", arguments: []))
    let variables = [
      "PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": "/run/n", "LISTEN_FDS": "1", "LISTEN_PID": "5",
    ]
    let driver = CommandDriver(restart: command, variables: variables)
    let said = try driver.perform(.restart, on: target, within: patience)
    #expect(
      Set(said.split(separator: "\n")) == [
        "PATH=/usr/bin:/bin", "GALAXY_LB_ACTION=restart", "GALAXY_LB_UNIT=web 1", "GALAXY_LB_POOL=main",
        "GALAXY_LB_UPSTREAM=gunicorn1", "GALAXY_LB_ADDRESS=unix:/srv/g.sock", "GALAXY_LB_PID=77",
      ])
    var unknown = target
    unknown.process = nil
    #expect(try !driver.perform(.restart, on: unknown, within: patience).contains("GALAXY_LB_PID"))
  }

  @Test func aProgramNeedsNoQuotesAndALineIsForTheShell() throws {
    let words = ["%s|", "a b", "$HOME", ";"]
    let program = CommandDriver(restart: RestartCommand(.program("printf", arguments: words)))
    #expect(try program.perform(.restart, on: target, within: patience) == "a b|$HOME|;|")
    let line = shell("cd / && echo \"$GALAXY_LB_UPSTREAM\" && pwd >&2")
    #expect(try line.perform(.restart, on: target, within: patience) == "gunicorn1\n/\n")
  }

  @Test(arguments: [
    (
      "echo first; echo the reason >&2; exit 7", ProcessManagerError.Kind.commandFailed,
      "ended with status 7: the reason"
    ),
    ("kill -TERM $$", .commandFailed, "ended by signal 15"),
    ("no-program-of-this-name", .commandFailed, "status 127"),
  ])
  func failures(_ line: String, _ kind: ProcessManagerError.Kind, _ part: String) {
    let error = #expect(throws: ProcessManagerError.self) {
      try shell(line).perform(.restart, on: target, within: patience)
    }
    #expect(error?.kind == kind)
    #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    if part.contains("reason") { #expect(error?.output == "first\nthe reason\n") }
  }

  @Test func takesNoLongerThanItMay() {
    let error = #expect(throws: ProcessManagerError.self) {
      try shell("echo begun; exec sleep 1000").perform(
        .restart, on: target, within: WaitLimit(until: .after(.milliseconds(300))))
    }
    #expect(error?.kind == .timedOut)
    #expect(error?.output == "begun\n")
  }

  @Test func canBeCancelled() throws {
    let cancellation = try Cancellation()
    cancellation.cancel()
    let error = #expect(throws: ProcessManagerError.self) {
      try shell("sleep 1000").perform(
        .restart, on: target, within: WaitLimit(until: .after(.seconds(60)), cancellation: cancellation))
    }
    #expect(error?.kind == .cancelled)
  }

  @Test func accessIsAnExecutableProgram() throws {
    #expect(try shell("anything").checkAccess(within: patience).description == "the command 'anything'")
    func check(_ program: String, in folder: String? = nil) throws {
      let command = RestartCommand(.program(program, arguments: []), workingDirectory: folder)
      _ = try CommandDriver(restart: command).checkAccess(within: patience)
    }
    try check("env")
    try check("/usr/bin/env")
    try check("bin/env", in: "/usr")
    for program in ["no-program-of-this-name", "/etc/passwd", "/usr/bin", "bin/env"] {
      #expect(throws: ProcessManagerError.self) { try check(program) }
    }
    #expect(throws: ProcessManagerError.self) { try check("env", in: "/nowhere") }
  }

  @Test func startsOnlyWithACommandForIt() throws {
    let error = #expect(throws: ProcessManagerError.self) {
      try shell("true").perform(.start, on: target, within: patience)
    }
    #expect(error?.kind == .unsupported)
    let both = CommandDriver(
      restart: RestartCommand(.shell("false")), start: RestartCommand(.shell("echo $GALAXY_LB_ACTION")))
    #expect(try both.perform(.start, on: target, within: patience) == "start\n")
    #expect(try both.inspect(target, within: patience).state == .unobservable)
  }
}
