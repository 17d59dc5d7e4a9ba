/// The field names that mean something to a proxy. All others are `other` and pass unchanged.
public enum FieldName: UInt8, Sendable {
  case other
  // Framing and routing of the message itself (RFC 9112).
  case host
  case contentLength
  case transferEncoding
  case expect
  case trailer
  // Hop by hop (RFC 9110 7.6.1), whether nominated or not.
  case connection
  case keepAlive
  case proxyConnection
  case te
  case upgrade
  case http2Settings
  // What an edge says about the client, and what a client must not say about itself.
  case forwarded
  case xForwardedFor
  case xForwardedProto
  case xForwardedHost
  case xForwardedOther
  case xRealIP
  case xURLScheme
  case xRequestID
  case identity
  // For the access log and the class of traffic.
  case userAgent
  case referer
  case contentType

  /// The names of one kind as bits, for sets of kinds that are tested once per field.
  @inline(__always)
  var bit: UInt64 { 1 &<< UInt64(rawValue) }
}

/// A set of kinds of field names.
public struct FieldNameSet: OptionSet, Sendable {
  public let rawValue: UInt64

  public init(rawValue: UInt64) { self.rawValue = rawValue }

  public init(_ names: FieldName...) {
    rawValue = names.reduce(0) { $0 | $1.bit }
  }

  @inline(__always)
  public func contains(_ name: FieldName) -> Bool { rawValue & name.bit != 0 }

  /// Fields that end at this proxy in both directions (RFC 9110 7.6.1).
  public static let hopByHop = FieldNameSet(
    .connection, .keepAlive, .proxyConnection, .te, .upgrade, .http2Settings)
  /// Fields that say how the message itself is delimited or routed; nominating them in Connection has no effect.
  public static let framing = FieldNameSet(.host, .contentLength, .transferEncoding)
  /// What only a trusted proxy may say about a client.
  public static let edge = FieldNameSet(
    .forwarded, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedOther, .xRealIP, .xURLScheme,
    .xRequestID, .identity)
}

/// Tells the kind of a field name, ignoring ASCII case.
public struct FieldNameClassifier: Sendable {
  /// In lower case.
  private let identityNames: [[UInt8]]
  /// Bit n is set when one of `identityNames` has n bytes; longer ones share bit 63.
  private let identityLengths: UInt64

  /// - Parameter identityNames: further names that only a trusted proxy may set, in any case. A name that differs
  ///   from one of them in `_` for `-` or `-` for `_` goes on from nobody, since WSGI makes the same variable of
  ///   both; to allow both spellings, name both.
  public init(identityNames: [[UInt8]] = []) {
    self.identityNames = identityNames.map { $0.map(ASCII.lowercased) }
    identityLengths = identityNames.reduce(0) { $0 | 1 << UInt64(min($1.count, 63)) }
  }

  /// The kind of the name in `range`, which must consist of tchars.
  @inline(__always)
  func classify(_ bytes: Span<UInt8>, _ range: Range<Int>) -> FieldName {
    let name: FieldName =
      switch range.count {
      case 2: bytes.equals("te", in: range) ? .te : .other
      case 4: bytes.equals("host", in: range) ? .host : .other
      case 6: bytes.equals("expect", in: range) ? .expect : .other
      case 7: classify7(bytes, range)
      case 9:
        bytes.equals("forwarded", in: range)
          ? .forwarded : bytes.equals("x-real-ip", in: range) ? .xRealIP : .other
      case 10: classify10(bytes, range)
      case 12:
        bytes.equals("content-type", in: range)
          ? .contentType
          : bytes.equals("x-request-id", in: range)
            ? .xRequestID : bytes.equals("x-url-scheme", in: range) ? .xURLScheme : .other
      case 14:
        bytes.equals("content-length", in: range)
          ? .contentLength : bytes.equals("http2-settings", in: range) ? .http2Settings : .other
      case 15: bytes.equals("x-forwarded-for", in: range) ? .xForwardedFor : .other
      case 16:
        bytes.equals("x-forwarded-host", in: range)
          ? .xForwardedHost : bytes.equals("proxy-connection", in: range) ? .proxyConnection : .other
      case 17:
        bytes.equals("transfer-encoding", in: range)
          ? .transferEncoding : bytes.equals("x-forwarded-proto", in: range) ? .xForwardedProto : .other
      default: .other
      }
    if name != .other { return name }
    if range.count >= 12 && bytes.equals("x-forwarded-", in: range.prefix(12)) { return .xForwardedOther }
    return isIdentity(bytes, range, foldingUnderscores: false) ? .identity : .other
  }

  private func classify7(_ bytes: Span<UInt8>, _ range: Range<Int>) -> FieldName {
    if bytes.equals("upgrade", in: range) { return .upgrade }
    if bytes.equals("referer", in: range) { return .referer }
    return bytes.equals("trailer", in: range) ? .trailer : .other
  }

  private func classify10(_ bytes: Span<UInt8>, _ range: Range<Int>) -> FieldName {
    if bytes.equals("connection", in: range) { return .connection }
    if bytes.equals("user-agent", in: range) { return .userAgent }
    return bytes.equals("keep-alive", in: range) ? .keepAlive : .other
  }

  /// True for one of the identity names; with `foldingUnderscores` also for one that differs from it only in `_`
  /// and `-`.
  private func isIdentity(_ bytes: Span<UInt8>, _ range: Range<Int>, foldingUnderscores: Bool) -> Bool {
    guard identityLengths & 1 &<< UInt64(min(range.count, 63)) != 0 else { return false }
    for name in identityNames where name.count == range.count {
      var same = true
      for offset in 0..<name.count {
        let byte = ASCII.lowercased(bytes[range.lowerBound + offset])
        if byte == name[offset] { continue }
        if foldingUnderscores, Self.dashed(byte) == Self.dashed(name[offset]) { continue }
        same = false
        break
      }
      if same { return true }
    }
    return false
  }

  @inline(__always)
  private static func dashed(_ byte: UInt8) -> UInt8 { byte == 0x5F ? 0x2D : byte }

  /// True for a name that is not protected itself, but becomes so with `-` in place of `_` (or, for identity
  /// names, the reverse). WSGI and CGI make the same variable of both, so such a field would speak for the
  /// protected one.
  ///
  /// - Parameters:
  ///   - name: what `classify` says of it.
  ///   - hasUnderscore: whether there is a `_` in it.
  @inline(__always)
  func collides(
    _ bytes: Span<UInt8>, _ range: Range<Int>, name: FieldName, hasUnderscore: Bool
  ) -> Bool {
    guard name == .other else { return false }
    if isIdentity(bytes, range, foldingUnderscores: true) { return true }
    return hasUnderscore && collidesWithKnownName(bytes, range)
  }

  private func collidesWithKnownName(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
    // Longer than all known names; of the `X-Forwarded-` family the beginning is enough.
    let length = min(range.count, 32)
    return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { mapped in
      for offset in 0..<length {
        mapped.initializeElement(at: offset, to: Self.dashed(bytes[range.lowerBound + offset]))
      }
      let name = FieldNameClassifier().classify(UnsafeBufferPointer(mapped).span, 0..<length)
      return FieldNameSet.framing.contains(name) || FieldNameSet.edge.contains(name)
        || FieldNameSet.hopByHop.contains(name)
    }
  }
}

/// Where one field line stands in the bytes of its head.
struct FieldLine: Sendable {
  var start: UInt32
  var nameEnd: UInt32
  var valueStart: UInt32
  var valueEnd: UInt32
  /// Behind the line's CRLF.
  var end: UInt32
  var name: FieldName
  /// True when the field does not go on: nominated by Connection, or colliding with a protected name.
  var isDropped: Bool
  /// True when the line as it came is the line that goes on: at most one SP in front of the value, none behind.
  var isCanonical: Bool

  var nameRange: Range<Int> { Int(start)..<Int(nameEnd) }
  var valueRange: Range<Int> { Int(valueStart)..<Int(valueEnd) }
}
