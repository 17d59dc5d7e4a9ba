import SystemCalls

/// How the upstreams of one pool are restarted, as the configuration says it.
public struct PoolRestart: Hashable, Sendable {
  /// Budgets, readiness, probation, and how many at a time.
  public var policy = RestartPolicy()
  /// Milliseconds that one readiness probe may take.
  public var probeTimeout: Int64 = 5_000
  /// Where Galaxy's code says its version; nil when that can't be told.
  public var versionSource: VersionSource?
  /// One for each upstream of the pool, in its order.
  public var services: [UpstreamService]

  public init(services: [UpstreamService]) { self.services = services }
}

/// What serves one upstream, and how it is restarted.
public struct UpstreamService: Hashable, Sendable {
  /// What restarts it; nil when nothing is known to.
  public var manager: ServiceManager?
  /// What the process manager calls it: a program of supervisor with its group, a unit of systemd. For a command and a
  /// signal only a word for people.
  public var unit: String
  /// True when gunicorn loads the code once, before it forks.
  public var isPreloaded: Bool
  /// Milliseconds from the order to restart until it is ready.
  public var restartTimeout: Int64

  public init(
    manager: ServiceManager? = nil, unit: String, isPreloaded: Bool = true, restartTimeout: Int64 = 300_000
  ) {
    self.manager = manager
    self.unit = unit
    self.isPreloaded = isPreloaded
    self.restartTimeout = restartTimeout
  }

  /// What a restart replaces.
  public var method: RestartMethod { manager?.method ?? .replace }
}

/// What restarts a service, and where to reach it.
public enum ServiceManager: Hashable, Sendable {
  /// supervisord's `[unix_http_server]` or `[inet_http_server]`.
  case supervisor(Endpoint, SupervisorCredentials?)
  /// - Parameter userMode: true for the systemd of this process's user.
  case systemd(userMode: Bool)
  /// - Parameters:
  ///   - start: starts what is down; nil for the same command.
  ///   - keepsSocket: true when the command hands the listening socket on to the new process.
  case command(restart: RestartCommand, start: RestartCommand?, keepsSocket: Bool = false)
  /// HUP to the gunicorn master.
  case signal(SignalDriver.Source)

  /// What carries out the orders.
  public var driver: any ProcessManagerDriver {
    switch self {
    case .supervisor(let endpoint, let credentials): SupervisorDriver(endpoint, credentials: credentials)
    case .systemd(let userMode): SystemdDriver(userMode: userMode)
    case .command(let restart, let start, _): CommandDriver(restart: restart, start: start)
    case .signal(let source): SignalDriver(source)
    }
  }

  /// What a restart replaces.
  public var method: RestartMethod {
    switch self {
    case .supervisor, .systemd: .replace
    case .command(_, _, let keepsSocket): keepsSocket ? .handOver : .command
    case .signal: .reload
    }
  }

  /// Its name in the configuration.
  public var keyword: String {
    switch self {
    case .supervisor: "supervisor"
    case .systemd: "systemd"
    case .command: "command"
    case .signal: "signal"
    }
  }

  /// The one unit that `text` names, as the process manager writes it (`name` of systemd is `name.service`). Throws
  /// `badName` for what names none or several. Any text will do for a command and a signal, which know no units.
  public func unitName(_ text: String) throws(ProcessManagerError) -> String {
    switch self {
    case .supervisor:
      try SupervisorDriver.checkName(text)
      return text
    case .systemd: return try SystemdUnitName(text).description
    case .command, .signal: return text
    }
  }
}

extension UpstreamService: CustomStringConvertible {
  /// What restarts it, for people.
  public var description: String {
    switch manager {
    case nil: "nothing is known to restart it"
    case .supervisor?: "supervisor \(unit)"
    case .systemd(let userMode)?: "systemd \(unit)\(userMode ? " of the user" : "")"
    case .command(let restart, _, false)?: "command \(restart)"
    case .command(let restart, _, true)?: "command \(restart), which keeps the socket"
    case .signal(.listener)?: "HUP to the gunicorn behind its socket"
    case .signal(.file(let path))?: "HUP to the gunicorn that \(path) names"
    }
  }
}

/// Commands around a restart: before the first upstream, after the last one, and when it halts.
public struct RestartHooks: Hashable, Sendable {
  public var before: RestartCommand?
  public var after: RestartCommand?
  public var onHalt: RestartCommand?
  /// Milliseconds that each may take.
  public var timeout: Int64 = 600_000

  public init() {}
}
