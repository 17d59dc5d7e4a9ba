import HTTP1
import SystemCalls

/// What a loop has gathered for its access log, as a value.
///
/// An entry is only noted when its request is over; lines are made of many at once. That costs less, because the code
/// and the data for it stay in the caches, which the kernel and the rest of a request use in between.
struct AccessLogBatch: ~Copyable {
  private struct Note {
    var entry: AccessLogEntry
    /// Where its texts begin in `texts`; they end where those of the next note begin.
    var textStart: Int
    /// Milliseconds since 1970-01-01T00:00:00Z.
    var time: Int64
  }

  private let format: AccessLogSettings.Format
  private var notes = ContiguousArray<Note>()
  private var texts = ByteBuffer()
  private var lines = ByteBuffer()
  private var lineCount = 0
  private var clock = AccessLogClock()

  /// So many entries, or bytes of texts, are made lines at once.
  private static let mostNotes = 64
  private static let mostTexts = 65_536
  /// A batch of so many bytes of lines does not wait for more.
  static let fullSize = 65_536

  init(_ format: AccessLogSettings.Format) {
    self.format = format
    notes.reserveCapacity(Self.mostNotes)
  }

  /// Notes a request that is over. Returns true when the batch is to be handed over now.
  ///
  /// - Parameters:
  ///   - bytes: those that `places` is about.
  ///   - unsentBytes: of those sent according to `record`, the ones that the client did not take.
  mutating func append(
    _ bytes: UnsafeRawBufferPointer, _ places: LoggedTexts, _ record: ExchangeRecord, from peer: Peer,
    unsentBytes: Int
  ) -> Bool {
    notes.append(
      Note(
        entry: AccessLogEntry(client: peer.address, texts: places, record: record),
        textStart: texts.count, time: AccessLogClock.now()))
    notes[notes.count - 1].entry.record.bytesSent -= Int64(unsentBytes)
    texts.append(bytes)
    guard notes.count >= Self.mostNotes || texts.count >= Self.mostTexts else { return false }
    makeLines()
    return lines.count >= Self.fullSize
  }

  private mutating func makeLines() {
    for index in notes.indices {
      let start = notes[index].textStart
      let end = index + 1 < notes.count ? notes[index + 1].textStart : texts.count
      clock.set(notes[index].time)
      notes[index].entry.append(
        UnsafeRawBufferPointer(rebasing: texts.bytes[start..<end]), to: &lines, as: format, at: clock)
    }
    lineCount += notes.count
    notes.removeAll(keepingCapacity: true)
    texts.removeAllKeepingMemory()
  }

  /// Lends the lines, if there are any, and their number to `body`, and begins anew in the same memory.
  mutating func handOver(_ body: (UnsafeRawBufferPointer, Int) -> Void) {
    makeLines()
    guard !lines.isEmpty else { return }
    body(lines.bytes, lineCount)
    lines.removeAllKeepingMemory()
    lineCount = 0
  }
}
