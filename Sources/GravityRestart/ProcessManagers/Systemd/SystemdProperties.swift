import SystemCalls

/// Why the output of `systemctl show` is not taken.
struct SystemdPropertiesError: Error, Hashable, Sendable, CustomStringConvertible {
  var description: String
}

/// What `systemctl show` tells about one service (org.freedesktop.systemd1(5), "Unit objects" and "Service unit
/// objects").
struct SystemdProperties: Hashable, Sendable {
  var id: String
  var loadState: String
  var loadError: String
  var activeState: String
  var subState: String
  /// 0 when there is none.
  var mainProcess: Int32
  var result: String
  var automaticRestarts: Int
  /// How the main process has ended: 1 by itself, 2 and 3 by a signal (sigaction(2), CLD_EXITED, CLD_KILLED,
  /// CLD_DUMPED); 0 while it has not.
  var exitCode: Int
  /// The exit status or the number of the signal.
  var exitStatus: Int
  /// On the monotonic clock; zero for never.
  var started: Duration
  /// Another one each time that the service is started.
  var invocation: String
  var hasJob: Bool
  var needsReload: Bool
  /// The units that are restarted together with this one, because of Requires=, BindsTo= and PartOf= in them.
  var dependents: [String]

  /// What to ask for.
  static let names = required + optional
  private static let required = [
    "Id", "LoadState", "ActiveState", "SubState", "MainPID", "Result", "NRestarts", "ExecMainCode",
    "ExecMainStatus", "ExecMainStartTimestampMonotonic",
  ]
  /// Versions of systemd leave out some of these when they are empty.
  private static let optional = [
    "LoadError", "InvocationID", "Job", "NeedDaemonReload", "RequiredBy", "BoundBy", "ConsistsOf",
  ]

  /// Reads `KEY=VALUE` lines: each key that was asked for, once, and no other one.
  init(parsing text: String) throws(SystemdPropertiesError) {
    var values: [String: String] = [:]
    for line in text.split(separator: "\n", omittingEmptySubsequences: true) {
      guard let equals = line.firstIndex(of: "=") else {
        throw SystemdPropertiesError(description: "found '\(line.prefix(80))', expected KEY=VALUE")
      }
      let key = String(line[..<equals])
      guard Self.names.contains(key) else {
        throw SystemdPropertiesError(description: "found '\(key.prefix(80))', which was not asked for")
      }
      guard values.updateValue(String(line[line.index(after: equals)...]), forKey: key) == nil else {
        throw SystemdPropertiesError(description: "found '\(key)' twice")
      }
    }
    if let missing = Self.required.first(where: { values[$0] == nil }) {
      throw SystemdPropertiesError(description: "found no '\(missing)'")
    }
    id = values["Id"] ?? ""
    loadState = values["LoadState"] ?? ""
    loadError = values["LoadError"] ?? ""
    activeState = values["ActiveState"] ?? ""
    subState = values["SubState"] ?? ""
    result = values["Result"] ?? ""
    mainProcess = try Self.number("MainPID", in: values)
    automaticRestarts = try Self.number("NRestarts", in: values)
    exitCode = try Self.number("ExecMainCode", in: values)
    exitStatus = try Self.number("ExecMainStatus", in: values)
    let microseconds: Int64 = try Self.number("ExecMainStartTimestampMonotonic", in: values)
    started = .microseconds(microseconds)
    invocation = values["InvocationID"] ?? ""
    hasJob = !["", "0"].contains(values["Job"] ?? "")
    needsReload = values["NeedDaemonReload"] == "yes"
    dependents = ["RequiredBy", "BoundBy", "ConsistsOf"]
      .flatMap { (values[$0] ?? "").split(separator: " ").map(String.init) }
  }

  private static func number<Number: FixedWidthInteger>(
    _ key: String, in values: [String: String]
  ) throws(SystemdPropertiesError) -> Number {
    let text = values[key] ?? ""
    guard let number = Number(text), number >= 0 else {
      throw SystemdPropertiesError(description: "found '\(key)=\(text.prefix(80))', expected a number")
    }
    return number
  }
}

extension SystemdProperties {
  /// In the terms of all process managers.
  ///
  /// - Parameter now: on the monotonic clock.
  func status(now: Duration) throws(SystemdPropertiesError) -> UnitStatus {
    guard loadState != "not-found" else {
      return UnitStatus(.missing, description: "systemd has no unit '\(id)'")
    }
    let state: UnitState
    switch activeState {
    case "active", "reloading", "refreshing": state = .running
    case "activating": state = subState.hasPrefix("auto-restart") ? .failing : .starting
    case "deactivating": state = .stopping
    case "inactive": state = .stopped
    case "failed", "maintenance": state = .fatal
    default:
      throw SystemdPropertiesError(description: "found 'ActiveState=\(activeState)', which is not known")
    }
    var status = UnitStatus(state, description: summary)
    if mainProcess > 0 {
      status.process = mainProcess
      status.uptime = max(.zero, now - started)
    }
    status.run = invocation.isEmpty ? nil : invocation
    status.automaticRestarts = automaticRestarts
    status.hasPendingOrder = hasJob
    status.warnings = warnings
    return status
  }

  private var summary: String {
    var text = "systemd says \(activeState) (\(subState))"
    if mainProcess > 0 { text += ", main process \(mainProcess)" }
    if result != "success" { text += ", result \(result)" }
    if mainProcess == 0 {
      switch exitCode {
      case 1: text += ", exit status \(exitStatus)"
      case 2, 3: text += ", ended by signal \(exitStatus)"
      default: break
      }
    }
    if automaticRestarts > 0 { text += ", started again by itself \(automaticRestarts) times" }
    return text
  }

  private var warnings: [String] {
    var warnings: [String] = []
    switch loadState {
    case "loaded": break
    case "masked": warnings.append("\(id) is masked and can't be started: run `systemctl unmask \(id)`.")
    default: warnings.append("\(id) can't be started, its unit file is '\(loadState)': \(loadError)")
    }
    if needsReload {
      warnings.append(
        "The unit file of \(id) has changed since systemd read it: run `galaxyctl update` or "
          + "`systemctl daemon-reload`, or the old one is used.")
    }
    if result == "start-limit-hit" {
      warnings.append(
        "\(id) was started too often in too short a time and is not started again: wait, or run "
          + "`systemctl reset-failed \(id)`.")
    }
    if !dependents.isEmpty {
      warnings.append(
        "Restarting \(id) also restarts what depends on it: \(dependents.joined(separator: ", ")).")
    }
    return warnings
  }
}
