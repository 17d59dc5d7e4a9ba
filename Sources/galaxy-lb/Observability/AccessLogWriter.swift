import Glibc
import SystemCalls

/// The main thread's side of the access log: which one is in force, and the one thread that writes.
final class AccessLogWriter {
  /// The access log in force; nil when it is off.
  private(set) var current: AccessLog?
  private var settings = AccessLogSettings()
  private let queue: AccessLogQueue
  private let log: Log
  private var thread: Thread?

  /// How long a stop waits for a destination that takes nothing, in milliseconds.
  private static let patience: Int64 = 5_000

  /// Nothing is opened or started before `use`.
  init(log: Log) throws(SystemError) {
    self.log = log
    queue = try AccessLogQueue()
  }

  /// Puts an access log in force. Nothing changes when it can't be opened.
  func use(_ next: AccessLogSettings) throws(AccessLogFailure) {
    guard next != settings else { return }
    do throws(SystemError) {
      let destination: AccessLogDestination? =
        switch next.destination {
        case .off: nil
        case .standardError: try AccessLogDestination(duplicating: STDERR_FILENO)
        case .file(let path): try AccessLogDestination(path: path)
        }
      if destination != nil, thread == nil {
        let (queue, log) = (queue, log)
        thread = try Thread {
          var writer = AccessLogThread(queue, log: log)
          writer.run()
        }
      }
      current = destination.map { AccessLog(next.format, $0, queue) }
    } catch {
      throw AccessLogFailure(destination: next.destination, reason: error)
    }
    settings = next
  }

  /// Opens the file anew after it was renamed.
  func reopen() {
    if let current { queue.reopen(current.destination) }
  }

  /// Waits until all that was handed over is written, but not for ever: a disk or a pipe may take nothing any more.
  func finish() {
    guard let thread = thread.take() else { return }
    queue.close()
    if queue.awaitEnd(milliseconds: Self.patience) {
      thread.join()
    } else {
      log.error("access log lines lost", ["lines": queue.giveUp(), "reason": "nothing is taken any more"])
    }
  }
}

/// An access log that can't be used.
struct AccessLogFailure: Error, CustomStringConvertible {
  let destination: AccessLogSettings.Destination
  let reason: SystemError

  var description: String {
    switch destination {
    case .file(let path): "cannot open the access log '\(path)': \(reason)"
    case .off, .standardError: "cannot start the access log: \(reason)"
    }
  }
}

/// The thread that writes the access log: takes what the loops hand over and writes it, and may wait for a disk as
/// long as that takes.
struct AccessLogThread {
  private let queue: AccessLogQueue
  private let log: Log
  /// Taken and not written, the last one first; of that all before `position` is written.
  private var pieces: [AccessLogBacklog.Piece] = []
  private var position = 0
  private var isFailing = false
  /// Milliseconds of the monotonic clock.
  private var nextAttempt: Int64 = 0
  private var nextReport: Int64 = 0

  /// After a failure writing is tried again so often, and lines that were lost are told no more often, in
  /// milliseconds.
  private static let pause: Int64 = 1_000

  init(_ queue: AccessLogQueue, log: Log) {
    self.queue = queue
    self.log = log
  }

  /// Returns when it was told to close and all is written or given up.
  mutating func run() {
    var isClosing = false
    var lost = 0
    while !isClosing {
      let due = isFailing ? nextAttempt : lost > 0 ? nextReport : nil
      queue.awaitNews(milliseconds: due.map { max(0, $0 - Self.now) })
      let orders = queue.takeOrders()
      isClosing = orders.closes
      if let destination = orders.reopens { reopen(destination) }
      // While writing fails, new lines are no reason to try again.
      if isClosing || !isFailing || Self.now >= nextAttempt { writeAll(untilEmpty: isClosing) }
      lost += queue.takeLost()
      if lost > 0, !isFailing, isClosing || Self.now >= nextReport {
        report(lost)
        lost = 0
      }
    }
    lost += queue.giveUp()
    if lost > 0 { report(lost) }
    queue.tellEnd()
  }

  private mutating func report(_ lost: Int) {
    log.warning("access log lines lost", ["lines": lost])
    nextReport = Self.now + Self.pause
  }

  /// Writes what there is; `untilEmpty` also what comes meanwhile.
  private mutating func writeAll(untilEmpty: Bool) {
    repeat {
      if pieces.isEmpty { pieces = queue.take().reversed() }
    } while writePieces() && untilEmpty
  }

  /// False when nothing is left, or writing failed.
  private mutating func writePieces() -> Bool {
    guard !pieces.isEmpty else { return false }
    while var piece = pieces.popLast() {
      let start = position
      do {
        position = try piece.destination.write(piece.bytes, from: start)
      } catch {
        failed(piece.destination, error)
        pieces.append(piece)
        return false
      }
      if isFailing {
        isFailing = false
        log.notice("the access log is written again", ["destination": piece.destination])
      }
      let isWhole = start == 0 && position == piece.bytes.count
      queue.written(lineCount: isWhole ? piece.lineCount : lineCount(piece.bytes[start..<position]))
      if position < piece.bytes.count {
        pieces.append(piece)
      } else {
        position = 0
        queue.done(&piece)
      }
    }
    return true
  }

  private func lineCount(_ bytes: ArraySlice<UInt8>) -> Int {
    bytes.reduce(0) { $1 == 0x0A ? $0 + 1 : $0 }
  }

  private mutating func failed(_ destination: AccessLogDestination, _ error: SystemError) {
    if !isFailing {
      isFailing = true
      log.error("the access log can't be written", ["destination": destination, "error": error])
    }
    nextAttempt = Self.now + Self.pause
  }

  private mutating func reopen(_ destination: AccessLogDestination) {
    do {
      try destination.reopen()
      log.notice("access log reopened", ["destination": destination])
    } catch {
      log.error(
        "the access log can't be reopened, the old file stays in use",
        ["destination": destination, "error": error])
      return
    }
    // A line of which the old file has got a part belongs into the new one as a whole.
    if let piece = pieces.last, piece.destination === destination {
      position = startOfLine(in: piece.bytes, at: position)
    }
    nextAttempt = 0
  }

  private static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}
