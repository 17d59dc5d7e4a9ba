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
