import Glibc
import JSON
import SystemCalls

/// Shows a restart on standard output while it goes on: as a live view on a terminal, as plain lines elsewhere, or as
/// the proxy tells it.
struct RestartDisplay {
  private enum Form {
    case json
    case plain(RestartPlainText)
    case live(RestartView, LiveScreen)
  }

  private var form: Form
  /// Why nothing can be written any more.
  private(set) var failure: SystemError?

  private static let fallbackSize = WindowSize(columns: 80, rows: 24)
  /// The times on the screen are whole seconds.
  private static let tick = Duration.milliseconds(250)

  /// - Parameter json: as the proxy tells it, whatever standard output is.
  init(json: Bool, environment: [String: String] = environmentVariables()) {
    if json {
      form = .json
    } else if isatty(STDOUT_FILENO) == 0 || ["", "dumb"].contains(environment["TERM", default: ""]) {
      form = .plain(RestartPlainText())
    } else {
      form = .live(RestartView(colours: environment["NO_COLOR", default: ""].isEmpty), LiveScreen())
    }
  }

  /// After what time it wants to be drawn anew, though no line has come; nil for never.
  var tick: Duration? {
    if case .live = form { Self.tick } else { nil }
  }

  /// Shows what a line says; a live view is drawn by `draw`.
  mutating func take(_ bytes: [UInt8], _ line: RestartLine) {
    switch form {
    case .json: write(bytes + [UInt8(ascii: "\n")])
    case .plain(var text):
      let lines = text.take(line)
      form = .plain(text)
      write(lines)
    case .live(var view, var screen):
      let lines = view.take(line, at: monotonicTime())
      let text = lines.isEmpty ? "" : screen.show(frame(view), above: lines, on: size)
      form = .live(view, screen)
      write(Array(text.utf8))
    }
  }

  /// Brings a live view up to date.
  mutating func draw() {
    guard case .live(let view, var screen) = form else { return }
    let text = screen.show(frame(view), on: size)
    form = .live(view, screen)
    write(Array(text.utf8))
  }

  /// Somebody else has written on the terminal.
  mutating func beginAnew() {
    guard case .live(let view, var screen) = form else { return }
    screen.leave()
    form = .live(view, screen)
  }

  /// A live view stays as it is; what is written next comes below it, not behind the `^C` that terminals echo.
  mutating func leave() {
    guard case .live = form else { return }
    beginAnew()
    write(Array("\r\u{1B}[K".utf8))
  }

  /// The summary takes the place of a live view.
  mutating func end(with end: RestartEnd) {
    switch form {
    case .json: break
    case .plain: write(RestartSummary(end, colours: false).lines)
    case .live(let view, var screen):
      write(Array(screen.clear(on: size).utf8))
      write(RestartSummary(end, colours: view.colours).lines)
    }
  }

  private func frame(_ view: RestartView) -> [String] { view.frame(on: size, at: monotonicTime()) }

  private var size: WindowSize { WindowSize(of: STDOUT_FILENO) ?? Self.fallbackSize }

  private mutating func write(_ lines: [String]) {
    write(Array(lines.map { $0 + "\n" }.joined().utf8))
  }

  private mutating func write(_ bytes: [UInt8]) {
    guard !bytes.isEmpty, failure == nil else { return }
    do throws(SystemError) {
      try writeToStandardOutput(bytes)
    } catch {
      failure = error
    }
  }
}
