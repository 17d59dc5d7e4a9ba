/// The field lines of one head or trailer section, as offsets into its bytes, with what they say about framing
/// and the connection. The storage is used again for the next head.
struct FieldSection: Sendable {
  private(set) var lines: ContiguousArray<FieldLine> = []
  private(set) var contentLength: Int64?
  /// True when there is one Content-Length line with one number in its shortest form, which can go on as it is:
  /// of leading zeros some readers take only so many.
  private(set) var hasPlainContentLength = false
  private(set) var hasTransferEncoding = false
  /// How often `chunked` stands in Transfer-Encoding, over all lines.
  private(set) var chunkedCount = 0
  /// True when Transfer-Encoding names a coding other than chunked.
  private(set) var hasOtherCoding = false
  /// The first Host line, and whether there are more.
  private(set) var hostLine: Int?
  private(set) var hasRepeatedHost = false
  private(set) var connection = ConnectionOptions()
  /// The kinds of names that occur, for a quick answer to "is there any".
  private(set) var names = FieldNameSet()

  /// Connection options are compared with every field, so there is a bound on them.
  static let longestConnectionOptions = 64

  mutating func removeAll() {
    lines.removeAll(keepingCapacity: true)
    contentLength = nil
    hasPlainContentLength = false
    hasTransferEncoding = false
    chunkedCount = 0
    hasOtherCoding = false
    hostLine = nil
    hasRepeatedHost = false
    connection = ConnectionOptions()
    names = []
  }

  /// What differs between the readers of requests and of responses.
  struct Rules {
    var classifier: FieldNameClassifier
    var maximumFields: Int
    /// RFC 9112 5.1: blanks between name and colon are refused in a request and removed from a response.
    var removesBlanksBeforeColon: Bool
    /// Whether names with `_` that collide with protected ones are dropped (what WSGI makes of requests).
    var dropsCollisions: Bool
  }

  /// The end of the section, or why there is none (yet).
  enum Progress {
    case incomplete
    case end(Int)
    case rejected(Rejection)
  }

  /// Reads lines from `start` to the empty line, all of it anew in every call.
  mutating func read(_ bytes: Span<UInt8>, from start: Int, rules: Rules) -> Progress {
    var index = start
    while true {
      guard index < bytes.count else { return .incomplete }
      if bytes[index] == ASCII.carriageReturn {
        guard index + 1 < bytes.count else { return .incomplete }
        guard bytes[index + 1] == ASCII.lineFeed else { return .rejected(.bareLineEnd) }
        return settle(bytes, end: index + 2)
      }
      switch readLine(bytes, at: index, rules: rules) {
      case .end(let next): index = next
      case let other: return other
      }
    }
  }

  private mutating func readLine(
    _ bytes: Span<UInt8>, at start: Int, rules: Rules
  ) -> Progress {
    guard lines.count < rules.maximumFields else { return .rejected(.tooManyFields) }
    let shape: LineShape
    if let plain = LineShape(plain: bytes, at: start) {
      shape = plain
    } else {
      switch LineShape.read(bytes, at: start, removesBlanksBeforeColon: rules.removesBlanksBeforeColon) {
      case .line(let found): shape = found
      case .incomplete: return .incomplete
      case .rejected(let reason): return .rejected(reason)
      }
    }
    let nameRange = start..<shape.nameEnd
    let name = rules.classifier.classify(bytes, nameRange)
    let collides =
      rules.dropsCollisions
      && rules.classifier.collides(bytes, nameRange, name: name, hasUnderscore: shape.hasUnderscore)
    lines.append(
      FieldLine(
        start: UInt32(truncatingIfNeeded: start), nameEnd: UInt32(truncatingIfNeeded: shape.nameEnd),
        valueStart: UInt32(truncatingIfNeeded: shape.valueStart),
        valueEnd: UInt32(truncatingIfNeeded: shape.valueEnd), end: UInt32(truncatingIfNeeded: shape.end),
        name: name, isDropped: collides, isCanonical: shape.isCanonical))
    if name != .other, let rejection = note(name, shape.valueStart..<shape.valueEnd, bytes) {
      return .rejected(rejection)
    }
    return .end(shape.end)
  }

  /// Takes in what a field says about framing and connection.
  private mutating func note(
    _ name: FieldName, _ value: Range<Int>, _ bytes: Span<UInt8>
  ) -> Rejection? {
    names.insert(FieldNameSet(name))
    switch name {
    case .host:
      if hostLine == nil { hostLine = lines.count - 1 } else { hasRepeatedHost = true }
    case .contentLength:
      // RFC 9112 6.3 item 5: a list of identical values may be taken as that value.
      let single = Self.decimal(bytes, value)
      guard let length = single ?? Self.contentLength(bytes, value) else { return .malformedContentLength }
      if let known = contentLength, known != length { return .conflictingContentLength }
      hasPlainContentLength =
        single != nil && contentLength == nil && (value.count == 1 || bytes[value.lowerBound] != 0x30)
      contentLength = length
    case .transferEncoding:
      hasTransferEncoding = true
      var rest = value
      while let coding = bytes.nextListElement(in: &rest) {
        if bytes.equals("chunked", in: coding) { chunkedCount += 1 } else { hasOtherCoding = true }
      }
    case .connection:
      guard connection.note(bytes, value) else { return .tooManyConnectionOptions }
    default: break
    }
    return nil
  }

  /// The number that a Content-Length value stands for: 1*DIGIT, or a list of such that are all the same.
  private static func contentLength(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Int64? {
    var result: Int64?
    var start = value.lowerBound
    while start <= value.upperBound {
      var end = start
      while end < value.upperBound && bytes[end] != ASCII.comma { end += 1 }
      let element = bytes.trimmed(start..<end)
      guard let number = decimal(bytes, element), result == nil || result == number else { return nil }
      result = number
      start = end + 1
    }
    return result
  }

  private static func decimal(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int64? {
    guard !range.isEmpty else { return nil }
    var number: Int64 = 0
    for index in range {
      guard ASCII.isDigit(bytes[index]) else { return nil }
      let (product, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int64(bytes[index] &- 0x30))
      guard !overflow, !carry else { return nil }
      number = sum
    }
    return number
  }

  /// Marks what Connection nominates, once all lines are there.
  private mutating func settle(_ bytes: Span<UInt8>, end: Int) -> Progress {
    guard connection.nominatesOthers else { return .end(end) }
    let kept = FieldNameSet.framing.union(.edge)
    for line in lines.indices where lines[line].name == .connection {
      var rest = lines[line].valueRange
      while let option = bytes.nextListElement(in: &rest) {
        for index in lines.indices
        where !kept.contains(lines[index].name) && bytes.equalIgnoringCase(lines[index].nameRange, option) {
          lines[index].isDropped = true
        }
      }
    }
    return .end(end)
  }
}

/// What the Connection fields of a message say (RFC 9110 7.6.1).
struct ConnectionOptions: Sendable {
  private(set) var close = false
  private(set) var keepAlive = false
  private(set) var upgrade = false
  /// True when a name other than these three is given.
  private(set) var nominatesOthers = false
  private var count = 0

  /// Takes in one line; false when there are too many options.
  mutating func note(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
    var rest = value
    while let option = bytes.nextListElement(in: &rest) {
      count += 1
      if bytes.equals("close", in: option) {
        close = true
      } else if bytes.equals("keep-alive", in: option) {
        keepAlive = true
      } else if bytes.equals("upgrade", in: option) {
        upgrade = true
      } else {
        nominatesOthers = true
      }
    }
    return count <= FieldSection.longestConnectionOptions
  }
}
