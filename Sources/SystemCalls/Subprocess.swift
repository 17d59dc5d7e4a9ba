import CLinux
import Glibc
import Synchronization

/// A program that is run to its end, within a limit, by a thread that may block. Nothing of it goes through a shell.
public struct Subprocess: Sendable {
  /// A path, or a name that is looked for in this process's PATH.
  public var program: String
  /// Without the program's own name.
  public var arguments: [String]
  /// All that the program finds in its environment.
  public var environment: [String: String]
  /// The folder that it starts in; nil for that of this process. A relative path of the program starts there too.
  public var workingDirectory: String?
  /// True when standard error goes where standard output goes, in the order in which it was written.
  public var mergesErrorOutput = false
  /// How many bytes are kept of each stream: the last ones.
  public var outputLimit = 65_536
  /// What lies between SIGTERM and SIGKILL for a program that takes too long.
  public var grace = Duration.seconds(2)

  public init(
    _ program: String, _ arguments: [String], environment: [String: String] = environmentVariables()
  ) {
    self.program = program
    self.arguments = arguments
    self.environment = environment
  }

  /// How it ended.
  public enum Ending: Equatable, Sendable {
    case exited(status: Int32)
    /// By a signal that did not come from here.
    case killed(signal: Int32)
    /// It took too long and was ended, with its process group.
    case timedOut
    /// It was ended, with its process group, because the limit's cancellation came.
    case cancelled
  }

  /// What came of it.
  public struct Outcome: Sendable {
    public var ending: Ending
    public var output: CapturedOutput
    /// Empty when it was merged.
    public var errorOutput: CapturedOutput
  }

  /// After SIGKILL a process ends at once, unless the kernel holds it in a call that can't be interrupted.
  private static let killWait = Duration.seconds(5)

  /// Starts the program and waits for its end. What it has started itself and left running lives on, with a closed
  /// pipe for its output, unless the program was ended for the limit: then its whole process group is. Throws when
  /// it can't be started: ENOENT and EACCES are about the program, its interpreter, or the working directory.
  public func run(within limit: WaitLimit) throws(SystemError) -> Outcome {
    unreaped.collect()
    let child = try launch()
    do throws(SystemError) {
      let handle = try ProcessDescriptor(of: child.process)
      var streams = OutputStreams(child, limit: outputLimit)
      let end = try streams.follow(handle, within: limit)
      let hasEnded = end == .ready ? true : try terminate(handle, &streams)
      streams.drain()
      let status = hasEnded ? try reap(child.process) : nil
      if !hasEnded { unreaped.add(child.process) }
      let ending: Ending =
        switch (end, status) {
        case (.ready, .some(let ending)): ending
        case (.cancelled, _): .cancelled
        default: .timedOut
        }
      return Outcome(ending: ending, output: streams.output, errorOutput: streams.errorOutput)
    } catch {
      kill(-child.process, SIGKILL)
      unreaped.add(child.process)
      throw error
    }
  }

  /// Ends the process group. Its number means no other one as long as the leader isn't waited for. False when the
  /// leader is still there.
  private func terminate(
    _ handle: borrowing ProcessDescriptor, _ streams: inout OutputStreams
  ) throws(SystemError) -> Bool {
    kill(-handle.process, SIGTERM)
    let end = try streams.follow(handle, within: WaitLimit(until: .after(grace)))
    kill(-handle.process, SIGKILL)
    if end == .ready { return true }
    return try streams.follow(handle, within: WaitLimit(until: .after(Self.killWait))) == .ready
  }
}

/// Takes the status of a child that has ended (waitpid(2)).
private func reap(_ process: Int32) throws(SystemError) -> Subprocess.Ending {
  var status: Int32 = 0
  try retryingInterrupts("waitpid") { waitpid(process, &status, 0) }
  if clinux_exited(status) != 0 { return .exited(status: clinux_exit_status(status)) }
  return .killed(signal: clinux_terminating_signal(status))
}

/// Children that did not end when they were killed. They are asked for when the next one is started, so that none
/// stays behind as a zombie for long.
private final class Unreaped: Sendable {
  private let processes = Mutex<[Int32]>([])

  func add(_ process: Int32) {
    processes.withLock { $0.append(process) }
  }

  func collect() {
    processes.withLock { $0.removeAll { waitpid($0, nil, WNOHANG) != 0 } }
  }
}

private let unreaped = Unreaped()
