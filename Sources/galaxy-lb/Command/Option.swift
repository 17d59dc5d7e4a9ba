/// An option of the command line. The cases are in the order in which `--help` shows them.
enum Option: String, CaseIterable, Sendable {
  case listen
  case upstream
  case galaxyConfig = "galaxy-config"
  case config
  case threads
  case control
  case logLevel = "log-level"
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
    case traffic = "Where requests come from and go to:"
    case running = "How it runs:"
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
    case .drain, .ready, .maintenance: "NAME"
    case .weight: "NAME=N"
    case .timeout: "TIME"
    case .reason: "TEXT"
    case .status, .json, .wait, .check, .version, .help: nil
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
    case .listen, .upstream, .galaxyConfig: true
    default: false
    }
  }

  var task: Task {
    switch self {
    case .listen, .upstream, .galaxyConfig, .config: .traffic
    case .threads, .control, .logLevel: .running
    case .status, .json, .drain, .wait, .timeout, .ready, .maintenance, .reason, .weight: .commanding
    case .check, .version, .help: .asking
    }
  }

  /// True for what is done instead of running the proxy: at most one of them is given.
  var isVerb: Bool {
    switch self {
    case .status, .drain, .ready, .maintenance, .weight, .check, .version, .help: true
    default: false
    }
  }

  /// The verbs that it says more about; nil for a verb, and for what is about the proxy itself. `--help` shows it
  /// behind the first of them.
  var companions: [Option]? {
    switch self {
    case .json: [.status, .drain]
    case .wait, .timeout: [.drain]
    case .reason: [.maintenance, .drain]
    default: nil
    }
  }

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
    case .listen: "public address, repeatable (\(Settings.defaultListen))"
    case .upstream: "where a gunicorn listens, repeatable"
    case .galaxyConfig: "galaxy.yml or gravity.yml, repeatable (as galaxyctl)"
    case .config: "galaxy-lb.yml (none)"
    case .threads: "event loops, a thread each (one a processor)"
    case .control: "socket for commands, or off (\(Self.defaultControl))"
    case .logLevel: "\(LogLevel.names.joined(separator: ", ")) (\(Settings().logLevel.name))"
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
