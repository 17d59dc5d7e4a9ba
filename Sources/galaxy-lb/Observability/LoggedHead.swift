import HTTP1

/// What the access log will say about a request's head, kept until its exchange is over. Used again it needs no new
/// memory.
struct LoggedHead: ~Copyable {
  private var memory = ByteBuffer()
  /// False when there was no access log as the request came; then it is in none.
  private(set) var isKept = false
  /// Where the texts stand in `bytes`.
  private(set) var texts = LoggedTexts()

  /// What is longer is cut there, so that a stranger can't make the log grow faster than with any other server.
  static let longestValue = 8192

  /// The texts one behind the other, valid until the next change.
  var bytes: UnsafeRawBufferPointer { memory.bytes }

  /// Keeps what the log tells of `head`, which was read from `source`.
  mutating func keep(_ head: RequestHead, _ source: Span<UInt8>) {
    isKept = true
    source.withUnsafeBytes { source in
      // Behind the target come a space and the version, `HTTP/1.1`.
      texts.request = append(source, head.method.lowerBound..<head.target.upperBound + 9)
      texts.host = head.authority.map { append(source, $0) }
      texts.referer = head.value(of: .referer).map { append(source, $0) }
      texts.userAgent = head.value(of: .userAgent).map { append(source, $0) }
    }
  }

  /// Keeps the request id that goes upstream, which stands in `source`.
  mutating func keep(requestID range: Range<Int>, _ source: UnsafeRawBufferPointer) {
    texts.requestID = append(source, range)
  }

  private mutating func append(_ source: UnsafeRawBufferPointer, _ range: Range<Int>) -> LoggedTexts.Place {
    let start = memory.count
    let isLong = range.count > Self.longestValue
    let kept = isLong ? range.prefix(Self.longestValue - 3) : range
    memory.append(UnsafeRawBufferPointer(rebasing: source[kept]))
    if isLong { memory.append("...") }
    return UInt32(start)..<UInt32(memory.count)
  }

  /// Forgets everything, and keeps the memory unless it is unusually much.
  mutating func clear() {
    guard isKept else { return }
    isKept = false
    texts = LoggedTexts()
    if memory.count <= Self.longestValue { memory.removeAllKeepingMemory() } else { memory.removeAll() }
  }

  /// The first line of bytes that are no request head, as far as it is there, without empty lines in front of it;
  /// nil when there is nothing else.
  static func firstLine(of bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard let start = bytes.firstIndex(where: { $0 != 0x0D && $0 != 0x0A }) else { return nil }
    let rest = bytes[start...].prefix(longestValue)
    let end = rest.firstIndex { $0 == 0x0D || $0 == 0x0A } ?? rest.endIndex
    return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
  }
}

/// Where the texts of a request stand in the bytes that hold them all; nil for one that is not known.
struct LoggedTexts {
  typealias Place = Range<UInt32>

  var request: Place?
  var host: Place?
  var referer: Place?
  var userAgent: Place?
  var requestID: Place?
}
