/// A restart as plain lines: one for each change, each beginning with what it is about, so that grep(1) finds it.
struct RestartPlainText {
  private var units: [String: String] = [:]
  private var phases: [String: RestartPhase] = [:]

  /// What to print for a line of the proxy, without line feeds; nothing when nothing has changed. How it ended is for
  /// others to say.
  mutating func take(_ line: RestartLine) -> [String] {
    switch line {
    case .begun(let begun):
      units = begun.units
      return Self.text(begun)
    case .preflight(let found): return text(found)
    case .phase(let progress), .progress(let progress): return text(progress)
    case .message(let level, let text): return ["\(level): \(text)"]
    case .hook(let name, let succeeded, let output):
      return ["hook \(name): \(succeeded ? "done" : "failed")"] + output.map { "hook \(name): | \($0)" }
    case .finished, .unknown: return []
    }
  }

  private static func text(_ begun: RestartLine.Begun) -> [String] {
    var lines: [String] = []
    if begun.isAttached {
      lines.append(
        "attached to the restart that is in progress: its options are in force, not those given now")
    }
    if begun.isRehearsal { lines.append("dry run: nothing is touched") }
    for pool in begun.pools {
      let count = pool.upstreams.count
      lines.append("\(pool.name): \(count) \(count == 1 ? "upstream" : "upstreams"): \(pool.approach)")
    }
    return lines
  }

  /// What preflight has found out about an upstream.
  func text(_ found: RestartLine.Preflight) -> [String] {
    var parts = [
      [units[found.upstream] ?? "", found.unit].filter { !$0.isEmpty }.joined(separator: " "),
      found.answers ? "answers" : "does not answer",
    ]
    if let version = found.versionRunning { parts.append("runs \(version)") }
    if let version = found.versionOnDisk { parts.append("\(version) on disk") }
    return ["\(found.upstream): preflight: \(parts.joined(separator: ", "))"] + notes(found)
  }

  func notes(_ found: RestartLine.Preflight) -> [String] {
    found.notes.map { "\(found.upstream): note: \($0)" }
  }

  private mutating func text(_ progress: RestartLine.Progress) -> [String] {
    let before = phases.updateValue(progress.phase, forKey: progress.upstream)
    // That the others wait is no news, but that one waits again is.
    guard before != progress.phase, before != nil || progress.phase != .waiting else { return [] }
    var text = "\(progress.upstream): \(progress.phase.words)"
    switch progress.phase {
    case .waiting: text += " again"
    case .failed: text += ": \(progress.reason ?? "no reason is given")"
    case .draining, .restarting, .awaitingReadiness, .probation:
      if progress.phase == .draining, let work = progress.inFlight { text += ", \(work)" }
      if let timeout = progress.timeout { text += ", at most \(shortDuration(timeout))" }
    case .completed: break
    }
    return [text]
  }
}

/// In two units at most: `5min 3s`.
func shortDuration(_ duration: Duration) -> String { shortDuration(duration.components.seconds) }
