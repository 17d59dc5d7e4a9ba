import GravityRestart
import SystemCalls
import UpstreamPool

/// The effective configuration: everything that was read, checked and defaulted, immutable once a proxy runs
/// on it. Reading it from files and options is the business of the other files in this folder.
struct Settings: Sendable {
  /// Public addresses, at least one unless systemd passes sockets.
  var listen: [Endpoint] = []
  /// The number of event loops, each on a thread of its own; at least 1.
  var threads = 1
  var control = ControlPlace.byDefault
  /// Whose members may connect to the control socket and change things over it; nil for the proxy's own group, whose
  /// members may look.
  var controlGroup: SystemGroup?
  /// Where anybody may read the metrics; nil for on the control socket only.
  var metrics: Endpoint?
  /// Whom to become after binding; nil stays who started it.
  var runAs: RunAs?
  var pools: [PoolSettings] = []
  /// How each of `pools` is restarted, in the same order.
  var restarts: [PoolRestart] = []
  var restartHooks = RestartHooks()
  /// Where the reports of restarts are kept; nil for nowhere.
  var stateDirectory: String?
  /// Most specific first; the last resort is the pool of a route without host and prefix.
  var routes: [Route] = []
  var timeouts = Timeouts()
  var limits = Limits()
  /// Whose X-Forwarded-*, Forwarded, X-Request-Id and identity headers are believed.
  var trustedProxies = TrustedProxies()
  /// Lower-case names of headers that only a trusted proxy may set (Galaxy's `remote_user_header`, `GX_SECRET`).
  /// Both spellings: proxies in front of Galaxy send the one with `_` as well.
  var identityHeaders = [
    "remote-user", "remote_user", "gx-secret", "gx_secret", "x-remote-user", "remote-user-email",
  ]
  var accessLog = AccessLogSettings()
  var logLevel = LogLevel.info
  /// TCP_DEFER_ACCEPT on public TCP sockets: a connection is accepted when its first bytes are there.
  var deferAccept = false
}

/// Where the control socket is.
enum ControlPlace: Hashable, Sendable {
  /// Where the system keeps such sockets, see `ControlPlace.defaultPath`.
  case byDefault
  case off
  case at(path: String)
}

/// A group by number, with its name for messages.
struct SystemGroup: Hashable, Sendable {
  var number: UInt32
  var name: String
}

/// A user and a group by number, with their names for messages.
struct RunAs: Hashable, Sendable {
  var user: UInt32
  var group: UInt32
  var userName: String
  var groupName: String
}

/// Which requests go to which pool.
struct Route: Hashable, Sendable {
  /// What a route asks of the request's host (compared without port, ASCII case-insensitive).
  enum Host: Hashable, Sendable {
    case any
    /// Exactly this host, in lower case.
    case exactly(String)
    /// Any host that ends in this suffix, which starts with a dot (`*.example.org` is `.example.org`).
    case endingIn(String)
  }

  var host = Host.any
  /// The path must be this prefix, or go on with `/` or `?` behind it; empty for any path. No trailing `/`.
  var pathPrefix = ""
  /// The name of the pool.
  var pool: String
}

/// Time-outs in milliseconds.
struct Timeouts: Hashable, Sendable {
  /// From the first byte of a request to the end of its head, in total.
  var requestHead: Int64 = 30_000
  /// Without a byte of a request body from the client.
  var requestBody: Int64 = 60_000
  /// Without progress while the client takes a response.
  var send: Int64 = 60_000
  /// A client connection without a request.
  var keepAlive: Int64 = 75_000
  /// Until a connection to an upstream stands, waiting for a full backlog included.
  var connect: Int64 = 5_000
  /// From the end of the request to the head of the response, and between two pieces of its body.
  var response: Int64 = 300_000
  /// An event stream without a byte.
  var eventStream: Int64 = 3_600_000
  /// A tunnel without a byte in either direction.
  var tunnel: Int64 = 3_600_000
  /// From the stop signal until what is still in flight is cut.
  var shutdown: Int64 = 30_000
  /// An idle connection to an upstream; gunicorn closes its own after 2 s.
  var upstreamKeepAlive: Int64 = 1_500
}

/// Bounds on what strangers control, in bytes unless said otherwise.
struct Limits: Hashable, Sendable {
  /// Request line and fields of a request together.
  var requestHead = 65_536
  /// The request line alone.
  var requestLine = 16_384
  /// The number of fields in one head.
  var fields = 256
  /// The body of a request; nil for no limit.
  var requestBody: Int64?
  /// Status line and fields of a response together.
  var responseHead = 65_536
  /// Client connections of the whole process.
  var connections = 10_000
}

/// Whom to believe about where a request came from.
struct TrustedProxies: Hashable, Sendable {
  var blocks: [AddressBlock] = []
  /// True when peers on unix listening sockets are believed.
  var unixPeers = false

  func includes(_ peer: Peer) -> Bool {
    guard let address = peer.address else { return unixPeers }
    return includes(address)
  }

  func includes(_ address: IPAddress) -> Bool { blocks.contains { $0.contains(address) } }
}

/// Where the access log goes and how a line looks.
struct AccessLogSettings: Hashable, Sendable {
  enum Destination: Hashable, Sendable {
    case off
    case standardError
    case file(path: String)
  }

  enum Format: String, Hashable, Sendable, CaseIterable {
    /// nginx's combined format, then the proxy's own fields as key=value.
    case combined
    /// One JSON object a line.
    case json
  }

  var destination = Destination.off
  var format = Format.combined
}

/// How much the log on standard error says.
enum LogLevel: Int, Sendable, Comparable, CaseIterable {
  case debug
  case info
  case notice
  case warning
  case error

  static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }
}
