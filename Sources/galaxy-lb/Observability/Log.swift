import Glibc
import Synchronization
import SystemCalls

/// The log on standard error: one event, one line, one write(2).
///
/// It may be used from every thread. A line is `TIME LEVEL message key=value ...` with the time in UTC; when
/// standard error is systemd's journal, which keeps time and level itself, the time is left out and the priority
/// stands in front as `<N>` (sd-daemon(3)). Nothing here waits for anything but write(2), and a line that can't
/// be written is lost: there is nobody to tell.
final class Log: Sendable {
  /// How the beginning of a line looks.
  enum Style: Sendable {
    /// `2026-01-31T12:00:00.000Z INFO `
    case timestamped
    /// `<6>INFO `
    case journal
  }

  private let descriptor: Int32
  private let style: Style
  private let threshold: Atomic<Int>

  /// A log on `descriptor`, which is borrowed and must stay open.
  init(level: LogLevel, descriptor: Int32, style: Style) {
    self.descriptor = descriptor
    self.style = style
    threshold = Atomic(level.rawValue)
  }

  /// The log of the process on standard error, in the journal's style if that is where it goes.
  convenience init(level: LogLevel) {
    let stream = getenv("JOURNAL_STREAM").map { String(cString: $0) }
    let isJournal = Self.isJournal(STDERR_FILENO, journalStream: stream)
    self.init(level: level, descriptor: STDERR_FILENO, style: isJournal ? .journal : .timestamped)
  }

  /// The lowest level that is written. A reload may change it while other threads log.
  var level: LogLevel {
    get { LogLevel(rawValue: threshold.load(ordering: .relaxed)) ?? .info }
    set { threshold.store(newValue.rawValue, ordering: .relaxed) }
  }

  /// Fields of a line in the order in which they are written. Keys are literals of this program.
  typealias Fields = KeyValuePairs<StaticString, any CustomStringConvertible>

  /// For somebody who looks for a fault in the proxy itself.
  func debug(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
    write(.debug, message, fields)
  }

  /// What happens in regular service.
  func info(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
    write(.info, message, fields)
  }

  /// Regular, but rare enough that an administrator wants to see it: started, reloaded, restarted, stopped.
  func notice(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
    write(.notice, message, fields)
  }

  /// Service goes on, but something should be looked at.
  func warning(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
    write(.warning, message, fields)
  }

  /// Something that was asked for was not done.
  func error(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
    write(.error, message, fields)
  }

  private func write(_ level: LogLevel, _ message: () -> String, _ fields: () -> Fields) {
    guard level.rawValue >= threshold.load(ordering: .relaxed) else { return }
    let prefix =
      switch style {
      case .timestamped: "\(Timestamp.now()) \(level.label) "
      case .journal: "<\(level.priority)>\(level.label) "
      }
    var line = LogLine(prefix: prefix)
    line.append(message: message())
    for (key, value) in fields() { line.append(field: key.description, value.description) }
    line.finished().withUnsafeBytes { bytes in
      _ = try? retryingInterrupts("write") { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }
  }

  /// True when the open file `descriptor` is the one that systemd describes in `JOURNAL_STREAM` as
  /// `DEVICE:INODE` (systemd.exec(5)). The variable alone proves nothing: a shell in between may have redirected
  /// standard error and passed the environment on.
  static func isJournal(_ descriptor: Int32, journalStream: String?) -> Bool {
    guard let numbers = journalStream?.split(separator: ":", omittingEmptySubsequences: false),
      numbers.count == 2, let device = UInt64(numbers[0]), let inode = UInt64(numbers[1])
    else { return false }
    var status = stat()
    return fstat(descriptor, &status) == 0 && status.st_dev == device && status.st_ino == inode
  }
}

extension LogLevel {
  /// The word in a line of the log.
  var label: String {
    switch self {
    case .debug: "DEBUG"
    case .info: "INFO"
    case .notice: "NOTICE"
    case .warning: "WARNING"
    case .error: "ERROR"
    }
  }

  /// The priority of syslog(3), as the journal wants it.
  var priority: Int {
    switch self {
    case .debug: 7
    case .info: 6
    case .notice: 5
    case .warning: 4
    case .error: 3
    }
  }
}
