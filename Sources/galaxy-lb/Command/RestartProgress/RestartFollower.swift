import Glibc
import JSON
import SystemCalls

/// Follows a restart to its end, or until somebody wants to go: shows the lines as they come, and minds signals.
final class RestartFollower: AnswerFollower {
  /// Why it is not followed any more although it goes on.
  enum Departure: Equatable {
    case signal(Int32)
    /// Nobody reads standard output.
    case outputClosed
  }

  private let signals: SignalDescriptor
  private var display: RestartDisplay
  private var hasComplained = false
  /// How it ended; nil as long as the proxy has not said so.
  private(set) var end: RestartEnd?
  private(set) var departure: Departure?

  /// From now on the signals that end a program, and those that concern a screen, wait to be read; a closed pipe is an
  /// error of write(2).
  init(_ display: RestartDisplay) throws(SystemError) {
    signal(SIGPIPE, SIG_IGN)
    signals = try SignalDescriptor([SIGINT, SIGTERM, SIGWINCH, SIGCONT])
    self.display = display
  }

  var descriptor: Int32 { signals.number }

  func take(_ line: [UInt8], _ json: JSON) {
    guard end == nil else { return }
    let said = RestartLine(json)
    display.take(line, said)
    if case .finished(let end) = said { self.end = end }
  }

  func attend() -> Duration? {
    while let number = signals.next() {
      switch number {
      case SIGWINCH: break
      // After Ctrl-Z the shell has written below the frame.
      case SIGCONT: display.beginAnew()
      default: departure = .signal(number)
      }
    }
    if end != nil { return nil }
    display.draw()
    noteOutput()
    return departure == nil ? display.tick ?? Self.longestPause : nil
  }

  /// Says the summary if the restart has come to its end; else what was shown stays.
  func finish() {
    if let end { display.end(with: end) } else { display.leave() }
    noteOutput()
  }

  /// A hook, or a preflight, may take longer than the client is patient, and has nothing to tell meanwhile: what counts
  /// is whether the proxy still answers, and says that the restart goes on.
  func toleratesSilence(of path: String) -> Bool {
    do throws(ControlClient.Failure) {
      let client = try ControlClient(path, patience: Self.patienceWithQuestion)
      let (status, document) = try client.request("GET", "/v1/restart")
      return status == 200 && document["state"]?.asString == "running"
    } catch {
      return false
    }
  }

  private static let longestPause = Duration.seconds(3600)
  private static let patienceWithQuestion = Duration.seconds(5)

  /// Whoever closes the pipe wants to hear no more, as of every program. What else is wrong, a full disk perhaps, is
  /// no reason not to learn how the restart ends.
  private func noteOutput() {
    guard let failure = display.failure, !hasComplained else { return }
    hasComplained = true
    if failure.code == EPIPE {
      if end == nil { departure = .outputClosed }
    } else {
      complain("cannot write to standard output: \(failure)")
    }
  }
}
