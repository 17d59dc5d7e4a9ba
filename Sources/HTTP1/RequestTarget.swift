/// A request target (RFC 9112 3.2), cut into what goes upstream and whose authority it names.
struct RequestTarget: Equatable, Sendable {
  /// What goes upstream, byte for byte: the target itself, or path and query of an absolute one.
  var forwarded: Range<Int>
  /// Set when `forwarded` has to be preceded by `/` or is empty and stands for `/` or `*`.
  var prefix: Prefix
  /// The authority of an absolute target, which replaces Host (RFC 9112 3.2.2).
  var authority: Range<Int>?

  enum Prefix: Equatable, Sendable { case none, slash, asterisk }

  /// Nil when the target is none of the forms that a proxy takes, or names a bad authority.
  init?(_ bytes: Span<UInt8>, _ range: Range<Int>, isOptions: Bool) {
    guard let first = range.first else { return nil }
    forwarded = range
    prefix = .none
    if bytes[first] == 0x2F { return }
    if bytes[first] == 0x2A {
      guard range.count == 1, isOptions else { return nil }
      return
    }
    let scheme: Int
    if range.count >= 7, bytes.equals("http://", in: range.prefix(7)) {
      scheme = 7
    } else if range.count >= 8, bytes.equals("https://", in: range.prefix(8)) {
      scheme = 8
    } else {
      return nil
    }
    var end = first + scheme
    while end < range.upperBound, bytes[end] != 0x2F, bytes[end] != 0x3F, bytes[end] != 0x23 { end += 1 }
    let authority = first + scheme..<end
    guard Authority.isValid(bytes, authority) else { return nil }
    self.authority = authority
    forwarded = end..<range.upperBound
    if forwarded.isEmpty {
      prefix = isOptions ? .asterisk : .slash
    } else if bytes[end] != 0x2F {
      prefix = .slash
    }
  }
}

/// `uri-host [ ":" port ]` (RFC 9110 7.2, RFC 3986 3.2.2).
enum Authority {
  /// True for a non-empty host, by name or address, with an optional port up to 65535. User information is not
  /// allowed (RFC 9110 4.2.4).
  static func isValid(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    guard let hostEnd = endOfHost(bytes, range), hostEnd > range.lowerBound else { return false }
    if hostEnd == range.upperBound { return true }
    var port = 0
    for index in hostEnd + 1..<range.upperBound {
      guard ASCII.isDigit(bytes[index]) else { return false }
      port = port * 10 + Int(bytes[index] &- 0x30)
      guard port <= 65_535 else { return false }
    }
    return true
  }

  /// The end of the host, where a `:` or the end of the range is; nil when the host is malformed.
  static func endOfHost(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
    guard let first = range.first else { return range.upperBound }
    if bytes[first] == 0x5B { return endOfLiteral(bytes, range) }
    var index = first
    while index < range.upperBound, bytes[index] != ASCII.colon {
      let byte = bytes[index]
      if byte == 0x25 {
        guard index + 2 < range.upperBound, ASCII.hexValue(bytes[index + 1]) != nil,
          ASCII.hexValue(bytes[index + 2]) != nil
        else { return nil }
        index += 3
        continue
      }
      guard isRegisteredNameByte(byte) else { return nil }
      index += 1
    }
    return index
  }

  /// The end of `[…]`: the characters of IPv6 addresses and of IPvFuture.
  private static func endOfLiteral(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
    var index = range.lowerBound + 1
    while index < range.upperBound, bytes[index] != 0x5D {
      guard bytes[index] == ASCII.colon || isRegisteredNameByte(bytes[index]) else { return nil }
      index += 1
    }
    guard index < range.upperBound, index > range.lowerBound + 2 else { return nil }
    let end = index + 1
    guard end == range.upperBound || bytes[end] == ASCII.colon else { return nil }
    return end
  }

  /// unreserved and sub-delims of RFC 3986 2.2, 2.3.
  private static func isRegisteredNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    case 0x2D, 0x2E, 0x5F, 0x7E: true  // - . _ ~
    case 0x21, 0x24, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x2B, 0x2C, 0x3B, 0x3D: true  // ! $ & ' ( ) * + , ; =
    default: false
    }
  }
}
