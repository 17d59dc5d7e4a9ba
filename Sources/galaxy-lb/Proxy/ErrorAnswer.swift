import Glibc
import HTTP1

/// The proxy's own answers: small, complete, and with a page that says what is going on.
enum ErrorAnswer {
  /// Appends a whole response, and returns how many bytes of it are content.
  ///
  /// - Parameters:
  ///   - isHead: leave the content out (RFC 9110 9.3.2).
  ///   - closes: say that the connection ends after it.
  ///   - notice: what the administrators want users to know.
  @discardableResult
  static func write(
    status: Int, isHead: Bool, closes: Bool, notice: String? = nil, to buffer: inout ByteBuffer
  ) -> Int {
    let (reason, general) = text(for: status)
    let explanation = notice.map(escaped) ?? general
    let page = """
      <!DOCTYPE html>
      <html lang="en"><head><meta charset="utf-8"><title>\(status) \(reason)</title></head>
      <body><h1>\(reason)</h1><p>\(explanation)</p></body></html>

      """
    buffer.append(text: "HTTP/1.1 \(status) \(reason)\r\nDate: \(HTTPDate.now())\r\n")
    buffer.append("Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: ")
    buffer.append(decimal: Int64(page.utf8.count))
    buffer.append("\r\n")
    // RFC 9110 10.2.3: when it makes sense to come back.
    if status == 503 { buffer.append("Retry-After: 5\r\n") }
    if status == 405 { buffer.append("Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n") }
    if closes { buffer.append("Connection: close\r\n") }
    buffer.append("\r\n")
    guard !isHead else { return 0 }
    buffer.append(text: page)
    return page.utf8.count
  }

  /// Text as it may stand in HTML.
  private static func escaped(_ text: String) -> String {
    text.unicodeScalars.reduce(into: "") { result, scalar in
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.unicodeScalars.append(scalar)
      }
    }
  }

  private static func text(for status: Int) -> (reason: String, explanation: String) {
    switch status {
    case 400: ("Bad Request", "The request is not valid HTTP, so it was not passed on.")
    case 404: ("Not Found", "No Galaxy is served under this address.")
    case 405: ("Method Not Allowed", "This server is no tunnel to other servers.")
    case 408: ("Request Timeout", "The request took too long to arrive.")
    case 413: ("Content Too Large", "The request's content is larger than this server allows.")
    case 414: ("URI Too Long", "The address asked for is longer than this server allows.")
    case 431: ("Request Header Fields Too Large", "The request's header is larger than this server allows.")
    case 501: ("Not Implemented", "The request uses a transfer coding that this server does not know.")
    case 502:
      ("Bad Gateway", "Galaxy did not answer properly. If this stays so, please tell the administrators.")
    case 503:
      (
        "Service Unavailable",
        "Galaxy is busy, or is being restarted. Please try again in a few seconds."
      )
    case 504: ("Gateway Timeout", "Galaxy took too long to answer.")
    case 505: ("HTTP Version Not Supported", "This server speaks HTTP/1.1 and HTTP/1.0.")
    default: ("Error", "The request could not be served.")
    }
  }
}

/// The date format of RFC 9110 5.6.7.
enum HTTPDate {
  /// The time now.
  static func now() -> String { text(time(nil)) }

  /// A time in seconds since 1970-01-01T00:00:00Z as `Sun, 06 Nov 1994 08:49:37 GMT`.
  static func text(_ time: time_t) -> String {
    var seconds = time
    var parts = tm()
    gmtime_r(&seconds, &parts)
    let days = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(twoDigits).joined(separator: ":")
    let date = "\(twoDigits(parts.tm_mday)) \(months[Int(parts.tm_mon)]) \(parts.tm_year + 1900)"
    return "\(days[Int(parts.tm_wday)]), \(date) \(clock) GMT"
  }

  private static func twoDigits(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
