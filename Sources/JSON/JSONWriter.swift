extension JSON {
  /// The value on one line, without blanks: as it goes over the wire.
  public var text: String {
    var writer = JSONWriter(indents: false)
    writer.write(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  /// The value over several lines, indented by two blanks: for people.
  public var indentedText: String {
    var writer = JSONWriter(indents: true)
    writer.write(self)
    return String(decoding: writer.bytes, as: UTF8.self)
  }
}

/// Writes values as UTF-8 (RFC 8259 8.1).
private struct JSONWriter {
  private(set) var bytes: [UInt8] = []
  private let indents: Bool
  private var depth = 0

  init(indents: Bool) { self.indents = indents }

  mutating func write(_ value: JSON) {
    switch value {
    case .null: append("null")
    case .boolean(let value): append(value ? "true" : "false")
    case .integer(let value): append("\(value)")
    case .number(let value): append(value.isFinite ? "\(value)" : "null")
    case .string(let value): write(value)
    case .array(let elements):
      list("[", elements, "]") { writer, element in writer.write(element) }
    case .object(let object):
      list("{", object.members, "}") { writer, member in
        writer.write(member.name)
        writer.append(writer.indents ? ": " : ":")
        writer.write(member.value)
      }
    }
  }

  private mutating func list<Element>(
    _ opening: String, _ elements: [Element], _ closing: String,
    _ write: (inout JSONWriter, Element) -> Void
  ) {
    append(opening)
    depth += 1
    for (position, element) in elements.enumerated() {
      if position > 0 { append(",") }
      breakLine()
      write(&self, element)
    }
    depth -= 1
    if !elements.isEmpty { breakLine() }
    append(closing)
  }

  private mutating func breakLine() {
    guard indents else { return }
    append("\n")
    append(String(repeating: "  ", count: depth))
  }

  /// A string with what must be escaped, and DEL, which a terminal may obey, escaped.
  private mutating func write(_ text: String) {
    bytes.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""): append("\\\"")
      case UInt8(ascii: "\\"): append("\\\\")
      case 0x0A: append("\\n")
      case 0x0D: append("\\r")
      case 0x09: append("\\t")
      case 0..<0x20, 0x7F:
        let digits = String(byte, radix: 16)
        append("\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits)
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }
}
