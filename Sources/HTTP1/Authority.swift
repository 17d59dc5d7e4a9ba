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

  /// The end of `[…]`, which holds an IPv6 address or an IPvFuture (RFC 3986 3.2.2).
  private static func endOfLiteral(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Int? {
    let start = range.lowerBound + 1
    guard let close = (start..<range.upperBound).first(where: { bytes[$0] == 0x5D }) else { return nil }
    let end = close + 1
    guard end == range.upperBound || bytes[end] == ASCII.colon else { return nil }
    return isIPv6(bytes, start..<close) || isIPvFuture(bytes, start..<close) ? end : nil
  }

  /// Eight groups of up to four hexadecimal digits, of which one run may be `::` and the last two an IPv4 address.
  private static func isIPv6(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    var groups = 0
    var hasGap = false
    var index = range.lowerBound
    while index < range.upperBound {
      if bytes[index] == ASCII.colon {
        let isDouble = index + 1 < range.upperBound && bytes[index + 1] == ASCII.colon
        if isDouble {
          guard !hasGap else { return false }
          hasGap = true
          index += 2
          continue
        }
        // A single one stands between two groups.
        guard index > range.lowerBound, index + 1 < range.upperBound, bytes[index - 1] != ASCII.colon
        else { return false }
        index += 1
      }
      var end = index
      while end < range.upperBound, ASCII.hexValue(bytes[end]) != nil { end += 1 }
      if end < range.upperBound, bytes[end] == 0x2E {
        groups += 2
        return isIPv4(bytes, index..<range.upperBound) && (hasGap ? groups < 8 : groups == 8)
      }
      guard (1...4).contains(end - index), end == range.upperBound || bytes[end] == ASCII.colon
      else { return false }
      groups += 1
      index = end
    }
    return hasGap ? groups < 8 : groups == 8
  }

  private static func isIPv4(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    var parts = 0
    var index = range.lowerBound
    while true {
      let start = index
      var number = 0
      while index < range.upperBound, ASCII.isDigit(bytes[index]), index - start < 3 {
        number = number * 10 + Int(bytes[index] &- 0x30)
        index += 1
      }
      // dec-octet has no leading zeros.
      guard index > start, number <= 255, index - start == 1 || bytes[start] != 0x30 else { return false }
      parts += 1
      if index == range.upperBound { return parts == 4 }
      guard bytes[index] == 0x2E else { return false }
      index += 1
    }
  }

  /// `"v" 1*HEXDIG "." 1*( unreserved / sub-delims / ":" )`.
  private static func isIPvFuture(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    guard let first = range.first, ASCII.lowercased(bytes[first]) == 0x76 else { return false }
    guard let dot = range.first(where: { bytes[$0] == 0x2E }), dot > first + 1, dot + 1 < range.upperBound
    else { return false }
    return (first + 1..<dot).allSatisfy { ASCII.hexValue(bytes[$0]) != nil }
      && (dot + 1..<range.upperBound).allSatisfy {
        bytes[$0] == ASCII.colon || isRegisteredNameByte(bytes[$0])
      }
  }

  /// unreserved and sub-delims of RFC 3986 2.2, 2.3.
  @inline(__always)
  private static func isRegisteredNameByte(_ byte: UInt8) -> Bool {
    if byte >= 0x80 { return false }
    let mask = byte < 0x40 ? registeredLow : registeredHigh
    return mask &>> UInt64(byte & 0x3F) & 1 != 0
  }

  /// Bit n is set for byte n: digits, `-`, `.` and `!$&'()*+,;=`.
  private static let registeredLow: UInt64 = 0x2BFF_7FD2_0000_0000
  /// Bit n is set for byte 64 + n: letters, `_` and `~`.
  private static let registeredHigh: UInt64 = 0x47FF_FFFE_87FF_FFFE
}
