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
    line.append(" pool=")
    appendWord(record.poolName, to: &line)
    line.append(" upstream=")
    appendWord(record.upstreamName, to: &line)
    line.append(" to_upstream=")
    appendSeconds(elapsed(until: record.sentAt), orElse: "-", to: &line)
    line.append(" to_first_byte=")
    appendSeconds(elapsed(until: record.firstByteAt), orElse: "-", to: &line)
    line.append(" total=")
    appendSeconds(elapsed(until: record.endedAt), orElse: "-", to: &line)
    line.append(" held=")
    line.append(seconds: record.held)
    line.append(" bytes_received=")
    line.append(decimal: record.bytesReceived)
    line.append(" bytes_sent=")
    line.append(decimal: record.bytesSent)
    line.append(" retries=")
    line.append(decimal: Int64(record.retries))
    line.append(" request_id=")
    if let id = text(texts.requestID, bytes) {
      line.append(escaping: id, as: .bare)
    } else {
      line.append("-")
    }
    line.append(" reason=")
    line.append(word: record.reason.name)
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

  private func appendWord(_ text: String?, to line: inout AccessLogLine) {
    if let text { line.append(escaping: text, as: .bare) } else { line.append("-") }
  }

  private func appendSeconds(
    _ nanoseconds: Int64?, orElse missing: StaticString, to line: inout AccessLogLine
  ) {
    if let nanoseconds { line.append(seconds: nanoseconds) } else { line.append(missing) }
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
    appendJSON(text(texts.request, bytes), to: &line)
    line.append(",\"status\":")
    line.append(decimal: Int64(status))
    line.append(",\"body_bytes_sent\":")
    line.append(decimal: record.bodyBytesSent)
    line.append(",\"referer\":")
    appendJSON(text(texts.referer, bytes), to: &line)
    line.append(",\"user_agent\":")
    appendJSON(text(texts.userAgent, bytes), to: &line)
    line.append(",\"host\":")
    appendJSON(text(texts.host, bytes), to: &line)
    line.append(",\"pool\":")
    appendJSON(record.poolName, to: &line)
    line.append(",\"upstream\":")
    appendJSON(record.upstreamName, to: &line)
    line.append(",\"to_upstream\":")
    appendSeconds(elapsed(until: record.sentAt), orElse: "null", to: &line)
    line.append(",\"to_first_byte\":")
    appendSeconds(elapsed(until: record.firstByteAt), orElse: "null", to: &line)
    line.append(",\"total\":")
    appendSeconds(elapsed(until: record.endedAt), orElse: "null", to: &line)
    line.append(",\"held\":")
    line.append(seconds: record.held)
    line.append(",\"bytes_received\":")
    line.append(decimal: record.bytesReceived)
    line.append(",\"bytes_sent\":")
    line.append(decimal: record.bytesSent)
    line.append(",\"retries\":")
    line.append(decimal: Int64(record.retries))
    line.append(",\"request_id\":")
    appendJSON(text(texts.requestID, bytes), to: &line)
    line.append(",\"reason\":\"")
    line.append(word: record.reason.name)
    line.append("\"}\n")
  }

  private func appendJSON(_ text: UnsafeRawBufferPointer?, to line: inout AccessLogLine) {
    guard let text else {
      line.append("null")
      return
    }
    line.append("\"")
    line.append(escaping: text, as: .json)
    line.append("\"")
  }

  private func appendJSON(_ text: String?, to line: inout AccessLogLine) {
    guard var text else {
      line.append("null")
      return
    }
    text.withUTF8 { appendJSON(UnsafeRawBufferPointer($0), to: &line) }
  }
}
