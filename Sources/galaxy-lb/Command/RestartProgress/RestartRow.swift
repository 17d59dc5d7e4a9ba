/// One upstream of a restart as the screen shows it.
struct RestartRow: Equatable {
  /// `POOL/UPSTREAM`
  let name: String
  /// Nil until the proxy tells.
  private(set) var phase: RestartPhase?
  /// What preflight has found out; nil until then.
  var found: RestartLine.Preflight?
  /// When the phase began, as the proxy tells it.
  private var phaseBeganAt = Duration.zero
  private var timeout: Duration?
  private var inFlight: Int?
  private var reason: String?
  /// When its drain began, if that was seen, and when it was over.
  private var beganAt: Duration?
  private var endedAt: Duration?

  init(name: String) { self.name = name }

  mutating func take(_ progress: RestartLine.Progress, at now: Duration) {
    if progress.phase == .waiting { beganAt = nil }
    if progress.phase == .draining, phase != .draining { beganAt = now - progress.elapsed }
    if !progress.phase.isUnderWay, progress.phase != .waiting, endedAt == nil { endedAt = now }
    if progress.phase.isUnderWay || progress.phase == .waiting { endedAt = nil }
    phase = progress.phase
    phaseBeganAt = now - progress.elapsed
    timeout = progress.timeout
    if let work = progress.inFlight { inFlight = work.total }
    reason = progress.reason
  }

  /// The lower, the more there is to see.
  var urgency: Int {
    switch phase {
    case .draining, .restarting, .awaitingReadiness, .probation: 0
    case .failed: 1
    case .waiting, nil: 2
    case .completed: 3
    }
  }

  // MARK: Its line

  private static let wordWidth = RestartPhase.allCases.map { word($0).count }.max() ?? 0
  private static let timeWidth = "59min 59s".count
  private static let inFlightWidth = "99 in flight".count

  func line(nameWidth: Int, at now: Duration) -> ScreenLine {
    var line = ScreenLine()
    let name = shortened(name, columns: nameWidth)
    line.append(name, width: nameWidth)
    let word = phase.map(Self.word) ?? (found == nil ? "preflight" : "checked")
    line.append(word, width: Self.wordWidth, colour: colour)
    switch phase {
    case .waiting, nil: line.append(versions)
    case .failed: line.append(reason ?? "")
    case .completed:
      if let beganAt, let endedAt {
        line.append(figure: shortDuration(endedAt - beganAt), width: Self.timeWidth)
      }
    case .draining, .restarting, .awaitingReadiness, .probation:
      let elapsed = max(.zero, now - phaseBeganAt)
      line.append(figure: shortDuration(elapsed), width: Self.timeWidth)
      line.append(figure: inFlight.map { "\($0) in flight" } ?? "", width: Self.inFlightWidth)
      if let timeout { line.appendBar(elapsed / timeout, label: "of \(shortDuration(timeout))") }
    }
    return line
  }

  /// Short enough that a bar has room beside it on 80 columns.
  private static func word(_ phase: RestartPhase) -> String {
    phase == .awaitingReadiness ? "readiness" : phase.words
  }

  private var versions: String {
    guard let found else { return "" }
    let parts = [found.versionRunning, found.versionOnDisk.map { "\($0) on disk" }].compactMap { $0 }
    return parts.joined(separator: ", ")
  }

  private var colour: String? {
    switch phase {
    case .draining, .restarting, .awaitingReadiness, .probation: "33"
    case .completed: "32"
    case .failed: "31"
    case .waiting, nil: nil
    }
  }
}

/// A line of cells with two blanks between them, which is cut to what there is room for.
struct ScreenLine {
  private struct Cell {
    var text: String
    var colour: String?
    /// True for what a part of would be wrong.
    var isFigure: Bool
  }

  private var cells: [Cell] = []
  private var bar: (part: Double, label: String)?

  private static let gap = 2
  private static let bars = 6...30

  /// Appends a cell, filled with blanks to `width` columns.
  ///
  /// - Parameter colour: a parameter of SGR (ECMA-48 8.3.117).
  mutating func append(_ text: String, width: Int = 0, colour: String? = nil) {
    let blanks = String(repeating: " ", count: max(0, width - columns(of: text)))
    cells.append(Cell(text: text + blanks, colour: colour, isFigure: false))
  }

  /// Appends a cell that is filled with blanks in front, and is there as a whole or not at all.
  mutating func append(figure text: String, width: Int) {
    let blanks = String(repeating: " ", count: max(0, width - columns(of: text)))
    cells.append(Cell(text: blanks + text, colour: nil, isFigure: true))
  }

  /// A bar at the end, as long as there is room, and what it is measured against.
  ///
  /// - Parameter part: how much of it is full, 0 to 1; more is full.
  mutating func appendBar(_ part: Double, label: String) { bar = (part, label) }

  /// The line in at most so many columns. What does not fit is cut, a figure left out, and all behind it too; a bar is
  /// there only if it fits.
  func text(columns limit: Int, colours: Bool) -> String {
    var text = ""
    var used = 0
    for (number, cell) in cells.enumerated() {
      let gap = number == 0 ? 0 : Self.gap
      guard used + gap + (cell.isFigure ? columns(of: cell.text) : 1) <= limit else { break }
      let shown = beginning(of: cell.text, columns: limit - used - gap)
      text += String(repeating: " ", count: gap)
      text += colours ? cell.colour.map { "\u{1B}[\($0)m\(shown)\u{1B}[0m" } ?? shown : shown
      used += gap + columns(of: shown)
    }
    if let bar {
      let room = limit - used - Self.gap - "[] ".count - columns(of: bar.label)
      if room >= Self.bars.lowerBound {
        let length = min(room, Self.bars.upperBound)
        let full = Int((min(max(0, bar.part), 1) * Double(length)).rounded(.down))
        text += "  [" + String(repeating: "#", count: full) + String(repeating: ".", count: length - full)
        text += "] \(bar.label)"
      }
    }
    while text.hasSuffix(" ") { text.removeLast() }
    return text
  }
}
