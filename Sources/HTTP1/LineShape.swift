/// Where the parts of a field line stand (RFC 9112 5).
struct LineShape: Equatable {
  var nameEnd: Int
  var valueStart: Int
  var valueEnd: Int
  /// Behind the line's CRLF.
  var end: Int
  var hasUnderscore: Bool
  /// See `FieldLine.isCanonical`.
  var isCanonical: Bool

  enum Found: Equatable {
    case line(LineShape)
    case incomplete
    case rejected(Rejection)
  }
}

extension LineShape {
  /// Reads a line as nearly all are: a name of letters and dashes, a colon, one SP, a value without HTAB that neither
  /// begins nor ends with a blank, CRLF. Nil for all others, good and bad, which `read` tells apart.
  @inline(__always)
  init?(plain bytes: Span<UInt8>, at start: Int) {
    let colon = bytes.endOfLettersAndDashes(from: start)
    guard colon > start, colon &+ 2 < bytes.count, bytes[colon] == ASCII.colon,
      bytes[colon &+ 1] == ASCII.space, bytes[colon &+ 2] > ASCII.space
    else { return nil }
    let end = bytes.firstStop(from: colon &+ 2, stoppingAtSpace: false)
    guard end &+ 1 < bytes.count, bytes[end] == ASCII.carriageReturn, bytes[end &+ 1] == ASCII.lineFeed,
      bytes[end &- 1] != ASCII.space
    else { return nil }
    self.init(
      nameEnd: colon, valueStart: colon &+ 2, valueEnd: end, end: end &+ 2, hasUnderscore: false,
      isCanonical: true)
  }

  /// Reads any line, or says what is wrong with it.
  static func read(_ bytes: Span<UInt8>, at start: Int, removesBlanksBeforeColon: Bool) -> Found {
    var index = start
    var hasUnderscore = false
    while true {
      index = bytes.endOfLettersAndDashes(from: index)
      guard index < bytes.count, ASCII.isToken(bytes[index]) else { break }
      if bytes[index] == 0x5F { hasUnderscore = true }
      index &+= 1
    }
    let nameEnd = index
    guard index < bytes.count else { return .incomplete }
    if ASCII.isBlank(bytes[index]) {
      if nameEnd == start { return .rejected(.lineFolding) }
      guard removesBlanksBeforeColon else { return .rejected(.whitespaceBeforeColon) }
      while index < bytes.count, ASCII.isBlank(bytes[index]) { index &+= 1 }
      guard index < bytes.count else { return .incomplete }
    }
    guard bytes[index] == ASCII.colon, nameEnd > start else {
      return .rejected(
        bytes[index] == ASCII.lineFeed && nameEnd == start ? .bareLineEnd : .malformedFieldName)
    }
    let colon = index
    index &+= 1
    while index < bytes.count, ASCII.isBlank(bytes[index]) { index &+= 1 }
    let valueStart = index
    while true {
      index = bytes.firstStop(from: index, stoppingAtSpace: false)
      guard index < bytes.count else { return .incomplete }
      if bytes[index] != ASCII.tab { break }
      index &+= 1
    }
    guard bytes[index] == ASCII.carriageReturn else {
      return .rejected(bytes[index] == ASCII.lineFeed ? .bareLineEnd : .malformedFieldValue)
    }
    guard index &+ 1 < bytes.count else { return .incomplete }
    guard bytes[index &+ 1] == ASCII.lineFeed else { return .rejected(.bareLineEnd) }
    let lineEnd = index &+ 2
    while index > valueStart, ASCII.isBlank(bytes[index &- 1]) { index &-= 1 }
    let isCanonical =
      colon == nameEnd && lineEnd == index &+ 2
      && (valueStart == colon &+ 1 || (valueStart == colon &+ 2 && bytes[colon &+ 1] == ASCII.space))
    return .line(
      LineShape(
        nameEnd: nameEnd, valueStart: valueStart, valueEnd: index, end: lineEnd, hasUnderscore: hasUnderscore,
        isCanonical: isCanonical))
  }
}
