import SystemCalls

/// A restart on a screen: a line for each upstream with its phase, its time in it, what it has in flight, and a bar
/// against the phase's time-out; a line of sums below. It has no clock and no terminal: both are passed in.
struct RestartView {
  let colours: Bool
  private var text = RestartPlainText()
  private var isRehearsal = false
  private var isAttached = false
  private var beganAt: Duration?
  /// In the order of the restart.
  private var rows: [RestartRow] = []

  init(colours: Bool) { self.colours = colours }

  /// Takes a line of the proxy that came at `now`. What is to scroll by above the frame comes back.
  mutating func take(_ line: RestartLine, at now: Duration) -> [String] {
    let lines = text.take(line)
    if beganAt == nil { beganAt = now }
    switch line {
    case .begun(let begun):
      isRehearsal = begun.isRehearsal
      isAttached = begun.isAttached
      for name in begun.pools.flatMap(\.upstreams) { _ = row(name) }
      return lines
    case .preflight(let found):
      rows[row(found.upstream)].found = found
      // What a dry run finds is its result; else only what somebody should know stays on the screen.
      return isRehearsal || !found.isAsUsual ? lines : text.notes(found)
    case .phase(let progress), .progress(let progress):
      rows[row(progress.upstream)].take(progress, at: now)
      return []
    case .message, .hook: return lines
    case .finished, .unknown: return []
    }
  }

  /// The row of an upstream; one that was not told of comes last.
  private mutating func row(_ name: String) -> Int {
    if let known = rows.firstIndex(where: { $0.name == name }) { return known }
    rows.append(RestartRow(name: name))
    return rows.count - 1
  }

  /// The lines to show at `now`: narrower than the screen, and fewer than it has rows.
  func frame(on size: WindowSize, at now: Duration) -> [String] {
    guard !rows.isEmpty else { return [] }
    let width = size.columns - 1
    // One row is for the sums, and the cursor stands on one.
    let shown = mostUrgent(max(0, size.rows - 2))
    let nameWidth = min(shown.map { columns(of: $0.name) }.max() ?? 0, max(8, width / 3))
    let lines = shown.map { row in
      let line = row.line(nameWidth: nameWidth, at: now)
      return line.text(columns: width, colours: colours)
    }
    guard size.rows > 1 else { return [] }
    return lines + [beginning(of: sums(hidden: rows.count - shown.count, at: now), columns: width)]
  }

  /// As many rows as there is room for, in the order of the restart: those under way and the failed ones before those
  /// whose turn comes, and these before what is done.
  private func mostUrgent(_ count: Int) -> [RestartRow] {
    guard rows.count > count else { return rows }
    let order = rows.indices.sorted { (rows[$0].urgency, $0) < (rows[$1].urgency, $1) }
    return order.prefix(count).sorted().map { rows[$0] }
  }

  private func sums(hidden: Int, at now: Duration) -> String {
    func count(_ phases: (RestartPhase) -> Bool) -> Int { rows.count { $0.phase.map(phases) ?? false } }
    var parts: [String]
    if rows.allSatisfy({ $0.phase == nil }) {
      parts = ["preflight of \(rows.count) upstreams"]
    } else {
      parts = ["\(count { $0 == .completed }) of \(rows.count) restarted"]
      let others = [
        (count(\.isUnderWay), "under way"), (count { $0 == .failed }, "failed"),
        (rows.count { $0.phase == .waiting || $0.phase == nil }, "waiting"),
      ]
      for (count, word) in others where count > 0 { parts.append("\(count) \(word)") }
    }
    if !isAttached, let beganAt { parts.append(shortDuration(now - beganAt)) }
    if hidden > 0 { parts.append("\(hidden) not shown") }
    return parts.joined(separator: ", ")
  }
}
