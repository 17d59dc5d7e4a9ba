import HTTP1
import UpstreamPool

/// Why an exchange ended: a closed set, which stands in the access log, the metrics and the restart report.
enum EndReason: Equatable, Sendable {
  /// The whole response went to the client.
  case completed
  /// A WebSocket or another tunnel ended.
  case tunnelClosed
  /// The request was not taken.
  case requestRejected(Rejection)
  /// The client ended or reset its connection first.
  case clientLeft
  /// The client did not send its request, or did not take its response, in time.
  case clientTimedOut
  /// The upstream failed; the client got an error answer, or saw the response cut.
  case upstreamFailed(UpstreamFailure)
  /// No upstream of the pool takes new work.
  case noUpstream
  /// It waited for an upstream as long as requests wait.
  case holdExpired
  /// Too many requests wait for an upstream already.
  case holdRefused
  /// No route leads anywhere.
  case noRoute
  /// Its upstream is about to be restarted, and was not waited for any longer.
  case drainExpired
  /// The proxy ran out of descriptors or memory.
  case resourcesExhausted
  /// The proxy stopped, and the shutdown time-out passed.
  case stopped

  /// The word that stands in logs and metrics.
  var name: String {
    switch self {
    case .completed: "completed"
    case .tunnelClosed: "tunnel_closed"
    case .requestRejected(let reason): Self.rejectionNames[Int(reason.rawValue)]
    case .clientLeft: "client_left"
    case .clientTimedOut: "client_timed_out"
    case .upstreamFailed(let failure): Self.failureNames[Int(failure.rawValue)]
    case .noUpstream: "no_upstream"
    case .holdExpired: "hold_expired"
    case .holdRefused: "hold_refused"
    case .noRoute: "no_route"
    case .drainExpired: "drain_expired"
    case .resourcesExhausted: "resources_exhausted"
    case .stopped: "stopped"
    }
  }

  // By raw value, made once: what a stranger's bad request costs must be little.
  private static let rejectionNames = Rejection.allCases.map { "rejected_\(snakeCased("\($0)"))" }
  private static let failureNames = UpstreamFailure.allCases.map { "upstream_\(snakeCased("\($0)"))" }

  /// `malformedHost` becomes `malformed_host`; an acronym is one word, and so is a number: `inHTTP10` becomes
  /// `in_http_10`.
  private static func snakeCased(_ name: String) -> String {
    var before: Character?
    return name.reduce(into: "") { result, character in
      if let before, character.isUppercase && !before.isUppercase || character.isNumber && !before.isNumber {
        result += "_"
      }
      result += character.lowercased()
      before = character
    }
  }
}
