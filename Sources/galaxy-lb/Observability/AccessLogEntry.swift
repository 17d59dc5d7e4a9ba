import HTTP1
import SystemCalls

/// What a line of the access log tells, besides the texts of the request's head: an exchange that is over, or a
/// request that never became one.
struct AccessLogEntry {
  /// The client's address; nil for a client on a unix socket.
  var client: IPAddress?
  var texts = LoggedTexts()
  var record: ExchangeRecord

  /// Appends the line, its newline included.
  ///
  /// - Parameter bytes: those that `texts` is about, and no others.
  func append(
    _ bytes: UnsafeRawBufferPointer, to buffer: inout ByteBuffer, as format: AccessLogSettings.Format,
    at time: AccessLogClock
  ) {
    let names = (record.poolName?.utf8.count ?? 0) + (record.upstreamName?.utf8.count ?? 0)
    let textCount = bytes.count + names
    var line = AccessLogLine(buffer.reserve(AccessLogLine.fixedPart + AccessLogLine.growth * textCount))
    switch format {
    case .combined: writeCombined(bytes, time, to: &line)
    case .json: writeJSON(bytes, time, to: &line)
    }
    buffer.commit(line.count)
  }

  private func text(_ place: LoggedTexts.Place?, _ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    place.map { UnsafeRawBufferPointer(rebasing: bytes[Int($0.lowerBound)..<Int($0.upperBound)]) }
  }

  /// As nginx has it: 499 for a client that left before there was a status, 0 for anything else without one.
  private var status: Int {
    record.status == 0 && record.reason == .clientLeft ? 499 : record.status
  }

  /// Nanoseconds from the request's head to `time`; nil when one of them was never reached.
  private func elapsed(until time: Int64) -> Int64? {
    record.receivedAt != 0 && time != 0 ? time - record.receivedAt : nil
  }

  // MARK: nginx's combined format

  private func writeCombined(
    _ bytes: UnsafeRawBufferPointer, _ time: AccessLogClock, to line: inout AccessLogLine
  ) {
    appendClient(to: &line)
    // Nobody is authenticated here, so the remote user is never known.
    line.append(" - - [")
    line.append(time.local)
    line.append("] ")
    appendQuoted(text(texts.request, bytes), to: &line)
    line.append(byte: 0x20)
    line.append(decimal: Int64(status), digits: 3)
    line.append(byte: 0x20)
    line.append(decimal: record.bodyBytesSent)
    line.append(byte: 0x20)
    appendQuoted(text(texts.referer, bytes), to: &line)
    line.append(byte: 0x20)
    appendQuoted(text(texts.userAgent, bytes), to: &line)
    line.append(" host=")
    appendQuoted(text(texts.host, bytes), to: &line)
    writeCourse(bytes, as: .combined, to: &line)
    line.append("\n")
  }

  private func appendClient(to line: inout AccessLogLine) {
    if let client { line.append(client) } else { line.append("unix:") }
  }

  private func appendQuoted(_ text: UnsafeRawBufferPointer?, to line: inout AccessLogLine) {
    guard let text else {
      line.append("\"-\"")
      return
    }
    line.append("\"")
    line.append(escaping: text, as: .quoted)
    line.append("\"")
  }

  // MARK: JSON

  private func writeJSON(
    _ bytes: UnsafeRawBufferPointer, _ time: AccessLogClock, to line: inout AccessLogLine
  ) {
    line.append("{\"time\":\"")
    line.append(time.universal)
    line.append(".")
    line.append(decimal: time.milliseconds, digits: 3)
    line.append("Z\",\"remote_addr\":\"")
    appendClient(to: &line)
    line.append("\",\"request\":")
    appendWord(text(texts.request, bytes), as: .json, to: &line)
    line.append(",\"status\":")
    line.append(decimal: Int64(status))
    line.append(",\"body_bytes_sent\":")
    line.append(decimal: record.bodyBytesSent)
    line.append(",\"referer\":")
    appendWord(text(texts.referer, bytes), as: .json, to: &line)
    line.append(",\"user_agent\":")
    appendWord(text(texts.userAgent, bytes), as: .json, to: &line)
    line.append(",\"host\":")
    appendWord(text(texts.host, bytes), as: .json, to: &line)
    writeCourse(bytes, as: .json, to: &line)
    line.append("}\n")
  }

  // MARK: Both

  /// What became of the request: the fields that both formats have, in the same order.
  private func writeCourse(
    _ bytes: UnsafeRawBufferPointer, as format: AccessLogSettings.Format, to line: inout AccessLogLine
  ) {
    append(name: "pool", as: format, to: &line)
    appendWord(record.poolName, as: format, to: &line)
    append(name: "upstream", as: format, to: &line)
    appendWord(record.upstreamName, as: format, to: &line)
    append(name: "to_upstream", as: format, to: &line)
    appendSeconds(elapsed(until: record.sentAt), as: format, to: &line)
    append(name: "to_first_byte", as: format, to: &line)
    appendSeconds(elapsed(until: record.firstByteAt), as: format, to: &line)
    append(name: "total", as: format, to: &line)
    appendSeconds(elapsed(until: record.endedAt), as: format, to: &line)
    append(name: "held", as: format, to: &line)
    line.append(seconds: record.held)
    append(name: "bytes_received", as: format, to: &line)
    line.append(decimal: record.bytesReceived)
    append(name: "bytes_sent", as: format, to: &line)
    line.append(decimal: record.bytesSent)
    append(name: "retries", as: format, to: &line)
    line.append(decimal: Int64(record.retries))
    append(name: "request_id", as: format, to: &line)
    appendWord(text(texts.requestID, bytes), as: format, to: &line)
    append(name: "reason", as: format, to: &line)
    appendWord(record.reason.name, as: format, to: &line)
  }

  @inline(__always)
  private func append(
    name: StaticString, as format: AccessLogSettings.Format, to line: inout AccessLogLine
  ) {
    switch format {
    case .combined:
      line.append(" ")
      line.append(name)
      line.append("=")
    case .json:
      line.append(",\"")
      line.append(name)
      line.append("\":")
    }
  }

  private func appendMissing(as format: AccessLogSettings.Format, to line: inout AccessLogLine) {
    switch format {
    case .combined: line.append("-")
    case .json: line.append("null")
    }
  }

  /// A word without quotes, or a JSON string.
  private func appendWord(
    _ text: UnsafeRawBufferPointer?, as format: AccessLogSettings.Format, to line: inout AccessLogLine
  ) {
    guard let text else {
      appendMissing(as: format, to: &line)
      return
    }
    switch format {
    case .combined: line.append(escaping: text, as: .bare)
    case .json:
      line.append("\"")
      line.append(escaping: text, as: .json)
      line.append("\"")
    }
  }

  private func appendWord(
    _ text: String?, as format: AccessLogSettings.Format, to line: inout AccessLogLine
  ) {
    guard var text else {
      appendMissing(as: format, to: &line)
      return
    }
    text.withUTF8 { appendWord(UnsafeRawBufferPointer($0), as: format, to: &line) }
  }

  private func appendSeconds(
    _ nanoseconds: Int64?, as format: AccessLogSettings.Format, to line: inout AccessLogLine
  ) {
    if let nanoseconds { line.append(seconds: nanoseconds) } else { appendMissing(as: format, to: &line) }
  }
}
