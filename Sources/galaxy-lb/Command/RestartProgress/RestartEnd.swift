import Glibc
import JSON

/// How a restart ended: the last line of the proxy, with its report. Texts are printable.
struct RestartEnd: Equatable {
  struct Upstream: Equatable {
    /// `POOL/UPSTREAM`
    var name: String
    /// untouched, restarted or failed
    var fate: String
    var reason: String?
    /// Seconds; nil for what it did not come to.
    var drainTime: Double?
    var restartTime: Double?
    var readinessTime: Double?
    var probationTime: Double?
    var versionBefore: String?
    var versionAfter: String?
    var cut: WorkCount
    var leftOver: WorkCount
    var drainsUndone: Int
    var foreignRestarts: Int
    var failedRequests: Int
    /// The first of them: what was asked for, and why there was no answer.
    var failures: [String]
    /// What it printed when it failed to start.
    var output: [String]
  }

  /// completed, rehearsed, refused, halted or aborted
  var result: String
  var status: ExitStatus
  var message: String
  var problems: [String]
  var reportFile: String?
  var upstreams: [Upstream]
  /// Seconds; nil when the report does not tell.
  var total: Double?
  var downtime: Double
  var longestHold: Double
  /// Hooks that failed.
  var failedHooks: [String]

  init(_ json: JSON) {
    let report = json["report"] ?? .null
    result = printable(json["result"]?.asString ?? "unknown")
    status = json["exit_status"]?.asInteger.flatMap(Self.status) ?? .failure
    message = printable(json["message"]?.asString ?? "the proxy does not say how the restart ended")
    problems = (json["problems"]?.asArray ?? []).compactMap { $0.asString.map(printable) }
    reportFile = json["report_file"]?.asString.map(printable)
    upstreams = (report["pools"]?.asArray ?? []).flatMap { pool in
      let name = printable(pool["pool"]?.asString ?? "?")
      return (pool["upstreams"]?.asArray ?? []).map { Upstream($0, pool: name) }
    }
    let times = ["began", "ended"].compactMap { report[$0]?.asString.flatMap(secondsSince1970) }
    total = times.count == 2 ? max(0, times[1] - times[0]) : nil
    downtime = report["downtime"]?.asNumber ?? 0
    longestHold = report["longest_hold"]?.asNumber ?? 0
    failedHooks = (report["hooks"]?.asArray ?? []).filter { $0["ok"]?.asBoolean == false }
      .compactMap { $0["hook"]?.asString.map(printable) }
  }

  /// The statuses that a restart can end with.
  private static func status(_ number: Int) -> ExitStatus? {
    let status = ExitStatus(rawValue: Int32(clamping: number))
    return [.success, .failure, .refused, .aborted].contains(status) ? status : nil
  }
}

extension RestartEnd.Upstream {
  init(_ json: JSON, pool: String) {
    func text(_ name: String) -> String? { json[name]?.asString.map(printable) }
    func number(_ name: String) -> Int { json[name]?.asInteger ?? 0 }
    name = "\(pool)/\(text("name") ?? "?")"
    fate = text("fate") ?? "?"
    reason = text("reason")
    drainTime = json["drain_time"]?.asNumber
    restartTime = json["restart_time"]?.asNumber
    readinessTime = json["readiness_time"]?.asNumber
    probationTime = json["probation_time"]?.asNumber
    versionBefore = text("version_before")
    versionAfter = text("version_after")
    cut = WorkCount(json["cut"], as: "cut")
    leftOver = WorkCount(json["left_over"], as: "still in flight at the restart")
    drainsUndone = number("drains_undone")
    foreignRestarts = number("foreign_restarts")
    failedRequests = number("failed_requests")
    failures = (json["failures"]?.asArray ?? []).map { failure in
      let parts = [failure["request"], failure["reason"]].compactMap { $0?.asString.map(printable) }
      return parts.joined(separator: ": ")
    }
    output = printableLines(json["output"]?.asString ?? "")
  }
}

/// Reads a time of the proxy, ISO 8601 in UTC such as `2026-01-31T12:00:00.000Z`.
private func secondsSince1970(_ text: String) -> Double? {
  let parts = text.split { "-T:Z".contains($0) }
  guard parts.count == 6, let seconds = Double(parts[5]), (0..<61).contains(seconds) else { return nil }
  let numbers = parts.prefix(5).compactMap { Int32($0) }
  guard numbers.count == 5, (1970...9999).contains(numbers[0]) else { return nil }
  var time = tm()
  time.tm_year = numbers[0] - 1900
  time.tm_mon = numbers[1] - 1
  time.tm_mday = numbers[2]
  time.tm_hour = numbers[3]
  time.tm_min = numbers[4]
  return Double(timegm(&time)) + seconds
}
