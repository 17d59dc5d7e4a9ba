import SystemCalls

/// Runs a command of `restart.hooks`. Blocks; belongs on a thread of its own.
///
/// In its environment, beside that of galaxy-lb: `GALAXY_LB_HOOK` (`before`, `after`, `on_halt`), `GALAXY_LB_POOLS`, the
/// names with spaces between, and for `on_halt` `GALAXY_LB_REASON`.
struct HookCommand: Sendable {
  var hook: RestartHook
  var command: RestartCommand
  var pools: [String]
  var reason: String?
  /// Milliseconds.
  var timeout: Int64

  func run(_ cancellation: Cancellation) -> RestartReport.Hook {
    let begun = monotonicTime()
    var process = Subprocess(command.program, command.arguments, environment: environment)
    process.workingDirectory = command.workingDirectory
    process.mergesErrorOutput = true
    var failure: String?
    var output = ""
    do throws(SystemError) {
      let limit = WaitLimit(until: .after(.milliseconds(timeout)), cancellation: cancellation)
      let outcome = try process.run(within: limit)
      output = outcome.output.text
      failure = outcome.ending.failure
    } catch {
      failure = "can't be run: \(error)"
    }
    let (seconds, attoseconds) = (monotonicTime() - begun).components
    return RestartReport.Hook(
      name: hook, failure: failure.map { "the hook '\(hook.rawValue)' (\(command)) \($0)" }, output: output,
      duration: seconds * 1000 + attoseconds / 1_000_000_000_000_000)
  }

  private var environment: [String: String] {
    var additions = ["GALAXY_LB_HOOK": hook.rawValue, "GALAXY_LB_POOLS": pools.joined(separator: " ")]
    additions["GALAXY_LB_REASON"] = reason
    return ManagerEnvironment.variables(environmentVariables(), adding: additions)
  }
}

extension Subprocess.Ending {
  /// What went wrong; nil for status 0.
  fileprivate var failure: String? {
    switch self {
    case .exited(status: 0): nil
    case .exited(let status): "ended with status \(status)"
    case .killed(let signal): "was ended by signal \(signal)"
    case .timedOut: "took too long and was ended"
    case .cancelled: "was cancelled"
    }
  }
}
