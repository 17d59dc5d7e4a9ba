/// What is wrong with a message, or with what the codec made of it.
public struct Violation: Error, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// A field as the second reader sees it: the name in lower case, the value without blanks around it.
public struct StrictField: Equatable, Sendable {
  public let name: String
  public let value: [UInt8]

  /// The elements of a comma-separated value in lower case, empty ones left out.
  public var elements: [String] {
    value.split(separator: 0x2C).map { element in
      var element = element
      while let first = element.first, first == 0x20 || first == 0x09 { element.removeFirst() }
      while let last = element.last, last == 0x20 || last == 0x09 { element.removeLast() }
      return latin1(element).lowercased()
    }.filter { !$0.isEmpty }
  }
}

/// A second reader of heads, written apart from HTTP1 and strict: slow, one line at a time, no leniency at all.
public struct StrictHead: Sendable {
  public let startLine: [UInt8]
  public let fields: [StrictField]

  /// Reads a head that must end where `bytes` end.
  public init(_ bytes: ArraySlice<UInt8>) throws(Violation) {
    var lines: [[UInt8]] = [[]]
    var previous: UInt8 = 0
    for byte in bytes {
      if byte == 0x0A {
        guard previous == 0x0D else { throw Violation("line feed without carriage return") }
        lines[lines.count - 1].removeLast()
        lines.append([])
      } else {
        if previous == 0x0D { throw Violation("carriage return without line feed") }
        lines[lines.count - 1].append(byte)
      }
      previous = byte
    }
    guard lines.count >= 3, lines[lines.count - 1].isEmpty, lines[lines.count - 2].isEmpty else {
      throw Violation("no empty line at the end")
    }
    startLine = lines[0]
    var fields: [StrictField] = []
    for line in lines[1..<lines.count - 2] { fields.append(try Self.field(line)) }
    self.fields = fields
  }

  private static func field(_ line: [UInt8]) throws(Violation) -> StrictField {
    guard let colon = line.firstIndex(of: 0x3A) else { throw Violation("field line without colon") }
    let name = latin1(line[..<colon])
    guard !name.isEmpty, name.allSatisfy({ tokenCharacters.contains($0) }) else {
      throw Violation("field name is not a token")
    }
    var value = line[(colon + 1)...]
    while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
    while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
    for byte in value where (byte < 0x20 && byte != 0x09) || byte == 0x7F {
      throw Violation("control in a field value")
    }
    return StrictField(name: name.lowercased(), value: Array(value))
  }

  public func values(_ name: String) -> [StrictField] { fields.filter { $0.name == name } }

  /// Method and target of `token SP target SP HTTP/1.1`.
  public func requestLine() throws(Violation) -> (method: String, target: [UInt8]) {
    let parts = startLine.split(separator: 0x20, omittingEmptySubsequences: false)
    guard parts.count == 3 else { throw Violation("request line without three parts") }
    let method = latin1(parts[0])
    guard !method.isEmpty, method.allSatisfy({ tokenCharacters.contains($0) }) else {
      throw Violation("method is not a token")
    }
    guard !parts[1].isEmpty, parts[1].allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
      throw Violation("blank or control in the target")
    }
    guard ["HTTP/1.0", "HTTP/1.1"].contains(latin1(parts[2])) else { throw Violation("version") }
    return (method, Array(parts[1]))
  }

  /// The framing that a recipient goes by (RFC 9112 6.3), of which there must be one at most.
  public func framing() throws(Violation) -> (length: Int64?, isChunked: Bool) {
    let lengths = values("content-length")
    let codings = values("transfer-encoding")
    guard lengths.count + codings.count <= 1 else { throw Violation("more than one framing field") }
    if let coding = codings.first {
      guard latin1(coding.value) == "chunked" else { throw Violation("Transfer-Encoding is not chunked") }
      return (nil, true)
    }
    guard let text = lengths.first?.value else { return (nil, false) }
    guard !text.isEmpty, text.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int64(latin1(text))
    else { throw Violation("Content-Length is not a number") }
    return (length, false)
  }
}

/// tchar of RFC 9110 5.6.2.
let tokenCharacters = Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

/// Each byte as the code point of the same number: no byte is lost or changed.
public func latin1(_ bytes: some Sequence<UInt8>) -> String {
  String(String.UnicodeScalarView(bytes.map { Unicode.Scalar($0) }))
}
