/// What is said at the end of a restart: a table of its upstreams, what was out of the ordinary, and the sums.
struct RestartSummary {
  private let end: RestartEnd
  private let colours: Bool

  init(_ end: RestartEnd, colours: Bool) {
    self.end = end
    self.colours = colours
  }

  /// The lines for standard output, without line feeds.
  var lines: [String] {
    var lines: [String] = []
    // There is nothing to tell of upstreams that nobody meant to touch, or could.
    if end.upstreams.contains(where: { $0.fate != "untouched" })
      || !["rehearsed", "refused"].contains(end.result)
    {
      if !end.upstreams.isEmpty { lines += table + [""] }
      lines += end.upstreams.flatMap(remarks)
      lines += end.failedHooks.map { "hook \($0): failed" }
      lines += sums
    }
    if end.status == .success { lines.append(end.message) }
    if let file = end.reportFile { lines.append("report: \(file)") }
    return lines
  }

  /// What went wrong, for standard error, one problem each; empty after a success.
  var complaints: [String] {
    end.problems + (end.status == .success ? [] : [end.message])
  }

  private var sums: [String] {
    func count(_ fate: String) -> Int { end.upstreams.count { $0.fate == fate } }
    let others = ["failed", "untouched"].filter { count($0) > 0 }.map { ", \(count($0)) \($0)" }.joined()
    let time = end.total.map { " in \(shortSeconds($0))" } ?? ""
    let failed = end.upstreams.reduce(0) { $0 + $1.failedRequests }
    let cut = end.upstreams.reduce(0) { $0 + $1.cut.total }
    return [
      "\(end.result): \(count("restarted")) restarted\(others)\(time)",
      "requests: \(failed) failed, \(cut) cut; downtime \(shortSeconds(end.downtime)), "
        + "longest hold \(shortSeconds(end.longestHold))",
    ]
  }

  // MARK: The table

  private static let fate = 1
  private static let numbers: Set = [2, 3, 4, 5, 7, 8]

  private var table: [String] {
    let titles = ["UPSTREAM", "RESULT", "DRAIN", "RESTART", "READY", "PROBATION", "VERSION", "CUT", "FAIL"]
    let rows = [titles] + end.upstreams.map(Self.cells)
    let hasProbation = end.upstreams.contains { $0.probationTime != nil }
    let shown = titles.indices.filter { titles[$0] != "PROBATION" || hasProbation }
    let widths = titles.indices.map { column in rows.map { columns(of: $0[column]) }.max() ?? 0 }
    return rows.enumerated().map { number, row in
      let cells = shown.map { column in
        let blanks = String(repeating: " ", count: widths[column] - columns(of: row[column]))
        let text = Self.numbers.contains(column) ? blanks + row[column] : row[column] + blanks
        guard colours, number > 0, column == Self.fate, let colour = Self.colour(row[column]) else {
          return text
        }
        return "\u{1B}[\(colour)m\(text)\u{1B}[0m"
      }
      return cells.joined(separator: "  ")
    }
  }

  private static func cells(_ upstream: RestartEnd.Upstream) -> [String] {
    let times = [upstream.drainTime, upstream.restartTime, upstream.readinessTime, upstream.probationTime]
    let versions = [upstream.versionBefore, upstream.versionAfter].compactMap { $0 }
    return [upstream.name, upstream.fate] + times.map { $0.map(shortSeconds) ?? "-" }
      + [versions.isEmpty ? "-" : versions.joined(separator: " -> ")]
      + ["\(upstream.cut.total)", "\(upstream.failedRequests)"]
  }

  private static func colour(_ fate: String) -> String? {
    switch fate {
    case "restarted": "32"
    case "failed": "31"
    default: nil
    }
  }

  // MARK: What was out of the ordinary

  private func remarks(_ upstream: RestartEnd.Upstream) -> [String] {
    var remarks: [String] = []
    if upstream.fate == "failed" { remarks.append("failed: \(upstream.reason ?? "no reason is given")") }
    remarks += upstream.output.map { "| \($0)" }
    if upstream.cut.total > 0 { remarks.append("\(upstream.cut)") }
    if upstream.leftOver.total > 0 { remarks.append("\(upstream.leftOver)") }
    if upstream.drainsUndone > 0 { remarks.append("its drain was undone \(times(upstream.drainsUndone))") }
    if upstream.foreignRestarts > 0 {
      remarks.append("restarted \(times(upstream.foreignRestarts)) by something else")
    }
    remarks += upstream.failures.map { "failed request: \($0)" }
    let more = upstream.failedRequests - upstream.failures.count
    if more > 0 { remarks.append("failed requests: \(upstream.failures.isEmpty ? "" : "and ")\(more) more") }
    return remarks.map { "\(upstream.name): \($0)" }
  }

  private func times(_ count: Int) -> String { count == 1 ? "once" : "\(count) times" }
}

/// Seconds for people: tenths below a minute, else as `shortDuration`.
func shortSeconds(_ seconds: Double) -> String {
  let tenths = Int64((min(max(0, seconds), 1e9) * 10).rounded())
  guard tenths < 600 else { return shortDuration(tenths / 10) }
  return tenths % 10 == 0 ? "\(tenths / 10)s" : "\(tenths / 10).\(tenths % 10)s"
}
