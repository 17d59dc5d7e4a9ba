import SystemCalls
import Testing

@testable import GravityRestart

/// A pool without traffic, that remembers what was done to it.
private final class IdlePool: RestartedPool {
  var administrations: [UpstreamAdministration]
  var calls: [String] = []

  init(_ count: Int) { administrations = Array(repeating: .ready, count: count) }

  func administration(of upstream: Int) -> UpstreamAdministration? { administrations[upstream] }
  func liveness(of upstream: Int) -> UpstreamLiveness { .up }
  func incarnation(of upstream: Int) -> ServerIncarnation? { nil }
  func inFlight(of upstream: Int) -> WorkInFlight? { WorkInFlight() }
  func sample(of upstream: Int) -> (own: TrafficSample, others: TrafficSample) {
    (TrafficSample(), TrafficSample())
  }
  var oldestWait: Int64 { 0 }

  func drain(_ upstream: Int) {
    administrations[upstream] = .draining
    calls.append("drain \(upstream)")
  }
  func endEventStreams(of upstream: Int) { calls.append("end streams \(upstream)") }
  func closeTunnels(of upstream: Int) { calls.append("close tunnels \(upstream)") }
  func cut(_ work: DrainClass, of upstream: Int) { calls.append("cut \(work) \(upstream)") }
  func admit(_ upstream: Int, share: Int) {
    administrations[upstream] = .ready
    calls.append("admit \(upstream) \(share)")
  }
  func resume(_ upstream: Int, excusedFor: Int64) {
    administrations[upstream] = .ready
    calls.append("resume \(upstream)")
  }
  func beginSample(of upstream: Int) {}
  func keepOut(_ upstream: Int, reason: String) {
    administrations[upstream] = .keptOut
    calls.append("keep out \(upstream)")
  }
  func noteGoodProbe(of upstream: Int) {}
}

@Suite struct RestartRunTests {
  private let pool = IdlePool(2)

  private func subject(_ manager: ServiceManager?, only: [String]? = nil) -> RestartSubject {
    let members = (0...1).map { number in
      RestartSubject.Member(
        name: "g\(number)",
        probe: VersionProbe(
          endpoint: .unix(path: "/nowhere/g\(number).sock"), path: "/api/version", expectedStatus: 200...299))
    }
    let services = members.map { UpstreamService(manager: manager, unit: $0.name) }
    return RestartSubject(
      pool: "main", upstreams: members, restart: PoolRestart(services: services), only: only, holdTime: 0,
      traffic: pool)
  }

  /// Drives a restart to its end, and answers its report.
  private func report(_ subject: RestartSubject, hooks: RestartHooks = RestartHooks()) throws -> RestartReport
  {
    let run = try RestartRun([subject], isDryRun: false, hooks: hooks, notes: StoppedUnits(folder: nil)) {
      _ in
    }
    let deadline = Deadline.after(.seconds(30))
    var now: Int64 = 1_000
    while run.report == nil, !deadline.hasPassed {
      run.look(now: now)
      now += 5
      _ = try pause(.milliseconds(5), within: WaitLimit(until: deadline))
    }
    return try #require(run.report)
  }

  @Test func withoutAServiceNothingIsTouched() throws {
    let report = try report(subject(nil))
    #expect(report.result == .refused)
    #expect(report.exitStatus == 4)
    #expect(report.problems.count == 2)
    #expect(report.problems.first?.contains("the configuration names no service for it") == true)
    #expect(pool.calls.isEmpty)
  }

  @Test func whatDoesNotAnswerIsNotTouched() throws {
    let command = RestartCommand(.program("/bin/true", arguments: []))
    var hooks = RestartHooks()
    hooks.before = RestartCommand(.shell("exit 1"))
    hooks.onHalt = RestartCommand(.shell("exit 1"))
    let report = try report(subject(.command(restart: command, start: nil)), hooks: hooks)
    #expect(report.result == .refused)
    #expect(
      report.problems == [
        "main/g0 does not answer; repair it, or bring it up with --start-if-stopped",
        "main/g1 does not answer; repair it, or bring it up with --start-if-stopped",
      ])
    #expect(report.hooks.isEmpty)
    #expect(pool.calls.isEmpty)
  }

  @Test func anUnknownNameIsSaidBeforeAnythingBegins() {
    #expect(throws: RestartPlanError.unknownUpstream("g2", known: ["g0", "g1"])) {
      try RestartRun(
        [subject(nil, only: ["g2"])], isDryRun: false, hooks: RestartHooks(), notes: StoppedUnits(folder: nil)
      ) { _ in }
    }
  }

  @Test func anAbortBeforeAnythingBeginsTouchesNothing() throws {
    let run = try RestartRun(
      [subject(nil)], isDryRun: false, hooks: RestartHooks(), notes: StoppedUnits(folder: nil)
    ) { _ in }
    run.abort(now: 1)
    let deadline = Deadline.after(.seconds(30))
    while run.report == nil, !deadline.hasPassed { run.look(now: 2) }
    #expect(run.report?.result == .aborted)
    #expect(run.report?.exitStatus == 5)
    #expect(pool.calls.isEmpty)
  }
}

@Suite struct VersionProbeTests {
  @Test(
    arguments: [
      (#"{"version_major": "24.1", "version_minor": "2"}"#, "24.1.2"),
      (#"{"version_major": "24.1", "version_minor": null, "extra": {}}"#, "24.1"),
      (#"{"version_major": 24}"#, nil), ("[]", nil), ("<html>", nil), ("", nil),
    ] as [(String, String?)])
  func theVersionIsThatOfGalaxysAnswer(_ content: String, _ version: String?) {
    #expect(VersionProbe.version(in: Array(content.utf8)) == version)
  }

  @Test func nobodyThereIsNoGoodAnswer() {
    let probe = VersionProbe(
      endpoint: .unix(path: "/nowhere/g.sock"), path: "/api/version", expectedStatus: 200...299)
    let answer = probe.ask(process: nil, within: WaitLimit(until: .after(.seconds(5))))
    #expect(answer == .bad("connect: No such file or directory"))
  }
}
