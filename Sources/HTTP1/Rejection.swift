/// Why a message is not taken. The cases are closed: they stand in the access log and in the metrics.
public enum Rejection: UInt8, Error, Sendable, CaseIterable {
  case malformedRequestLine
  case malformedTarget
  case connectMethod
  case unsupportedVersion
  case requestLineTooLong
  case headTooLarge
  case tooManyFields
  case malformedFieldName
  case malformedFieldValue
  case whitespaceBeforeColon
  case lineFolding
  case bareLineEnd
  case missingHost
  case repeatedHost
  case malformedHost
  case malformedContentLength
  case conflictingContentLength
  case contentLengthWithTransferEncoding
  case malformedTransferEncoding
  case unsupportedTransferCoding
  case transferEncodingInHTTP10
  case tooManyConnectionOptions
  case bodyTooLarge
  case malformedChunk
  case chunkExtensionTooLong
  case trailersTooLarge
  case malformedStatusLine

  /// The status that tells a client about it (RFC 9110 15.5, 15.6; RFC 6585 5).
  public var status: Int {
    switch self {
    case .connectMethod: 405
    case .bodyTooLarge: 413
    case .requestLineTooLong: 414
    case .headTooLarge, .tooManyFields, .tooManyConnectionOptions, .trailersTooLarge: 431
    case .unsupportedTransferCoding: 501
    case .unsupportedVersion: 505
    default: 400
    }
  }
}

/// How the octets behind a head are delimited (RFC 9112 6.3).
public enum BodyFraming: Equatable, Sendable {
  /// No content, and nothing follows that belongs to this message.
  case none
  /// So many octets.
  case length(Int64)
  /// The chunked coding (RFC 9112 7.1).
  case chunked
  /// All until the connection ends (responses only).
  case untilClose
}

/// What came of reading a head.
public enum HeadProgress: Equatable, Sendable {
  /// The bytes so far are the beginning of a head.
  case incomplete
  /// The head is read; it has so many bytes, an empty line in front of it included.
  case complete(byteCount: Int)
  /// The message can't be taken.
  case rejected(Rejection)
}

/// True when a piece of a head ends a line, and reading the head again may come to another result.
public func endsLine(_ piece: Span<UInt8>) -> Bool {
  for index in 0..<piece.count where piece[index] == ASCII.lineFeed { return true }
  return false
}
