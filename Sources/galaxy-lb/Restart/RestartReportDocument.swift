import GravityRestart
import JSON

/// The report of a restart, for programs and for people.
struct RestartReportDocument {
  let report: RestartReport
  /// When it began, which is its name as well.
  let began: Timestamp
  let ended: Timestamp

  /// As it is kept, and told at the end.
  var json: JSON {
    [
      "run": .string("\(began)"), "began": .string("\(began)"), "ended": .string("\(ended)"),
      "result": .string(report.result.rawValue), "exit_status": .integer(Int(report.exitStatus)),
      "message": .string(report.message), "problems": .array(report.problems.map { .string($0) }),
      "downtime": .seconds(milliseconds: report.downtime),
      "longest_hold": .seconds(milliseconds: report.longestHold),
      "unplaced_failed_requests": .integer(report.unplacedFailureCount),
      "unplaced_failures": .array(report.unplacedFailures.map(\.document)),
      "hooks": .array(
        report.hooks.map { hook in
          [
            "hook": .string(hook.name.rawValue), "ok": .boolean(hook.failure == nil),
            "failure": .text(hook.failure), "duration": .seconds(milliseconds: hook.duration),
            "output": .string(hook.output),
          ]
        }),
      "pools": .array(report.pools.map(document)),
    ]
  }

  private func document(_ pool: RestartReport.Pool) -> JSON {
    [
      "pool": .string(pool.name), "approach": .string(pool.outcome.approach.explanation),
      "upstreams": .array(
        pool.outcome.upstreams.map { upstream in
          let service = pool.services[upstream.name]
          return [
            "name": .string(upstream.name), "unit": .text(service?.unit),
            "manager": .text(service?.manager?.keyword),
            "fate": .string(upstream.fate.word), "reason": .text(upstream.reason),
            "drain_time": .seconds(upstream.drainTime),
            "waited_for": .object(upstream.waitedFor.document), "cut": .object(upstream.cut.document),
            "left_over": .object(upstream.leftOver.document),
            "drains_undone": .integer(upstream.drainsUndone),
            "restart_time": .seconds(upstream.restartTime),
            "readiness_time": .seconds(upstream.readinessTime),
            "probation_time": .seconds(upstream.probationTime),
            "version_before": .text(upstream.versionBefore), "version_after": .text(upstream.versionAfter),
            "foreign_restarts": .integer(upstream.foreignRestarts),
            "failed_requests": .integer(upstream.failureCount),
            "failures": .array(upstream.failures.map(\.document)),
            "output": .text(pool.outputs[upstream.name]),
          ]
        }),
    ]
  }

  /// For people: a line for each thing that is worth one.
  var text: String {
    var lines = [
      "galaxy-lb --graceful: \(report.result.rawValue) (exit status \(report.exitStatus))", report.message,
      "began \(began), ended \(ended), took \(seconds(ended.milliseconds - began.milliseconds))",
      "without an eligible upstream: \(seconds(report.downtime)); longest wait of a request: "
        + seconds(report.longestHold),
    ]
    lines += report.problems.map { "problem: \($0)" }
    for pool in report.pools {
      lines += ["", "pool \(pool.name): \(pool.outcome.approach.explanation)"]
      for upstream in pool.outcome.upstreams { lines += self.lines(upstream, pool) }
    }
    for hook in report.hooks {
      lines += ["", "hook \(hook.name.rawValue): \(hook.failure ?? "ok"), \(seconds(hook.duration))"]
      lines += indented(hook.output)
    }
    if report.unplacedFailureCount > 0 {
      lines += ["", "requests that failed without an upstream: \(report.unplacedFailureCount)"]
      lines += report.unplacedFailures.map { "  \($0.request): \($0.reason)" }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func lines(_ upstream: UpstreamReport, _ pool: RestartReport.Pool) -> [String] {
    let service = pool.services[upstream.name]
    let manager = service?.manager.map { " (\($0.keyword) \(service?.unit ?? ""))" } ?? ""
    var lines = ["  \(upstream.name)\(manager): \(upstream.fate.word)"]
    func add(_ text: String) { lines.append("    \(text)") }
    if let reason = upstream.reason { add("because \(reason)") }
    if let time = upstream.drainTime {
      add("drained in \(seconds(time)), waited for \(upstream.waitedFor.words)")
    }
    if upstream.cut.total > 0 { add("cut when their time was over: \(upstream.cut.words)") }
    if upstream.leftOver.total > 0 { add("alive at the restart all the same: \(upstream.leftOver.words)") }
    if upstream.drainsUndone > 0 { add("drains undone: \(upstream.drainsUndone)") }
    if let time = upstream.restartTime { add("restarted in \(seconds(time))") }
    if let time = upstream.readinessTime { add("ready \(seconds(time)) later") }
    if let time = upstream.probationTime { add("on probation for \(seconds(time))") }
    if upstream.versionBefore != nil || upstream.versionAfter != nil {
      add(
        "version \(upstream.versionBefore ?? "unknown") before, \(upstream.versionAfter ?? "unknown") after")
    }
    if upstream.foreignRestarts > 0 {
      add("restarted by somebody else meanwhile: \(upstream.foreignRestarts)")
    }
    if upstream.failureCount > 0 {
      add("requests that failed: \(upstream.failureCount)")
      for failure in upstream.failures { add("  \(failure.request): \(failure.reason)") }
    }
    if let output = pool.outputs[upstream.name] { lines += indented(output) }
    return lines
  }

  private func indented(_ output: String) -> [String] {
    output.split(whereSeparator: \.isNewline).map { "    | \($0)" }
  }

  private func seconds(_ milliseconds: Int64) -> String {
    "\(milliseconds / 1000).\(String(milliseconds % 1000 / 100)) s"
  }
}

extension UpstreamReport.Fate {
  fileprivate var word: String {
    switch self {
    case .untouched: "untouched"
    case .restarted: "restarted"
    case .failed: "failed"
    }
  }
}

extension UpstreamReport {
  /// Why it failed, if it did.
  fileprivate var reason: String? {
    if case .failed(let fault) = fate { "\(fault)" } else { nil }
  }
}

extension WorkInFlight {
  /// `3 ordinary, 1 tunnel`.
  fileprivate var words: String {
    let present = DrainClass.allCases.filter { self[$0] > 0 }
    return present.isEmpty
      ? "nothing" : present.map { "\(self[$0]) \($0.trafficClass.name)" }.joined(separator: ", ")
  }
}

extension RequestFailure {
  fileprivate var document: JSON { ["request": .string(request), "reason": .string(reason)] }
}

extension JSON {
  /// Milliseconds as seconds; null for what did not happen.
  fileprivate static func seconds(_ milliseconds: Int64?) -> JSON {
    milliseconds.map { .seconds(milliseconds: $0) } ?? .null
  }
}
