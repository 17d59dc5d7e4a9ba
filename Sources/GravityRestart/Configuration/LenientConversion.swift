import YAML

/// The value of a setting before its type is looked at, and what it is called in a message.
///
/// Gravity's settings are read more leniently than the proxy's own: a number may be a string, a boolean may be a
/// number or one of a few words. The rules are those of pydantic 2 in its lax mode.
struct Setting {
  /// The key as it is in the file.
  var key: String
  var node: Node
  /// The node's place, or the environment variable that it was read from.
  var origin: Origin

  init(_ key: String, _ node: Node) {
    self.key = key
    self.node = node
    origin = node.origin
  }

  /// A string from the environment.
  init(_ key: String, text: String, variable: String) {
    self.key = key
    let scalar = Scalar(text: text, value: .string, isPlain: false)
    node = Node(.scalar(scalar), at: Position(file: variable, line: 1, column: 1))
    origin = .environment(variable)
  }

  func mismatch(_ expected: String, nearest: String? = nil, into diagnostics: inout Diagnostics) {
    diagnostics.error("\(key): found \(node.found), expected \(expected)", at: origin, nearest: nearest)
  }

  /// A string and nothing else: pydantic makes no string of a number.
  func text(expecting: String, into diagnostics: inout Diagnostics) -> String? {
    if case .scalar(let scalar) = node.content, scalar.value == .string { return scalar.text }
    mismatch(expecting, into: &diagnostics)
    return nil
  }

  func number(in range: ClosedRange<Int>, into diagnostics: inout Diagnostics) -> Int? {
    if let number = asNumber, range.contains(number) { return number }
    mismatch(wholeNumber(in: range), into: &diagnostics)
    return nil
  }

  func truth(into diagnostics: inout Diagnostics) -> Bool? {
    if let truth = asTruth { return truth }
    mismatch("true or false", into: &diagnostics)
    return nil
  }

  private var asNumber: Int? {
    guard case .scalar(let scalar) = node.content else { return nil }
    switch scalar.value {
    case .integer(let number): return number
    case .boolean(let value): return value ? 1 : 0
    case .float(let number): return Int(exactly: number)
    case .string: return Self.number(written: scalar.text)
    case .null, .other: return nil
    }
  }

  private var asTruth: Bool? {
    guard case .scalar(let scalar) = node.content else { return nil }
    switch scalar.value {
    case .boolean(let value): return value
    case .integer(0), .float(0): return false
    case .integer(1), .float(1): return true
    case .string:
      switch scalar.text.lowercased() {
      case "1", "true", "t", "yes", "y", "on": return true
      case "0", "false", "f", "no", "n", "off": return false
      default: return nil
      }
    case .null, .integer, .float, .other: return nil
    }
  }

  /// Decimal digits with blanks around, a sign before, single underscores between, and `.0` behind.
  private static func number(written text: String) -> Int? {
    var body = text[...]
    while body.first?.isWhitespace == true { body.removeFirst() }
    while body.last?.isWhitespace == true { body.removeLast() }
    if let point = body.firstIndex(of: ".") {
      guard body[point...].dropFirst().utf8.allSatisfy({ $0 == UInt8(ascii: "0") }) else { return nil }
      body = body[..<point]
    }
    let digits = body.first == "+" || body.first == "-" ? body.dropFirst() : body
    let groups = digits.split(separator: "_", omittingEmptySubsequences: false)
    guard groups.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }) else {
      return nil
    }
    return Int(body.filter { $0 != "_" })
  }
}
