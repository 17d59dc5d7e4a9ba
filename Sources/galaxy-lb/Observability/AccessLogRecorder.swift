import EventLoop
import HTTP1
import SystemCalls

/// One loop's end of an access log: gathers lines and hands them over in batches. Confined to its loop.
final class AccessLogRecorder: Timed {
  let log: AccessLog
  private let loop: EventLoop
  private var batch: AccessLogBatch
  /// True while the deadline is set.
  private var isTimed = false

  /// A line waits no longer to be written, in milliseconds.
  private static let longestWait: Int64 = 200

  init(_ log: AccessLog, on loop: EventLoop) {
    self.log = log
    self.loop = loop
    batch = AccessLogBatch(log.format)
  }

  /// Writes an exchange down that is over, if the log was there when it began.
  func record(_ exchange: Exchange) {
    guard exchange.logged.isKept else { return }
    let client = exchange.client!
    var record = exchange.record
    record.poolName = exchange.pool?.pool.name
    record.upstreamName = exchange.lastUpstreamName
    // What the client has not taken when its connection ends, it never gets.
    let isFull = batch.append(
      exchange.logged.bytes, exchange.logged.texts, record, from: client.peer,
      unsentBytes: client.outbound.count)
    noted(isFull)
  }

  /// Writes a request down that never became an exchange.
  ///
  /// - Parameters:
  ///   - head: the bytes that came.
  ///   - status: of the answer; 0 for none.
  func record(
    _ head: UnsafeRawBufferPointer, from peer: Peer, status: Int, headBytesSent: Int, bytesSent: Int,
    _ reason: EndReason
  ) {
    var record = ExchangeRecord()
    record.status = status
    record.bytesReceived = Int64(head.count)
    record.headBytesSent = Int64(headBytesSent)
    record.bytesSent = Int64(bytesSent)
    record.reason = reason
    let line = LoggedHead.firstLine(of: head)
    let texts = LoggedTexts(request: line.map { 0..<UInt32($0.count) })
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    noted(batch.append(line ?? nothing, texts, record, from: peer, unsentBytes: 0))
  }

  private func noted(_ isFull: Bool) {
    if isFull { handOver() }
    guard !isTimed else { return }
    isTimed = true
    loop.setDeadline(of: self, in: Self.longestWait)
  }

  override func deadlinePassed() {
    isTimed = false
    handOver()
    log.flush()
  }

  /// Gives what was gathered to the writer, who may wait for more.
  private func handOver() {
    batch.handOver { log.add($0, lineCount: $1) }
  }

  /// Hands the last lines over; nothing is recorded after it.
  func close() {
    handOver()
    log.flush()
    loop.remove(self)
  }
}
