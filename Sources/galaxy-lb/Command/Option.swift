/// An option of the command line. The cases are in the order in which `--help` shows them.
enum Option: String, CaseIterable, Sendable {
  case listen
  case upstream
  case galaxyConfig = "galaxy-config"
  case config
  case threads
  case control
  case logLevel = "log-level"
  case graceful
  case only
  case maxUnavailable = "max-unavailable"
  case startIfStopped = "start-if-stopped"
  case allowVersionSkew = "allow-version-skew"
  case dryRun = "dry-run"
  case abort
  case status
  case json
  case drain
  case wait
  case timeout
  case ready
  case maintenance
  case reason
  case weight
  case check
  case version
  case help

  /// What an option is for: the headings of `--help`.
  enum Task: String, CaseIterable, Sendable {
    case traffic = "Where requests come from and go to (ADDRESS: HOST:PORT, [IPV6]:PORT, unix:PATH):"
    case running = "How it runs (defaults are in parentheses):"
    case commanding = "Commands to the running proxy (NAME: an upstream, POOL/UPSTREAM, a pool, all):"
    case asking = "Instead of running:"
  }

  /// The option as it is typed.
  var spelling: String { "--\(rawValue)" }

  /// The name of its argument in messages; nil when it takes none.
  var argument: String? {
    switch self {
    case .listen, .upstream: "ADDRESS"
    case .galaxyConfig, .config: "FILE"
    case .threads: "N"
    case .control: "PATH"
    case .logLevel: "LEVEL"
    case .only, .drain, .ready, .maintenance: "NAME"
    case .maxUnavailable: "N[%]"
    case .weight: "NAME=N"
    case .timeout: "TIME"
    case .reason: "TEXT"
    case .graceful, .startIfStopped, .allowVersionSkew, .dryRun, .abort, .status, .json, .wait, .check,
      .version, .help:
      nil
    }
  }

  /// The letter that says the same; nil for most.
  var letter: Unicode.Scalar? {
    switch self {
    case .help: "h"
    case .version: "V"
    default: nil
    }
  }

  /// True when it may be given more than once.
  var isRepeatable: Bool {
    switch self {
    case .listen, .upstream, .galaxyConfig, .only: true
    default: false
    }
  }

  var task: Task {
    switch self {
    case .listen, .upstream, .galaxyConfig, .config: .traffic
    case .threads, .control, .logLevel: .running
    case .graceful, .only, .maxUnavailable, .startIfStopped, .allowVersionSkew, .dryRun, .abort, .status,
      .json,
      .drain, .wait, .timeout, .ready, .maintenance, .reason, .weight:
      .commanding
    case .check, .version, .help: .asking
    }
  }

  /// True for what is done instead of running the proxy: at most one of them is given.
  var isVerb: Bool {
    switch self {
    case .graceful, .abort, .status, .drain, .ready, .maintenance, .weight, .check, .version, .help: true
    default: false
    }
  }

  /// The verbs that it says more about; nil for a verb, and for what is about the proxy itself. `--help` shows it
  /// behind the first of them.
  var companions: [Option]? {
    switch self {
    case .only, .maxUnavailable, .startIfStopped, .allowVersionSkew, .dryRun: [.graceful]
    case .json: [.status, .drain, .graceful]
    case .wait, .timeout: [.drain]
    case .reason: [.maintenance, .drain]
    default: nil
    }
  }

  /// True when `--help` shows it on the line of the one before.
  var sharesLine: Bool { self == .help }

  /// Whether it means something together with a verb.
  func goes(with verb: Option) -> Bool {
    // Nobody who asks for the help has to get the rest right first.
    if self == verb || verb == .help || verb == .version { return true }
    if let companions { return companions.contains(verb) }
    return verb.task == .commanding ? self == .control || self == .config : !isVerb
  }

  /// What it does, short enough for a line of `--help`.
  var summary: String {
    switch self {
    case .listen: "public address, or :PORT; repeatable (\(Settings.defaultListen))"
    case .upstream: "where a gunicorn listens, repeatable"
    case .galaxyConfig: "galaxy.yml or gravity.yml, repeatable (as galaxyctl)"
    case .config: "galaxy-lb.yml (none)"
    case .threads: "event loops, a thread each (one a processor)"
    case .control: "socket for commands, or off (\(Self.defaultControl))"
    case .logLevel: "\(LogLevel.names.joined(separator: ", ")) (\(Settings().logLevel.name))"
    case .graceful: "restart them; users notice nothing"
    case .only: "these alone"
    case .maxUnavailable: "so many at once"
    case .startIfStopped: "start what is down"
    case .allowVersionSkew: "another version than on disk is fine"
    case .dryRun: "say what would be done"
    case .abort: "stop that at the next safe point"
    case .status: "pools and upstreams"
    case .json: "as JSON"
    case .drain: "no new requests; wait for the others"
    case .wait: "until it is drained"
    case .timeout: "at most so long"
    case .ready: "takes requests again"
    case .maintenance: "takes none; the 503 page says why"
    case .reason: "why"
    case .weight: "another share, 1 to 1000"
    case .check: "read everything, print what is in effect and warnings"
    case .version: "print the version"
    case .help: "print this"
    }
  }

  private static let defaultControl = "/run/galaxy-lb/control.sock"
}
