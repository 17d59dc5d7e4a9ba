import GravityRestart
import JSON
import YAML

/// What a request to the control socket asks for.
enum ControlCall: Equatable, Sendable {
  case status
  case upstreams
  case upstream(pool: String, name: String)
  case metrics
  case reload
  case change(pool: String, name: String, Change)
  /// What is known of the restart that goes on, and of the last one.
  case restartState
  case restart(RestartRequest)
  case abortRestart

  /// What is wanted of one upstream.
  enum Change: Equatable, Sendable {
    /// No new work; what it has may end. With `waits` the response tells how that goes on until it has ended, or until
    /// `timeout`, in milliseconds, has passed.
    case drain(reason: String?, waits: Bool, timeout: Int64?)
    case ready
    case maintenance(reason: String?)
    case weight(Int)
  }

  /// True when it leaves everything as it is.
  var isReading: Bool {
    switch self {
    case .status, .upstreams, .upstream, .metrics, .restartState: true
    case .reload, .change, .restart, .abortRestart: false
    }
  }

  /// The longest reason, in bytes: it stands on the page that users see.
  static let longestReason = 1000
  static let allowedWeights = 1...1000
  /// In milliseconds.
  static let longestTimeout: Int64 = 7 * 24 * 3_600_000

  /// What is behind a path, before the method is known.
  private enum Resource {
    case reading(ControlCall)
    case reload
    case change(pool: String, name: String, verb: String)
    case restart
    case abortRestart
  }

  private static let verbs = ["drain", "ready", "maintenance", "weight"]

  /// Reads a request. Which pools and upstreams there are is for others to know.
  init(_ request: ControlRequest) throws(ControlFailure) {
    let resource = try Self.resource(request.path)
    let isReading = request.method == "GET" || request.method == "HEAD"
    switch resource {
    case .reading(let call):
      guard isReading else { throw Self.wrongMethod(request.method, allowed: "GET, HEAD") }
      self = call
    case .restart where isReading: self = .restartState
    case .reload, .change, .restart, .abortRestart:
      let allowed = if case .restart = resource { "GET, HEAD, POST" } else { "POST" }
      guard request.method == "POST" else { throw Self.wrongMethod(request.method, allowed: allowed) }
      let body = try ControlBody(request.body)
      switch resource {
      case .change(let pool, let name, let verb):
        self = .change(pool: pool, name: name, try Self.change(verb, body))
      case .restart: self = .restart(try RestartRequest(body))
      case .abortRestart:
        try body.expectOnly([])
        self = .abortRestart
      case .reading, .reload:
        try body.expectOnly([])
        self = .reload
      }
    }
  }

  private static func wrongMethod(_ method: String, allowed: String) -> ControlFailure {
    ControlFailure(405, "\(method) is no method of this resource, expected \(allowed)", allow: allowed)
  }

  private static func resource(_ path: String) throws(ControlFailure) -> Resource {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map {
      percentDecoded($0)
    }
    switch parts.count {
    case 1 where parts == ["metrics"]: return .reading(.metrics)
    case 2 where parts == ["v1", "status"]: return .reading(.status)
    case 2 where parts == ["v1", "upstreams"]: return .reading(.upstreams)
    case 2 where parts == ["v1", "reload"]: return .reload
    case 2 where parts == ["v1", "restart"]: return .restart
    case 3 where parts == ["v1", "restart", "abort"]: return .abortRestart
    case 4...5 where parts.starts(with: ["v1", "upstreams"]):
      guard let pool = parts[2], let name = parts[3] else { break }
      if parts.count == 4 { return .reading(.upstream(pool: pool, name: name)) }
      if let verb = parts[4], verbs.contains(verb) { return .change(pool: pool, name: name, verb: verb) }
    default: break
    }
    throw ControlFailure(
      404,
      "no such resource, expected /v1/status, /v1/upstreams, /v1/upstreams/POOL/NAME, "
        + "/v1/upstreams/POOL/NAME/{\(verbs.joined(separator: ","))}, /v1/restart, /v1/restart/abort, /v1/reload "
        + "or /metrics")
  }

  /// Nil when an escape is none, or what comes out is no UTF-8 (RFC 3986 2.1).
  private static func percentDecoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
        let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
      else { return nil }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func change(_ verb: String, _ body: ControlBody) throws(ControlFailure) -> Change {
    switch verb {
    case "drain":
      try body.expectOnly(["reason", "wait", "timeout"])
      let waits = try body.boolean("wait") ?? false
      let timeout = try body.seconds("timeout", upTo: Double(longestTimeout / 1000))
      if timeout != nil, !waits { throw ControlFailure(400, "timeout: only together with \"wait\": true") }
      return .drain(reason: try body.reason(), waits: waits, timeout: timeout)
    case "maintenance":
      try body.expectOnly(["reason"])
      return .maintenance(reason: try body.reason())
    case "weight":
      try body.expectOnly(["weight"])
      return .weight(try body.integer("weight", in: allowedWeights))
    default:
      try body.expectOnly([])
      return .ready
    }
  }
}
