/// Why a text is no JSON, and where.
public struct JSONError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Both count from 1; columns count bytes.
  public let line: Int
  public let column: Int
  /// What was expected, and what was found.
  public let message: String

  public var description: String { "line \(line), column \(column): \(message)" }
}

extension JSON {
  /// Nesting deeper than this is refused, so that a text can't exhaust the stack (RFC 8259 9).
  public static let deepestNesting = 64

  /// Reads a text that is exactly one value (RFC 8259 2), in UTF-8 without a byte order mark. Names that are there
  /// twice in one object are refused: nobody knows which one is meant.
  public init(parsing bytes: [UInt8]) throws(JSONError) {
    var reader = JSONReader(bytes)
    self = try reader.readText()
  }

  /// The same for a text that is a String already.
  public init(parsing text: String) throws(JSONError) {
    try self.init(parsing: Array(text.utf8))
  }
}

private struct JSONReader {
  private let bytes: [UInt8]
  private var position = 0
  private var depth = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  mutating func readText() throws(JSONError) -> JSON {
    let value = try readValue()
    skipBlanks()
    guard position == bytes.count else { throw failure("expected the end") }
    return value
  }

  private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipBlanks() {
    while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func readValue() throws(JSONError) -> JSON {
    skipBlanks()
    switch next {
    case UInt8(ascii: "{"): return try nested { reader throws(JSONError) in try reader.readObject() }
    case UInt8(ascii: "["): return try nested { reader throws(JSONError) in try reader.readArray() }
    case UInt8(ascii: "\""): return .string(try readString())
    case UInt8(ascii: "t"): return try readWord("true", .boolean(true))
    case UInt8(ascii: "f"): return try readWord("false", .boolean(false))
    case UInt8(ascii: "n"): return try readWord("null", .null)
    case .some(let byte) where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte):
      return try readNumber()
    default: throw failure("expected a value")
    }
  }

  private mutating func nested(
    _ read: (inout JSONReader) throws(JSONError) -> JSON
  ) throws(JSONError) -> JSON {
    guard depth < JSON.deepestNesting else {
      throw failure("expected at most \(JSON.deepestNesting) levels of nesting")
    }
    depth += 1
    position += 1
    let value = try read(&self)
    depth -= 1
    return value
  }

  private mutating func readObject() throws(JSONError) -> JSON {
    var members: [JSONObject.Member] = []
    var names: Set<String> = []
    skipBlanks()
    if take("}") { return .object(JSONObject()) }
    while true {
      skipBlanks()
      guard next == UInt8(ascii: "\"") else { throw failure("expected a name in quotes") }
      let start = position
      let name = try readString()
      guard names.insert(name).inserted else {
        position = start
        throw failure("expected each name once")
      }
      skipBlanks()
      guard take(":") else { throw failure("expected ':'") }
      members.append(.init(name: name, value: try readValue()))
      skipBlanks()
      if take("}") { return .object(JSONObject(members)) }
      guard take(",") else { throw failure("expected ',' or '}'") }
    }
  }

  private mutating func readArray() throws(JSONError) -> JSON {
    var elements: [JSON] = []
    skipBlanks()
    if take("]") { return .array([]) }
    while true {
      elements.append(try readValue())
      skipBlanks()
      if take("]") { return .array(elements) }
      guard take(",") else { throw failure("expected ',' or ']'") }
    }
  }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard next == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  private mutating func readWord(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
    let expected = UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount)
    guard bytes[position...].starts(with: expected) else { throw failure("expected a value") }
    position += expected.count
    return value
  }

  // MARK: Numbers

  private mutating func readNumber() throws(JSONError) -> JSON {
    let start = position
    var isInteger = true
    if next == UInt8(ascii: "-") { position += 1 }
    if next == UInt8(ascii: "0") { position += 1 } else { try readDigits() }
    if take(".") {
      isInteger = false
      try readDigits()
    }
    if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
      isInteger = false
      position += 1
      if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
      try readDigits()
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if isInteger, let value = Int(text) { return .integer(value) }
    guard let value = Double(text), value.isFinite else {
      position = start
      throw failure("expected a number that a double can hold")
    }
    return .number(value)
  }

  private mutating func readDigits() throws(JSONError) {
    let start = position
    while let byte = next, (0x30...0x39).contains(byte) { position += 1 }
    if position == start { throw failure("expected a digit") }
  }

  // MARK: Strings

  private mutating func readString() throws(JSONError) -> String {
    let start = position
    position += 1
    var content: [UInt8] = []
    while let byte = next {
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        guard let text = String(validating: content, as: UTF8.self) else {
          position = start
          throw failure("expected a string in UTF-8")
        }
        return text
      case UInt8(ascii: "\\"):
        position += 1
        try readEscape(into: &content)
      case 0..<0x20: throw failure("expected control characters in strings to be escaped")
      default:
        content.append(byte)
        position += 1
      }
    }
    throw failure("expected '\"'")
  }

  private mutating func readEscape(into content: inout [UInt8]) throws(JSONError) {
    guard let byte = next else { throw failure("expected an escape") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte)
    case UInt8(ascii: "b"): content.append(0x08)
    case UInt8(ascii: "f"): content.append(0x0C)
    case UInt8(ascii: "n"): content.append(0x0A)
    case UInt8(ascii: "r"): content.append(0x0D)
    case UInt8(ascii: "t"): content.append(0x09)
    case UInt8(ascii: "u"): content.append(contentsOf: String(try readScalar()).utf8)
    default:
      position -= 1
      throw failure("expected one of \"\\/bfnrtu behind '\\'")
    }
  }

  /// Four hexadecimal digits, or twice four that are a pair of surrogates (RFC 8259 7).
  private mutating func readScalar() throws(JSONError) -> Unicode.Scalar {
    let start = position
    let first = try readHex()
    if let scalar = Unicode.Scalar(first) { return scalar }
    if (0xD800...0xDBFF).contains(first), take("\\"), take("u") {
      let second = try readHex()
      if (0xDC00...0xDFFF).contains(second),
        let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00))
      {
        return scalar
      }
    }
    position = start
    throw failure("expected a whole pair of surrogates")
  }

  private mutating func readHex() throws(JSONError) -> UInt32 {
    guard bytes.count - position >= 4,
      bytes[position..<position + 4].allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
      let value = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
    else { throw failure("expected four hexadecimal digits") }
    position += 4
    return value
  }

  // MARK: Failures

  private func failure(_ expected: String) -> JSONError {
    let before = bytes[..<position]
    let line = before.count { $0 == 0x0A } + 1
    let lineStart = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    let found =
      switch next {
      case nil: "the end"
      case .some(let byte) where (0x21...0x7E).contains(byte): "'\(Unicode.Scalar(byte))'"
      case .some(let byte): "the byte \(byte)"
      }
    return JSONError(line: line, column: position - lineStart + 1, message: "\(expected), found \(found)")
  }
}
