/// What a Python module assigns to names at its top level, as far as that can be told without running it.
///
/// Only statements that start in the first column count, the last one for each name. Strings and comments are skipped
/// as a whole, so that what only looks like an assignment inside of them is none.
struct PythonModule {
  enum Value: Hashable {
    /// A string of one piece, without prefix and escapes.
    case string(String)
    /// `None`.
    case noValue
    /// Anything else.
    case expression
  }

  private var values: [String: Value] = [:]

  init(parsing text: [UInt8]) {
    var reader = PythonReader(text)
    while let (name, value) = reader.nextStatement() {
      if let name { values[name] = value }
    }
  }

  subscript(_ name: String) -> Value? { values[name] }
}

/// Goes through a Python text by its logical lines (the Python language reference, "Lexical analysis").
private struct PythonReader {
  private let text: [UInt8]
  private var place = 0

  init(_ text: [UInt8]) {
    self.text = text
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { place = 3 }
  }

  private var next: UInt8? { place < text.count ? text[place] : nil }

  /// The name that the next logical line assigns to, or nil for another statement; nil at the end of the text.
  mutating func nextStatement() -> (name: String?, value: PythonModule.Value)? {
    guard next != nil else { return nil }
    defer { skipRestOfLine() }
    guard let name = identifier(), skipToValue() else { return (nil, .expression) }
    return (name, value())
  }

  private mutating func identifier() -> String? {
    let start = place
    while let byte = next, Self.isWord(byte) { place += 1 }
    return place == start ? nil : String(decoding: text[start..<place], as: UTF8.self)
  }

  /// Skips `=`, with an annotation in front or not. False for any other operator.
  private mutating func skipToValue() -> Bool {
    skipBlanks()
    if next == UInt8(ascii: ":") {
      while let byte = next, byte != UInt8(ascii: "="), !Self.endsStatement(byte) { place += 1 }
    }
    guard next == UInt8(ascii: "=") else { return false }
    place += 1
    guard next != UInt8(ascii: "=") else { return false }
    skipBlanks()
    return true
  }

  private mutating func value() -> PythonModule.Value {
    var value = PythonModule.Value.expression
    if next == UInt8(ascii: "\"") || next == UInt8(ascii: "'") {
      if let content = string() { value = .string(content) }
    } else if identifier() == "None" {
      value = .noValue
    }
    skipBlanks()
    if let next, !Self.endsStatement(next) { return .expression }
    return value
  }

  /// Skips a string that starts here. Its content is nil when it has an escape or doesn't end.
  private mutating func string() -> String? {
    let quote = text[place]
    let isLong = text[place...].starts(with: [quote, quote, quote])
    let end = isLong ? [quote, quote, quote] : [quote]
    place += end.count
    let start = place
    var isPlain = true
    while let byte = next {
      if text[place...].starts(with: end) {
        defer { place += end.count }
        return isPlain ? String(decoding: text[start..<place], as: UTF8.self) : nil
      }
      if byte == UInt8(ascii: "\n"), !isLong { return nil }
      if byte == UInt8(ascii: "\\") {
        isPlain = false
        place += 1
      }
      place += 1
    }
    return nil
  }

  /// Goes behind the end of the logical line: behind a newline outside of strings and brackets.
  private mutating func skipRestOfLine() {
    var depth = 0
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        _ = string()
        continue
      case UInt8(ascii: "#"):
        while let byte = next, byte != UInt8(ascii: "\n") { place += 1 }
        continue
      case UInt8(ascii: "\\"): place += 1
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
      case UInt8(ascii: "\n") where depth <= 0:
        place += 1
        return
      default: break
      }
      place += 1
    }
  }

  private mutating func skipBlanks() {
    while next == UInt8(ascii: " ") || next == UInt8(ascii: "\t") { place += 1 }
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), 0x80...: true
    default: false
    }
  }

  private static func endsStatement(_ byte: UInt8) -> Bool { "\r\n#;".utf8.contains(byte) }
}
