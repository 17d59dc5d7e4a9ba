import SystemCalls

extension ProcessManager {
  /// What restarts the gunicorns that Gravity's configuration names.
  public var serviceManager: ServiceManager {
    switch self {
    case .supervisor(_, let socket): .supervisor(.unix(path: socket), nil)
    case .systemd(let userMode, _): .systemd(userMode: userMode)
    }
  }
}
