/// The bytes and classes of bytes of RFC 9110 5.6 and RFC 5234 B.1. Everything here is ASCII: no function of this
/// module ever makes a `Character` or a `String` of what came over the wire.
enum ASCII {
  static let tab: UInt8 = 0x09
  static let lineFeed: UInt8 = 0x0A
  static let carriageReturn: UInt8 = 0x0D
  static let space: UInt8 = 0x20
  static let comma: UInt8 = 0x2C
  static let colon: UInt8 = 0x3A

  /// Bit n is set when byte n is a tchar (RFC 9110 5.6.2); `low` for 0 to 63, `high` for 64 to 127.
  private static let tokenLow: UInt64 = 0x03FF_6CFA_0000_0000
  private static let tokenHigh: UInt64 = 0x57FF_FFFF_C7FF_FFFE

  /// tchar of RFC 9110 5.6.2.
  @inline(__always)
  static func isToken(_ byte: UInt8) -> Bool {
    if byte >= 0x80 { return false }
    let mask = byte < 0x40 ? tokenLow : tokenHigh
    return mask &>> UInt64(byte & 0x3F) & 1 != 0
  }

  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

  /// SP or HTAB, the OWS of RFC 9110 5.6.3.
  @inline(__always)
  static func isBlank(_ byte: UInt8) -> Bool { byte == space || byte == tab }

  /// True for bytes that never stand in a field value (RFC 9110 5.5): all controls but HTAB.
  @inline(__always)
  static func isForbiddenInValue(_ byte: UInt8) -> Bool { (byte < 0x20 && byte != tab) || byte == 0x7F }

  /// The value of a HEXDIG, or nil.
  @inline(__always)
  static func hexValue(_ byte: UInt8) -> UInt8? {
    if byte &- 0x30 < 10 { return byte &- 0x30 }
    let letter = (byte | 0x20) &- 0x61
    return letter < 6 ? letter &+ 10 : nil
  }

  /// A-Z to a-z; every other byte unchanged.
  @inline(__always)
  static func lowercased(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

  /// The same of eight bytes.
  @inline(__always)
  static func lowercased(_ word: UInt64) -> UInt64 {
    let ones: UInt64 = 0x0101_0101_0101_0101
    let tops: UInt64 = 0x8080_8080_8080_8080
    // Without their top bits the bytes take these sums without a carry; a sum's top bit is the comparison.
    let low = word & ~tops
    let capitals = (low &+ ones &* (0x80 - 0x41)) & ~(low &+ ones &* (0x80 - 0x5B)) & ~word & tops
    return word | (capitals &>> 2)
  }
}

extension Span where Element == UInt8 {
  /// The first position at or behind `start` of a byte that is a control (HTAB included) or DEL, and also of SP
  /// when `stoppingAtSpace`; `count` when there is none.
  @inline(__always)
  func firstStop(from start: Int, stoppingAtSpace: Bool) -> Int {
    let limit = SIMD16<UInt8>(repeating: stoppingAtSpace ? 0x21 : 0x20)
    return first(from: start) { ($0 .< limit) .| ($0 .== SIMD16(repeating: 0x7F)) }
  }

  /// The first position at or behind `start` of a byte that is no letter and no `-`, which nearly all names consist
  /// of; `count` when there is none.
  @inline(__always)
  func endOfLettersAndDashes(from start: Int) -> Int {
    first(from: start) {
      let places = ($0 | SIMD16(repeating: 0x20)) &- SIMD16(repeating: 0x61)
      return (places .>= SIMD16(repeating: 26)) .& ($0 .!= SIMD16(repeating: 0x2D))
    }
  }

  /// The first position at or behind `start` of a byte that is wanted; `count` when there is none. Sixteen bytes at a
  /// time: the compiler makes one instruction of an operator between two such vectors, and of no other.
  @inline(__always)
  private func first(from start: Int, where isWanted: (SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>>) -> Int {
    precondition(start >= 0)
    let bytes = self.bytes
    var index = start
    while index &+ 16 <= count {
      // Within bounds by the condition.
      let block = bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: index, as: SIMD16<UInt8>.self)
      let wanted = unsafeBitCast(isWanted(block), to: SIMD2<UInt64>.self)
      if wanted[0] != 0 { return index &+ wanted[0].littleEndian.trailingZeroBitCount &>> 3 }
      if wanted[1] != 0 { return index &+ 8 &+ wanted[1].littleEndian.trailingZeroBitCount &>> 3 }
      index &+= 16
    }
    while index < count, !isWanted(SIMD16(repeating: self[index]))[0] { index &+= 1 }
    return index
  }

  /// True when `range` holds `lowercase`, which must be lower-case ASCII, in any case. Eight bytes at a time.
  @inline(__always)
  func equals(_ lowercase: StaticString, in range: Range<Int>) -> Bool {
    let length = lowercase.utf8CodeUnitCount
    guard range.count == length else { return false }
    let expected = lowercase.utf8Start
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    guard length >= 8 else {
      for offset in 0..<length
      where ASCII.lowercased(self[range.lowerBound &+ offset]) != expected[offset] {
        return false
      }
      return true
    }
    // The last word overlaps the one before it where the length is no multiple of eight.
    var offset = 0
    while true {
      let word = bytes.unsafeLoadUnaligned(fromByteOffset: range.lowerBound &+ offset, as: UInt64.self)
      let wanted = UnsafeRawPointer(expected + offset).loadUnaligned(as: UInt64.self)
      if ASCII.lowercased(word) != wanted { return false }
      if offset == length &- 8 { return true }
      offset = Swift.min(offset &+ 8, length &- 8)
    }
  }

  /// True when both ranges hold the same bytes but for ASCII case.
  func equalIgnoringCase(_ left: Range<Int>, _ right: Range<Int>) -> Bool {
    guard left.count == right.count else { return false }
    for offset in 0..<left.count
    where ASCII.lowercased(self[left.lowerBound &+ offset])
      != ASCII.lowercased(self[right.lowerBound &+ offset])
    {
      return false
    }
    return true
  }

  /// The next non-empty element of a comma-separated list (RFC 9110 5.6.1.2), blanks around it cut off; nil at the
  /// end. `rest` is what is still to be looked at.
  func nextListElement(in rest: inout Range<Int>) -> Range<Int>? {
    while !rest.isEmpty {
      var end = rest.lowerBound
      while end < rest.upperBound && self[end] != ASCII.comma { end &+= 1 }
      let element = trimmed(rest.lowerBound..<end)
      rest = Swift.min(end &+ 1, rest.upperBound)..<rest.upperBound
      if !element.isEmpty { return element }
    }
    return nil
  }

  /// The range without SP and HTAB at its ends.
  @inline(__always)
  func trimmed(_ range: Range<Int>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end && ASCII.isBlank(self[start]) { start &+= 1 }
    while start < end && ASCII.isBlank(self[end &- 1]) { end &-= 1 }
    return start..<end
  }
}
