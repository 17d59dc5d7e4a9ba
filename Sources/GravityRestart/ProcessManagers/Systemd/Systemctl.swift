import Glibc
import SystemCalls

/// Runs systemctl(1), which speaks to systemd over D-Bus or its private socket, and never asks anybody anything.
///
/// A library for D-Bus would save a process of a few milliseconds for each look at a unit, and cost a dependency
/// and the rules for the places and the rights that systemctl already knows.
struct Systemctl: Sendable {
  var userMode: Bool
  var program: String
  var environment: [String: String]

  private static let outputLimit = 1 << 20

  /// - Parameters:
  ///   - variables: of this process.
  ///   - user: this process's own, whose systemd `userMode` means.
  init(program: String, userMode: Bool, variables: [String: String], user: UInt32) {
    self.userMode = userMode
    self.program = program
    // What it prints is parsed.
    var additions = [
      "LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "", "SYSTEMD_LOG_LEVEL": "warning",
    ]
    let standard = "/run/user/\(user)"
    if userMode, (variables["XDG_RUNTIME_DIR"] ?? "").isEmpty, FileStatus(of: standard)?.isFolder == true {
      // pam_systemd(8) sets it at a login, which a service has not had.
      additions["XDG_RUNTIME_DIR"] = standard
    }
    environment = ManagerEnvironment.variables(variables, adding: additions)
  }

  /// Runs it with `arguments`, and returns what it printed; its own complaints become errors.
  ///
  /// - Parameter unit: what the order is about, for the message.
  func run(
    _ arguments: [String], about unit: String, within limit: WaitLimit
  ) throws(ProcessManagerError) -> CapturedOutput {
    let scope = userMode ? ["--user"] : ["--system"]
    var command = Subprocess(
      program, scope + ["--no-ask-password", "--no-pager"] + arguments, environment: environment)
    command.outputLimit = Self.outputLimit
    let outcome: Subprocess.Outcome
    do throws(SystemError) {
      outcome = try command.run(within: limit)
    } catch {
      throw ProcessManagerError(
        .unreachable, "systemctl can't be run: \(error)",
        advice: "install systemd, or choose another way of restarting")
    }
    switch outcome.ending {
    case .exited(status: 0): return outcome.output
    case .exited(let status): throw explain(status, outcome.errorOutput.text, about: unit)
    case .killed(let signal):
      throw ProcessManagerError(
        .unreachable, "systemctl was ended by signal \(signal)", advice: "try again",
        output: outcome.errorOutput.text)
    case .timedOut:
      throw ProcessManagerError(
        .timedOut, "systemd does not answer systemctl", advice: "look at `systemctl \(scope[0]) list-jobs`",
        output: outcome.errorOutput.text)
    case .cancelled: throw .cancelled("systemctl for \(unit)")
    }
  }

  /// The exit statuses are those of init scripts (systemctl(1), "Exit status"; LSB 22.2); what only the text tells is
  /// looked for in what systemctl prints in the C locale.
  private func explain(_ status: Int32, _ errors: String, about unit: String) -> ProcessManagerError {
    let lines = errors.split(separator: "\n").map(String.init)
    let reason = lines.first ?? "exit status \(status)"
    func error(_ kind: ProcessManagerError.Kind, _ advice: String) -> ProcessManagerError {
      ProcessManagerError(kind, "systemctl: \(reason)", advice: advice, output: errors)
    }
    let isRefused = ["Access denied", "Interactive authentication required", "Permission denied"]
      .contains { reason.contains($0) }
    if status == 4 || isRefused {
      return error(
        .permissionDenied,
        "run galaxy-lb as root, or allow its user org.freedesktop.systemd1.manage-units for \(unit) by a rule of polkit"
      )
    }
    if reason.contains("Failed to connect to bus") || reason.contains("not been booted with systemd") {
      let runtime = environment["XDG_RUNTIME_DIR"] ?? "not set"
      return error(
        .unreachable,
        userMode
          ? "is systemd --user running for this user? `loginctl enable-linger` keeps it without a login; "
            + "XDG_RUNTIME_DIR is \(runtime)"
          : "this machine runs no systemd, or galaxy-lb can't see its socket: choose another way of restarting"
      )
    }
    if status == 5 {
      return error(
        .unknownUnit,
        "run `galaxyctl update` if it is new in Galaxy's configuration; `systemctl list-units 'galaxy*'` lists all"
      )
    }
    return error(.refused, "look at `systemctl status \(unit)` and `journalctl -u \(unit)`")
  }
}
