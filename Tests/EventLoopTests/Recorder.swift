import Glibc
import SystemCalls
import Testing

@testable import EventLoop

/// What happened to the channels of one test, in order. Confined to the loop's thread.
final class Journal {
  enum Entry: Equatable {
    case ready(String, UInt8)
    case ran(String, Phase)
    case received(String, String)
    case ended(String)
    case failed(String, Int32)
    case deadline(String)
    case gone(String)
  }

  private(set) var entries: [Entry] = []

  func note(_ entry: Entry) { entries.append(entry) }
}

/// A channel that writes down what it is told, and does what the test says.
final class Recorder: Channel {
  let name: String
  let journal: Journal
  var whenReady: ((Recorder, Readiness) -> Void)?
  var whenRun: ((Recorder, Phase) -> Void)?
  var whenDue: ((Recorder) -> Void)?

  init(_ name: String, _ journal: Journal, on loop: EventLoop, owning descriptor: Int32) {
    self.name = name
    self.journal = journal
    super.init(loop: loop, owning: descriptor)
  }

  override func becameReady(_ news: Readiness) {
    journal.note(.ready(name, news.rawValue))
    whenReady?(self, news)
  }

  override func run(_ phase: Phase) {
    journal.note(.ran(name, phase))
    whenRun?(self, phase)
  }

  override func deadlinePassed() {
    journal.note(.deadline(name))
    whenDue?(self)
  }

  /// Receives until there is nothing more for now; true when the connection is over.
  @discardableResult
  func drain(pieces: Int = 4096) -> Bool {
    var buffer = [UInt8](repeating: 0, count: pieces)
    while true {
      switch buffer.withUnsafeMutableBytes({ receive(into: $0) }) {
      case .bytes(let count): journal.note(.received(name, String(decoding: buffer[..<count], as: UTF8.self)))
      case .wouldBlock: return false
      case .end:
        journal.note(.ended(name))
        return true
      case .failed(let code):
        journal.note(.failed(name, code))
        return true
      }
    }
  }

  deinit { journal.note(.gone(name)) }
}

/// Stops the loop, and fails the test, when it does not come to its end within a generous time.
final class Watchdog: Timed {
  private let loop: EventLoop
  private let location: SourceLocation

  init(_ loop: EventLoop, _ location: SourceLocation) {
    self.loop = loop
    self.location = location
  }

  override func deadlinePassed() {
    Issue.record("the loop did not come to its end", sourceLocation: location)
    loop.stop()
  }
}

/// A deadline that calls a closure.
final class Reminder: Timed {
  private let body: () -> Void
  init(_ body: @escaping () -> Void) { self.body = body }
  override func deadlinePassed() { body() }
}

extension EventLoop {
  /// Runs until `stop`, for at most 20 s.
  func runBounded(sourceLocation: SourceLocation = #_sourceLocation) {
    let watchdog = Watchdog(self, sourceLocation)
    setDeadline(of: watchdog, in: 20_000)
    run()
    remove(watchdog)
  }

  /// Runs until the phases of a turn that begins now have run, those queued for it included.
  func runOneTurn(sourceLocation: SourceLocation = #_sourceLocation) {
    let end = Reminder { [unowned self] in stop() }
    setDeadline(of: end, in: 0)
    runBounded(sourceLocation: sourceLocation)
    remove(end)
  }
}
