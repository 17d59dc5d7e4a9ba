/// An option of the command line. The cases are in the order in which `--help` shows them.
enum Option: String, CaseIterable, Sendable {
  case listen
  case upstream
  case galaxyConfig = "galaxy-config"
  case config
  case threads
  case control
  case logLevel = "log-level"
  case check
  case version
  case help

  /// What an option is for: the headings of `--help`.
  enum Task: String, CaseIterable, Sendable {
    case traffic = "Where requests come from and go to:"
    case running = "How it runs:"
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
    case .check, .version, .help: nil
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
    case .check, .version, .help: .asking
    }
  }

  /// What it does, short enough for a line of `--help`.
  var summary: String {
    switch self {
    case .listen: "public address, repeatable (\(Settings.defaultListen))"
    case .upstream: "where a gunicorn listens, repeatable"
    case .galaxyConfig: "galaxy.yml or gravity.yml, repeatable (as galaxyctl)"
    case .config: "galaxy-lb.yml (none)"
    case .threads: "event loops, a thread each (one a processor)"
    case .control: "unix socket for the commands to a running proxy (none)"
    case .logLevel: "\(LogLevel.names.joined(separator: ", ")) (\(Settings().logLevel.name))"
    case .check: "read everything, print what is in effect and warnings"
    case .version: "print the version"
    case .help: "print this"
    }
  }
}
