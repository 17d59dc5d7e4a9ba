import SystemCalls

extension Settings {
  /// Where the proxy listens when nobody says it. Not 8080: that is where Gravity's gunicorn listens by default.
  static let defaultListen = Endpoint.tcp(host: "127.0.0.1", port: 8088)
  static let allowedThreads = 1...256
}

/// One key of `timeouts` in galaxy-lb.yml.
struct TimeoutKey: Sendable {
  let name: String
  let field: any WritableKeyPath<Timeouts, Int64> & Sendable
  /// In milliseconds.
  var allowed: ClosedRange<Int64> = 1...(24 * 3_600_000)

  static let all = [
    TimeoutKey(name: "request_head", field: \.requestHead),
    TimeoutKey(name: "request_body", field: \.requestBody),
    TimeoutKey(name: "send", field: \.send),
    TimeoutKey(name: "keep_alive", field: \.keepAlive),
    TimeoutKey(name: "connect", field: \.connect),
    TimeoutKey(name: "response", field: \.response),
    TimeoutKey(name: "event_stream", field: \.eventStream),
    TimeoutKey(name: "tunnel", field: \.tunnel),
    TimeoutKey(name: "shutdown", field: \.shutdown, allowed: 0...(24 * 3_600_000)),
    TimeoutKey(name: "upstream_keep_alive", field: \.upstreamKeepAlive),
  ]
}

/// One key of `limits` in galaxy-lb.yml.
struct LimitKey: Sendable {
  enum Field: Sendable {
    case bytes(any WritableKeyPath<Limits, Int> & Sendable)
    case number(any WritableKeyPath<Limits, Int> & Sendable)
    /// Bytes, or `none`.
    case optionalBytes(any WritableKeyPath<Limits, Int64?> & Sendable)
  }

  let name: String
  let field: Field
  let allowed: ClosedRange<Int64>

  // The lower bounds let every regular browser through; the upper ones keep what a stranger can make the proxy
  // hold within reason.
  static let all = [
    LimitKey(name: "request_head", field: .bytes(\.requestHead), allowed: 4096...(16 << 20)),
    LimitKey(name: "request_line", field: .bytes(\.requestLine), allowed: 1024...(16 << 20)),
    LimitKey(name: "fields", field: .number(\.fields), allowed: 16...10_000),
    LimitKey(name: "request_body", field: .optionalBytes(\.requestBody), allowed: 0...Int64.max),
    LimitKey(name: "response_head", field: .bytes(\.responseHead), allowed: 4096...(16 << 20)),
    LimitKey(name: "connections", field: .number(\.connections), allowed: 1...1_000_000),
  ]
}
