import HTTP1
import JSON

/// A request to the control socket, read to its end.
struct ControlRequest: Sendable {
  var method: String
  /// The target without its query.
  var path: String
  var body: [UInt8]
  /// False when the connection ends after the response.
  var isPersistent: Bool
  /// 0 for HTTP/1.0, which knows no chunked coding.
  var minorVersion: Int
}

/// A whole response of the control socket.
struct ControlResponse: Equatable, Sendable {
  var status = 200
  var contentType = "application/json"
  var content: [UInt8]
  /// The methods that there are instead (RFC 9110 10.2.1).
  var allow: String?

  /// Prometheus' text format.
  static let metricsType = "text/plain; version=0.0.4; charset=utf-8"

  init(_ document: JSON, status: Int = 200) {
    self.status = status
    content = Array((document.indentedText + "\n").utf8)
  }

  init(metrics: [UInt8]) {
    contentType = Self.metricsType
    content = metrics
  }

  init(_ failure: ControlFailure) {
    self.init(["error": .string(failure.message)], status: failure.status)
    allow = failure.allow
  }

  /// Appends the response as it goes over the wire.
  ///
  /// - Parameters:
  ///   - isHead: leave the content out (RFC 9110 9.3.2).
  ///   - closes: say that the connection ends after it.
  func write(isHead: Bool, closes: Bool, to buffer: inout ByteBuffer) {
    Self.writeHead(status: status, contentType: contentType, closes: closes, to: &buffer)
    if let allow { buffer.append(text: "Allow: \(allow)\r\n") }
    buffer.append(text: "Content-Length: \(content.count)\r\n\r\n")
    if !isHead { content.withUnsafeBytes { buffer.append($0) } }
  }

  /// Appends the head of a response without saying how its content is framed, and without the empty line.
  static func writeHead(status: Int, contentType: String, closes: Bool, to buffer: inout ByteBuffer) {
    buffer.append(text: "HTTP/1.1 \(status) \(reason(of: status))\r\nDate: \(HTTPDate.now())\r\n")
    buffer.append(text: "Content-Type: \(contentType)\r\nCache-Control: no-store\r\n")
    if closes { buffer.append("Connection: close\r\n") }
  }

  private static func reason(of status: Int) -> String {
    switch status {
    case 200: "OK"
    case 400: "Bad Request"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 414: "URI Too Long"
    case 422: "Unprocessable Content"
    case 431: "Request Header Fields Too Large"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    case 505: "HTTP Version Not Supported"
    default: "Error"
    }
  }
}

/// Why a request is not carried out.
struct ControlFailure: Error, Equatable, Sendable {
  let status: Int
  let message: String
  var allow: String?

  init(_ status: Int, _ message: String, allow: String? = nil) {
    self.status = status
    self.message = message
    self.allow = allow
  }

  /// A request that is no HTTP as this server speaks it.
  init(_ reason: Rejection) {
    self.init(reason.status, "the request is not valid: \(reason)")
  }
}
