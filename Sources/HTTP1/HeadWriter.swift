extension ContiguousArray<FieldLine> {
  /// Appends all fields but those of the kinds in `dropped` and those that Connection nominates. Lines that stand
  /// side by side and need no change go in one copy.
  func write(_ bytes: Span<UInt8>, dropping dropped: FieldNameSet, to buffer: inout ByteBuffer) {
    var runStart = 0
    var runEnd = 0
    // Not `in self`: an iterator counts a reference to the storage.
    for index in indices {
      let line = self[index]
      let goesOn = !line.isDropped && !dropped.contains(line.name)
      if goesOn, line.isCanonical, Int(line.start) == runEnd {
        runEnd = Int(line.end)
        continue
      }
      if runEnd > runStart { buffer.append(bytes, runStart..<runEnd) }
      runStart = 0
      runEnd = 0
      guard goesOn else { continue }
      if line.isCanonical {
        runStart = Int(line.start)
        runEnd = Int(line.end)
      } else {
        buffer.append(bytes, line.nameRange)
        buffer.append(": ")
        buffer.append(bytes, line.valueRange)
        buffer.append("\r\n")
      }
    }
    if runEnd > runStart { buffer.append(bytes, runStart..<runEnd) }
  }
}

extension RequestHead {
  /// Appends the request line, Host and the fields that go upstream, with one valid framing field (RFC 9112 6.3),
  /// but not the empty line at the end: the caller adds its own fields first.
  ///
  /// - Parameters:
  ///   - bytes: what this head was read from.
  ///   - dropped: kinds of fields that do not go on, beside hop-by-hop and framing fields.
  public func write(_ bytes: Span<UInt8>, dropping dropped: FieldNameSet, to buffer: inout ByteBuffer) {
    buffer.append(bytes, method)
    buffer.append(byte: ASCII.space)
    switch cutTarget?.prefix {
    case .slash: buffer.append(byte: 0x2F)
    case .asterisk: buffer.append(byte: 0x2A)
    case .some(.none), nil: break
    }
    buffer.append(bytes, path)
    buffer.append(" HTTP/1.1\r\nHost: ")
    if let authority {
      buffer.append(bytes, authority)
    } else {
      buffer.append("localhost")
    }
    buffer.append("\r\n")

    var gone = FieldNameSet.hopByHop.union(dropped).union(FieldNameSet(.host, .transferEncoding, .trailer))
    // An expectation is the caller's affair: it answers HTTP/1.0 clients itself and times upstreams out.
    if expectsContinue || minorVersion == 0 || framing == .none { gone.insert(FieldNameSet(.expect)) }
    if !fields.hasPlainContentLength { gone.insert(FieldNameSet(.contentLength)) }
    fields.lines.write(bytes, dropping: gone, to: &buffer)
    if framing == .chunked {
      buffer.append("Transfer-Encoding: chunked\r\n")
    } else if let length = fields.contentLength, !fields.hasPlainContentLength {
      buffer.append("Content-Length: ")
      buffer.append(decimal: length)
      buffer.append("\r\n")
    }
    if expectsContinue { buffer.append("Expect: 100-continue\r\n") }
    if asksForWebSocket { buffer.append("Connection: upgrade\r\nUpgrade: websocket\r\n") }
  }
}

/// How a response is framed on its way to the client.
public enum ClientFraming: Sendable {
  /// As the upstream said: a Content-Length that stays, or no content.
  case unchanged
  /// `Transfer-Encoding: chunked`.
  case chunked
  /// The end of the connection ends the content.
  case untilClose
}

extension ResponseHead {
  /// Appends the status line and the fields that go to the client, with their framing, but not the empty line at
  /// the end.
  public func write(_ bytes: Span<UInt8>, framing clientFraming: ClientFraming, to buffer: inout ByteBuffer) {
    buffer.append("HTTP/1.1 ")
    buffer.append(decimal: Int64(status))
    buffer.append(byte: ASCII.space)
    buffer.append(bytes, reason)
    buffer.append("\r\n")
    var gone = FieldNameSet.hopByHop.union(FieldNameSet(.transferEncoding))
    if clientFraming != .chunked { gone.insert(FieldNameSet(.trailer)) }
    // RFC 9110 8.6: no Content-Length in 1xx and 204. In an answer without content (to HEAD, 304) one that came
    // with Transfer-Encoding says nothing reliable (RFC 9112 6.3).
    let mayHaveLength =
      clientFraming == .unchanged && !isInterim && status != 204 && !fields.hasTransferEncoding
    if !fields.hasPlainContentLength || !mayHaveLength { gone.insert(FieldNameSet(.contentLength)) }
    fields.lines.write(bytes, dropping: gone, to: &buffer)
    if mayHaveLength, let length = fields.contentLength, !fields.hasPlainContentLength {
      buffer.append("Content-Length: ")
      buffer.append(decimal: length)
      buffer.append("\r\n")
    }
    if clientFraming == .chunked { buffer.append("Transfer-Encoding: chunked\r\n") }
    if switchesToWebSocket { buffer.append("Connection: upgrade\r\nUpgrade: websocket\r\n") }
  }
}

extension ChunkedDecoder {
  /// Appends the trailer fields that may go on (RFC 9110 6.5.1: none that frame, route or say who the client is),
  /// each with its line end, but not the empty line at the end of the coding.
  ///
  /// - Parameter classifier: that of the heads, which knows the identity names.
  public func writeTrailers(
    to buffer: inout ByteBuffer, classifier: FieldNameClassifier = FieldNameClassifier()
  ) {
    guard !trailers.isEmpty else { return }
    var section = FieldSection()
    let rules = FieldSection.Rules(
      classifier: classifier, maximumFields: .max, removesBlanksBeforeColon: false,
      dropsCollisions: true)
    guard case .end = section.read(trailers.span, from: 0, rules: rules) else { return }
    let dropped = FieldNameSet.hopByHop.union(.framing).union(.edge)
      .union(FieldNameSet(.expect, .trailer, .contentType))
    section.lines.write(trailers.span, dropping: dropped, to: &buffer)
  }
}

/// The frame that the chunked coding puts around a piece of content (RFC 9112 7.1).
public enum ChunkFrame {
  /// The longest size line that `writeSizeLine` makes.
  public static let longestSizeLine = 18

  /// Writes the size line for `count` bytes so that it ends at the end of `buffer`, which must hold at least
  /// `longestSizeLine` bytes, and returns how many bytes it has.
  public static func writeSizeLine(_ count: Int, endingAtEndOf buffer: UnsafeMutableRawBufferPointer) -> Int {
    var position = buffer.count - 2
    buffer[position] = ASCII.carriageReturn
    buffer[position + 1] = ASCII.lineFeed
    var rest = count
    repeat {
      position -= 1
      let digit = UInt8(truncatingIfNeeded: rest & 0xF)
      buffer[position] = digit < 10 ? 0x30 + digit : 0x57 + digit
      rest >>= 4
    } while rest > 0
    return buffer.count - position
  }

  /// The last chunk without trailers.
  public static let last: StaticString = "0\r\n\r\n"
}
