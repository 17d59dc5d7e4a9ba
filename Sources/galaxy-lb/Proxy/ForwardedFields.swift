import HTTP1
import SystemCalls

/// The fields by which an edge tells the application about the client (X-Forwarded-For, -Proto, -Host,
/// X-Request-Id), and which of the client's own are believed.
struct ForwardedFields {
  /// What goes upstream from a client that nobody vouches for: none of its own words about itself.
  private static let droppedFromStrangers = FieldNameSet.edge
  /// A trusted proxy's words are merged into the proxy's own lines; the others it set pass.
  private static let droppedFromTrusted = FieldNameSet(
    .forwarded, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xRequestID)

  /// The longest request id that is passed on.
  static let longestRequestID = 128

  let peer: Peer
  let isTrusted: Bool

  /// Kinds of fields that don't go upstream as they came.
  var dropped: FieldNameSet { isTrusted ? Self.droppedFromTrusted : Self.droppedFromStrangers }

  /// Appends the proxy's lines, and returns where in `buffer` the request id stands.
  ///
  /// - Parameter newRequestID: made up for a request that brings none.
  func write(
    _ head: RequestHead, _ bytes: Span<UInt8>, newRequestID: (UInt64, UInt64), to buffer: inout ByteBuffer
  ) -> Range<Int> {
    guard isTrusted else {
      buffer.append("X-Forwarded-For: ")
      appendPeer(to: &buffer)
      buffer.append("\r\nX-Forwarded-Proto: http\r\n")
      appendHost(head.authority, bytes, to: &buffer)
      return appendRequestID(newRequestID, to: &buffer)
    }
    return writeMerged(head, bytes, newRequestID: newRequestID, to: &buffer)
  }

  private func writeMerged(
    _ head: RequestHead, _ bytes: Span<UInt8>, newRequestID: (UInt64, UInt64), to buffer: inout ByteBuffer
  ) -> Range<Int> {
    var standard = ForwardedElements()
    for value in head.values(of: .forwarded) { standard.read(bytes, value) }
    var clients = head.values(of: .xForwardedFor).filter { !$0.isEmpty }
    if clients.isEmpty { clients = standard.clients }

    buffer.append("X-Forwarded-For: ")
    for client in clients {
      append(bytes, client, to: &buffer)
      buffer.append(", ")
    }
    appendPeer(to: &buffer)
    // Of several the first: each proxy adds behind the others what it was asked by, so that it is the client's own
    // (RFC 7239 4 says so of `Forwarded`).
    let proto = head.firstElement(of: .xForwardedProto, in: bytes) ?? standard.proto
    let isSecure = proto.map { isHTTPS(bytes, $0) } ?? false
    buffer.append(isSecure ? "\r\nX-Forwarded-Proto: https\r\n" : "\r\nX-Forwarded-Proto: http\r\n")
    let host = head.firstElement(of: .xForwardedHost, in: bytes) ?? standard.host ?? head.authority
    appendHost(host, bytes, to: &buffer)
    guard let given = head.value(of: .xRequestID), isRequestID(bytes, given) else {
      return appendRequestID(newRequestID, to: &buffer)
    }
    buffer.append("X-Request-Id: ")
    append(bytes, given, to: &buffer)
    buffer.append("\r\n")
    return buffer.count - 2 - given.count..<buffer.count - 2
  }

  /// The peer's address; `unix:` for a peer on a unix socket, as nginx says it.
  private func appendPeer(to buffer: inout ByteBuffer) {
    guard let address = peer.address else {
      buffer.append("unix:")
      return
    }
    let room = buffer.reserve(IPAddress.longestText)
    buffer.commit(address.write(to: room))
  }

  private func appendHost(_ host: Range<Int>?, _ bytes: Span<UInt8>, to buffer: inout ByteBuffer) {
    guard let host else { return }
    buffer.append("X-Forwarded-Host: ")
    append(bytes, host, to: &buffer)
    buffer.append("\r\n")
  }

  private func append(_ bytes: Span<UInt8>, _ range: Range<Int>, to buffer: inout ByteBuffer) {
    bytes.extracting(range).withUnsafeBytes { buffer.append($0) }
  }

  private func isHTTPS(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
    let expected: StaticString = "https"
    guard value.count == 5 else { return false }
    for offset in 0..<5 where bytes[value.lowerBound + offset] | 0x20 != expected.utf8Start[offset] {
      return false
    }
    return true
  }

  /// Visible ASCII, so that it can stand in a log line.
  private func isRequestID(_ bytes: Span<UInt8>, _ value: Range<Int>) -> Bool {
    guard !value.isEmpty, value.count <= Self.longestRequestID else { return false }
    for index in value where bytes[index] <= 0x20 || bytes[index] >= 0x7F || bytes[index] == 0x22 {
      return false
    }
    return true
  }

  private func appendRequestID(_ id: (UInt64, UInt64), to buffer: inout ByteBuffer) -> Range<Int> {
    buffer.append("X-Request-Id: ")
    let room = buffer.reserve(34)
    writeHex(id.0, to: room, at: 0)
    writeHex(id.1, to: room, at: 16)
    room[32] = 0x0D
    room[33] = 0x0A
    buffer.commit(34)
    return buffer.count - 34..<buffer.count - 2
  }

  private func writeHex(_ word: UInt64, to room: UnsafeMutableRawBufferPointer, at start: Int) {
    for digit in 0..<16 {
      let value = UInt8(truncatingIfNeeded: word &>> UInt64(60 - digit * 4)) & 0xF
      room[start + digit] = value < 10 ? 0x30 + value : 0x57 + value
    }
  }
}
