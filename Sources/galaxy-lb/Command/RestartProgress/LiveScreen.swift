import SystemCalls

/// The lines at the end of a terminal's text that are written anew in place while other lines scroll by above them
/// (ECMA-48: CUU 8.3.22, ED 8.3.39, EL 8.3.41). The cursor stands below them, and is never hidden: whatever ends the
/// program, there is nothing to be put back in order.
struct LiveScreen {
  /// What is shown, without what it was cut to.
  private var frame: [String] = []

  private static let clearToEndOfLine = "\u{1B}[K"
  private static let clearToEndOfScreen = "\u{1B}[J"

  /// What to write so that the screen shows `frame`, and `lines` once above it. Empty when it shows that already.
  ///
  /// - Parameter frame: lines that are narrower than the screen, fewer than it has rows.
  mutating func show(_ frame: [String], above lines: [String] = [], on size: WindowSize) -> String {
    guard frame != self.frame || !lines.isEmpty else { return "" }
    var text = up(on: size)
    if lines.isEmpty {
      for line in frame { text += line + Self.clearToEndOfLine + "\n" }
      text += Self.clearToEndOfScreen
    } else {
      // These may be wider than the screen, which then breaks them.
      text += Self.clearToEndOfScreen + (lines + frame).map { $0 + "\n" }.joined()
    }
    self.frame = frame
    return text
  }

  /// What to write so that nothing of the frame is left.
  mutating func clear(on size: WindowSize) -> String {
    defer { frame = [] }
    return frame.isEmpty ? "" : up(on: size) + Self.clearToEndOfScreen
  }

  /// Somebody else has written on the screen: what is there stays, and the frame begins below it.
  mutating func leave() { frame = [] }

  /// To the first row of the frame. Terminals break its lines anew when they become narrower, so that it may have more
  /// rows by now.
  private func up(on size: WindowSize) -> String {
    let rows = frame.reduce(0) { $0 + max(1, (columns(of: $1) + size.columns - 1) / size.columns) }
    return rows == 0 ? "" : "\r\u{1B}[\(min(rows, size.rows))A"
  }
}
