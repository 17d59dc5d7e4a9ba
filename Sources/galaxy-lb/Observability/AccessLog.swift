import Synchronization
import SystemCalls

/// An access log in force: how its lines look and where they go. All loops share it; each gathers lines in an
/// `AccessLogRecorder`.
final class AccessLog: Sendable {
  let format: AccessLogSettings.Format
  let destination: AccessLogDestination
  private let queue: AccessLogQueue

  init(_ format: AccessLogSettings.Format, _ destination: AccessLogDestination, _ queue: AccessLogQueue) {
    self.format = format
    self.destination = destination
    self.queue = queue
  }

  /// Queues whole lines for the writer, from any thread. Never waits for it: see `AccessLogBacklog`.
  func add(_ lines: UnsafeRawBufferPointer, lineCount: Int) {
    queue.add(lines, lineCount: lineCount, for: destination)
  }

  /// Has the writer write what is queued.
  func flush() { queue.flush() }
}

/// What the threads of the process and the writer of the access log share.
final class AccessLogQueue: Sendable {
  /// What the main thread asks of the writer, besides writing.
  struct Orders: Sendable {
    var reopens: AccessLogDestination?
    var closes = false
  }

  private struct Contents: Sendable {
    var backlog = AccessLogBacklog()
    var orders = Orders()
  }

  private let contents = Mutex(Contents())
  private let news: WakeUp
  private let end: WakeUp

  init() throws(SystemError) {
    news = try WakeUp()
    end = try WakeUp()
  }

  // MARK: Every thread

  func add(_ lines: UnsafeRawBufferPointer, lineCount: Int, for destination: AccessLogDestination) {
    let wakes = contents.withLock { $0.backlog.add(lines, lineCount: lineCount, for: destination) }
    if wakes { news.signal() }
  }

  func flush() {
    if contents.withLock({ $0.backlog.call() }) { news.signal() }
  }

  // MARK: The main thread

  func reopen(_ destination: AccessLogDestination) {
    contents.withLock { $0.orders.reopens = destination }
    news.signal()
  }

  func close() {
    contents.withLock { $0.orders.closes = true }
    news.signal()
  }

  /// False when the writer has not ended in time.
  func awaitEnd(milliseconds: Int64) -> Bool { end.wait(milliseconds: milliseconds) }

  // MARK: The writer

  /// Returns when there is news, or after a time; nil waits for news only.
  func awaitNews(milliseconds: Int64?) { _ = news.wait(milliseconds: milliseconds) }

  func takeOrders() -> Orders {
    contents.withLock { contents in
      let orders = contents.orders
      contents.orders.reopens = nil
      return orders
    }
  }

  func take() -> [AccessLogBacklog.Piece] { contents.withLock { $0.backlog.take() } }

  func written(lineCount: Int) { contents.withLock { $0.backlog.written(lineCount: lineCount) } }

  func done(_ piece: inout AccessLogBacklog.Piece) { contents.withLock { $0.backlog.done(&piece) } }

  func takeLost() -> Int { contents.withLock { $0.backlog.takeLost() } }

  /// What is not written is lost; returns how many lines that are, with those lost before.
  func giveUp() -> Int {
    contents.withLock {
      $0.backlog.giveUp()
      return $0.backlog.takeLost()
    }
  }

  func tellEnd() { end.signal() }
}
