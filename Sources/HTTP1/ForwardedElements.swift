/// What a trusted proxy says in `Forwarded` (RFC 7239 4), as far as the X-Forwarded fields can say it.
public struct ForwardedElements: Sendable {
  /// The `for` nodes in order, without quotes, brackets and port.
  public private(set) var clients: [Range<Int>] = []
  /// The first `proto` and the first `host`: what the client itself asked for.
  public private(set) var proto: Range<Int>?
  public private(set) var host: Range<Int>?

  public init() {}

  /// Reads one line's value. What does not follow the grammar is passed over.
  public mutating func read(_ bytes: Span<UInt8>, _ value: Range<Int>) {
    var index = value.lowerBound
    while index < value.upperBound {
      while index < value.upperBound, isSeparator(bytes[index]) { index += 1 }
      let nameStart = index
      while index < value.upperBound, ASCII.isToken(bytes[index]) { index += 1 }
      let name = nameStart..<index
      guard index < value.upperBound, bytes[index] == 0x3D, !name.isEmpty else {
        index = end(of: bytes, value, from: index)
        continue
      }
      index += 1
      let pair = readValue(bytes, value, &index)
      note(bytes, name, pair)
    }
  }

  private func isSeparator(_ byte: UInt8) -> Bool {
    ASCII.isBlank(byte) || byte == ASCII.comma || byte == 0x3B
  }

  /// Where what is no pair ends: at a separator that is not part of a quoted string.
  private func end(of bytes: Span<UInt8>, _ value: Range<Int>, from start: Int) -> Int {
    var index = start
    while index < value.upperBound, !isSeparator(bytes[index]) {
      if bytes[index] == 0x22 { _ = readQuoted(bytes, value, &index) } else { index += 1 }
    }
    return max(index, start + 1)
  }

  /// A token, or a quoted string without its quotes; nothing that is taken over needs a quoted pair resolved.
  private func readValue(_ bytes: Span<UInt8>, _ value: Range<Int>, _ index: inout Int) -> Range<Int> {
    if index < value.upperBound, bytes[index] == 0x22 { return readQuoted(bytes, value, &index) }
    let start = index
    while index < value.upperBound, !isSeparator(bytes[index]) { index += 1 }
    return start..<index
  }

  /// Reads from one quote to behind the next that no backslash stands in front of (RFC 9110 5.6.4).
  private func readQuoted(_ bytes: Span<UInt8>, _ value: Range<Int>, _ index: inout Int) -> Range<Int> {
    index += 1
    let start = index
    while index < value.upperBound, bytes[index] != 0x22 {
      index = min(index + (bytes[index] == 0x5C ? 2 : 1), value.upperBound)
    }
    let content = start..<index
    if index < value.upperBound { index += 1 }
    return content
  }

  private mutating func note(_ bytes: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>) {
    if bytes.equals("for", in: name) {
      if let node = node(bytes, value) { clients.append(node) }
    } else if bytes.equals("proto", in: name), proto == nil {
      proto = value
    } else if bytes.equals("host", in: name), host == nil, Authority.isValid(bytes, value) {
      host = value
    }
  }

  /// RFC 7239 6: an address, in brackets for IPv6, `unknown` or an obfuscated name, with or without a port.
  private func node(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Range<Int>? {
    guard let end = Authority.endOfHost(bytes, value), end > value.lowerBound,
      end == value.upperBound || isNodePort(bytes, end + 1..<value.upperBound)
    else { return nil }
    if bytes[value.lowerBound] == 0x5B { return value.lowerBound + 1..<end - 1 }
    // It becomes an element of a list, where a comma would make two of it.
    for index in value.lowerBound..<end where !isNodeByte(bytes[index]) { return nil }
    return value.lowerBound..<end
  }

  /// RFC 7239 6.2, 6.3: digits, or an obfuscated port. A second colon shows an IPv6 address without its brackets.
  private func isNodePort(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    for index in range where !isNodeByte(bytes[index]) { return false }
    return !range.isEmpty
  }

  /// ALPHA, DIGIT, `.`, `_` and `-`.
  private func isNodeByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F: true
    default: false
    }
  }
}
