/// What a request says in fields that this module doesn't know, by their names. Everything is found in the bytes of
/// the head, without making a `String` or an array of them.
extension RequestHead {
  /// The value of the first field with this name, nil when there is none.
  ///
  /// - Parameter name: in lower case.
  public func value(ofFieldNamed name: [UInt8], in bytes: Span<UInt8>) -> Range<Int>? {
    fields.lines.first { bytes.isSame($0.nameRange, asLowercase: name) }?.valueRange
  }

  /// The value of the first cookie with this name (RFC 6265 4.2.1; names are case-sensitive), with its quotes if it
  /// has some; nil when there is none.
  public func value(ofCookieNamed name: [UInt8], in bytes: Span<UInt8>) -> Range<Int>? {
    for line in fields.lines where line.name == .other && bytes.equals("cookie", in: line.nameRange) {
      var start = line.valueRange.lowerBound
      let end = line.valueRange.upperBound
      while start < end {
        var pairEnd = start
        while pairEnd < end, bytes[pairEnd] != 0x3B { pairEnd += 1 }
        let pair = bytes.trimmed(start..<pairEnd)
        if let value = bytes.value(in: pair, after: name) { return value }
        start = pairEnd + 1
      }
    }
    return nil
  }

  /// The first element of all fields of a kind, taken as one list (RFC 9110 5.3), nil when there is none. Empty
  /// elements are passed over.
  public func firstElement(of name: FieldName, in bytes: Span<UInt8>) -> Range<Int>? {
    var first: Range<Int>?
    forEachElementFromLast(of: name, in: bytes) {
      first = $0
      return true
    }
    return first
  }

  /// Calls `body` with the elements of all fields of a kind, taken as one list (RFC 9110 5.3), from the last to the
  /// first, until it returns false. Empty elements are passed over.
  public func forEachElementFromLast(
    of name: FieldName, in bytes: Span<UInt8>, _ body: (Range<Int>) -> Bool
  ) {
    guard fields.names.contains(name) else { return }
    for line in fields.lines.reversed() where line.name == name && !line.isDropped {
      let start = line.valueRange.lowerBound
      var end = line.valueRange.upperBound
      while end > start {
        var elementStart = end
        while elementStart > start, bytes[elementStart - 1] != ASCII.comma { elementStart -= 1 }
        let element = bytes.trimmed(elementStart..<end)
        if !element.isEmpty, !body(element) { return }
        end = elementStart - 1
      }
    }
  }
}

extension Span where Element == UInt8 {
  /// True when `range` holds `lowercase` in any ASCII case.
  fileprivate func isSame(_ range: Range<Int>, asLowercase lowercase: [UInt8]) -> Bool {
    guard range.count == lowercase.count else { return false }
    for offset in 0..<range.count
    where ASCII.lowercased(self[range.lowerBound &+ offset]) != lowercase[offset] {
      return false
    }
    return true
  }

  /// What stands behind `name=` in a pair that begins so, nil when it doesn't.
  fileprivate func value(in pair: Range<Int>, after name: [UInt8]) -> Range<Int>? {
    let equals = pair.lowerBound + name.count
    guard equals < pair.upperBound, self[equals] == 0x3D else { return nil }
    for offset in 0..<name.count where self[pair.lowerBound + offset] != name[offset] { return nil }
    return equals + 1..<pair.upperBound
  }
}
