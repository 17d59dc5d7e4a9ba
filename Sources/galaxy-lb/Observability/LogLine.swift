/// One line of the log as bytes: `LEVEL message key=value ...`, whatever strangers put into message and values.
///
/// A name or a value that somebody else chose (a path, a host, a header) can neither start a line of its own nor
/// forge a field nor send escape sequences to a terminal: control characters are escaped, and a value that holds
/// a space, a quote, `=` or `\` is quoted.
struct LogLine {
  /// The longest line in bytes, its newline included: PIPE_BUF, so that lines which several threads or processes
  /// write to one pipe never mix (pipe(7)).
  static let longest = 4096

  /// The bytes so far, without the newline.
  private(set) var bytes: [UInt8] = []

  /// Starts a line with `prefix`, which is written as it is.
  init(prefix: String) {
    bytes.reserveCapacity(256)
    bytes.append(contentsOf: prefix.utf8)
  }

  /// Appends a message: escaped, not quoted.
  mutating func append(message: String) {
    for scalar in message.unicodeScalars { append(scalar) }
  }

  /// Appends ` key=value`, the value quoted if it needs that.
  mutating func append(field key: String, _ value: String) {
    bytes.append(UInt8(ascii: " "))
    bytes.append(contentsOf: key.utf8)
    bytes.append(UInt8(ascii: "="))
    guard Self.needsQuotes(value) else {
      bytes.append(contentsOf: value.utf8)
      return
    }
    bytes.append(UInt8(ascii: "\""))
    for scalar in value.unicodeScalars {
      if scalar == "\"" || scalar == "\\" { bytes.append(UInt8(ascii: "\\")) }
      append(scalar)
    }
    bytes.append(UInt8(ascii: "\""))
  }

  /// The bytes with the newline; a line that is too long is cut at a character and ends in `...`.
  func finished() -> [UInt8] {
    var line = bytes
    if line.count >= Self.longest {
      var end = Self.longest - 4
      while line[end] & 0b1100_0000 == 0b1000_0000 { end -= 1 }
      line.removeSubrange(end...)
      line.append(contentsOf: "...".utf8)
    }
    line.append(UInt8(ascii: "\n"))
    return line
  }

  private mutating func append(_ scalar: Unicode.Scalar) {
    switch scalar {
    case "\n": bytes.append(contentsOf: "\\n".utf8)
    case "\r": bytes.append(contentsOf: "\\r".utf8)
    case "\t": bytes.append(contentsOf: "\\t".utf8)
    case _ where Self.isControl(scalar):
      bytes.append(contentsOf: "\\u{\(String(scalar.value, radix: 16))}".utf8)
    default: bytes.append(contentsOf: String(scalar).utf8)
    }
  }

  private static func needsQuotes(_ value: String) -> Bool {
    value.isEmpty
      || value.unicodeScalars.contains { scalar in
        scalar == " " || scalar == "\"" || scalar == "=" || scalar == "\\" || isControl(scalar)
      }
  }

  /// C0, DEL and C1, which terminals obey; the two line separators of Unicode; and the marks that turn the
  /// direction of writing, which make a line read as something that it doesn't say.
  static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0...0x1F, 0x7F...0x9F, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069: true
    default: false
    }
  }
}
