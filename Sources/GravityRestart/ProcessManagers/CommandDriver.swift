import Glibc
import SystemCalls

/// Restarts by commands of the configuration: for unicornherder, a container, a script written by hand. That the
/// command ends with status 0 means that the restart has been ordered; whether it worked is seen by the upstream's
/// answers.
///
/// What the command finds in its environment, beside that of galaxy-lb: `GALAXY_LB_ACTION` (`restart`, `start`,
/// `stop`), `GALAXY_LB_UNIT`, `GALAXY_LB_POOL`, `GALAXY_LB_UPSTREAM`, `GALAXY_LB_ADDRESS` (`unix:PATH` or
/// `HOST:PORT`), and `GALAXY_LB_PID`, the gunicorn master that listens on a unix socket. Its standard input is empty, it
/// has no terminal; its output is kept, the last 64 KiB. When it takes too long it gets SIGTERM and after two seconds
/// SIGKILL, together with its process group. What it leaves running keeps running; that should write to a file of
/// its own, because the pipe that takes the command's output is closed with the command.
public struct CommandDriver: ProcessManagerDriver {
  public let name = "command"
  public let restartSteps = [RestartStep.restart]

  private let commands: [RestartStep: RestartCommand]
  private let variables: [String: String]

  /// - Parameters:
  ///   - restart: restarts one upstream.
  ///   - start: starts one that is down; nil if nobody but its own people can.
  ///   - variables: the environment of this process.
  public init(
    restart: RestartCommand, start: RestartCommand? = nil,
    variables: [String: String] = environmentVariables()
  ) {
    commands = [.restart: restart].merging(start.map { [.start: $0] } ?? [:]) { $1 }
    self.variables = variables
  }

  public func checkAccess(within limit: WaitLimit) throws(ProcessManagerError) -> ManagerAccess {
    for (step, command) in commands {
      guard isExecutable(command) else {
        throw ProcessManagerError(
          .refused, "the \(step.rawValue) command '\(command)' is not an executable program",
          advice: "give an absolute path, or a name that is in galaxy-lb's PATH")
      }
      if let folder = command.workingDirectory, FileStatus(of: folder)?.isFolder != true {
        throw ProcessManagerError(
          .refused, "the folder of the \(step.rawValue) command, '\(folder)', is not there",
          advice: "correct it in the configuration")
      }
    }
    let restart = commands[.restart].map { "\($0)" } ?? ""
    return ManagerAccess(description: "the command '\(restart)'")
  }

  public func inspect(
    _ target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> UnitStatus {
    var status = UnitStatus(.unobservable, description: "a command can't be asked")
    // Who listens is told only of a gunicorn, as the peer of a connection may also be one of its workers.
    status.process = try? SignalDriver(.listener).inspect(target, within: limit).process
    return status
  }

  public func perform(
    _ step: RestartStep, on target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> String {
    guard let command = commands[step] else { throw .unsupported(step, by: self) }
    var process = Subprocess(
      command.program, command.arguments, environment: environment(step, target))
    process.workingDirectory = command.workingDirectory
    process.mergesErrorOutput = true
    let outcome: Subprocess.Outcome
    do throws(SystemError) {
      outcome = try process.run(within: limit)
    } catch {
      throw ProcessManagerError(
        .startFailed, "the \(step.rawValue) command '\(command)' can't be run: \(error)",
        advice: "correct it in the configuration")
    }
    let output = outcome.output.text
    func failure(_ kind: ProcessManagerError.Kind, _ how: String, _ advice: String) -> ProcessManagerError {
      let lastLine = output.split(whereSeparator: \.isNewline).last.map { ": \($0)" } ?? ""
      return ProcessManagerError(
        kind, "the \(step.rawValue) command '\(command)' \(how)\(lastLine)", advice: advice, output: output)
    }
    switch outcome.ending {
    case .exited(status: 0): return output
    case .exited(let status):
      throw failure(.commandFailed, "ended with status \(status)", "its output says why")
    case .killed(let signal):
      throw failure(.commandFailed, "was ended by signal \(signal)", "its output may say why")
    case .timedOut:
      throw failure(.timedOut, "took too long and was ended", "let it end sooner, or give it more time")
    case .cancelled: throw .cancelled("the \(step.rawValue) command '\(command)'")
    }
  }

  private func environment(_ step: RestartStep, _ target: RestartTarget) -> [String: String] {
    var additions = [
      "GALAXY_LB_ACTION": step.rawValue, "GALAXY_LB_UNIT": target.unit, "GALAXY_LB_POOL": target.pool,
      "GALAXY_LB_UPSTREAM": target.upstream, "GALAXY_LB_ADDRESS": target.endpoint.description,
    ]
    additions["GALAXY_LB_PID"] = target.process.map { "\($0)" }
    return ManagerEnvironment.variables(variables, adding: additions)
  }

  /// As posix_spawnp(3) will look for it: in PATH, unless the name has a slash.
  private func isExecutable(_ command: RestartCommand) -> Bool {
    let program = command.program
    let folders: [String]
    if program.contains("/") {
      folders = [program.hasPrefix("/") ? "" : (command.workingDirectory ?? ".") + "/"]
    } else {
      folders = (environmentVariables()["PATH"] ?? "/bin:/usr/bin").split(separator: ":").map { "\($0)/" }
    }
    return folders.contains { folder in
      FileStatus(of: folder + program)?.isRegularFile == true && access(folder + program, X_OK) == 0
    }
  }
}
