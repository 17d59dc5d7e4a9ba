import SystemCalls

extension ProcessManager {
  /// The driver for what Gravity's configuration names.
  public var driver: any ProcessManagerDriver {
    switch self {
    case .supervisor(_, let socket): SupervisorDriver(.unix(path: socket))
    case .systemd(let userMode, _): SystemdDriver(userMode: userMode)
    }
  }
}
