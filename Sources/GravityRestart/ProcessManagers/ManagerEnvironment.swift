import SystemCalls

/// What a program that is run for a restart finds in its environment.
enum ManagerEnvironment {
  /// What systemd tells this process alone (sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3)): a child that
  /// believed it would speak in its name.
  private static let ownVariables = [
    "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID",
  ]

  /// `variables` without those, and with `additions`.
  static func variables(_ variables: [String: String], adding additions: [String: String]) -> [String: String]
  {
    variables.filter { !ownVariables.contains($0.key) }.merging(additions) { $1 }
  }
}
