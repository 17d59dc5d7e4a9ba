import Glibc
import SystemCalls

/// Restarts services of systemd with systemctl(1), of the system's or of the user's own.
///
/// An order is `systemctl restart --no-block`: systemd stops and starts in one job, so that the service is not left
/// stopped if this process ends in between, as it would be with two orders; and the wait is the caller's. Blocking
/// would tell no more: for `Type=simple` the job is done when the program has been forked. How it went on is in the
/// properties: another InvocationID (it was started), NRestarts (`Restart=always` has started it again), ActiveState
/// and Result (it has failed, or too often). Never `reload-or-restart`, which for some units is only a HUP.
public struct SystemdDriver: ProcessManagerDriver {
  public let name = "systemd"
  public let restartSteps = [RestartStep.restart]

  private let systemctl: Systemctl
  private let user: UInt32

  /// - Parameters:
  ///   - userMode: true for the systemd of this process's user (`systemctl --user`).
  ///   - systemctl: the program.
  ///   - variables: the environment of this process.
  public init(
    userMode: Bool, systemctl: String = "systemctl", variables: [String: String] = environmentVariables()
  ) {
    user = geteuid()
    self.systemctl = Systemctl(program: systemctl, userMode: userMode, variables: variables, user: user)
  }

  public func checkAccess(within limit: WaitLimit) throws(ProcessManagerError) -> ManagerAccess {
    let output = try systemctl.run(["show", "--property=Version"], about: "its version", within: limit).text
    guard output.hasPrefix("Version="), let line = output.split(separator: "\n").first else {
      throw malformed("found '\(output.prefix(80))', expected its version")
    }
    let version = line.dropFirst("Version=".count)
    if systemctl.userMode { return ManagerAccess(description: "the user's systemd \(version)") }
    let doubt =
      "Whether user \(user) may restart services can only be found out by doing it; a rule of polkit for "
      + "org.freedesktop.systemd1.manage-units decides."
    return ManagerAccess(description: "systemd \(version)", doubts: user == 0 ? [] : [doubt])
  }

  public func inspect(
    _ target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> UnitStatus {
    let unit = try SystemdUnitName(target.unit)
    let properties = "--property=" + SystemdProperties.names.joined(separator: ",")
    let output = try systemctl.run(
      ["show", properties, "--", unit.description], about: unit.description, within: limit)
    guard output.dropped == 0 else { throw malformed("too much to be about one unit") }
    do throws(SystemdPropertiesError) {
      return try SystemdProperties(parsing: output.text).status(now: monotonicTime())
    } catch {
      throw malformed(error.description)
    }
  }

  public func perform(
    _ step: RestartStep, on target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> String {
    let unit = try SystemdUnitName(target.unit)
    guard step != .reload else { throw .unsupported(step, by: self) }
    let words = [step.rawValue, "--no-block", "--", unit.description]
    return try systemctl.run(words, about: unit.description, within: limit).text
  }

  private func malformed(_ reason: String) -> ProcessManagerError {
    ProcessManagerError(
      .malformedAnswer, "the answer of systemctl is not understood: \(reason)",
      advice: "compare with `systemctl show` of that unit")
  }
}
