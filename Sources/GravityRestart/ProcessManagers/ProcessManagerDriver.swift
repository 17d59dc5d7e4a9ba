import SystemCalls

/// Through what exactly one unit is restarted: supervisor, systemd, a command, or a signal.
///
/// All operations block the calling thread within the limit that they are given, so they belong on a thread that may
/// wait, never on an event loop. None waits for the unit itself: a step only starts what it is about, and `inspect`
/// shows how far that has come, so that the wait, and what is said meanwhile, is the caller's.
public protocol ProcessManagerDriver: Sendable {
  /// What messages call it.
  var name: String { get }

  /// What a restart consists of, in order. After `stop` the unit must be seen stopped before the next step.
  var restartSteps: [RestartStep] { get }

  /// Finds out whether the process manager is there and takes orders, without giving one.
  func checkAccess(within limit: WaitLimit) throws(ProcessManagerError) -> ManagerAccess

  /// What the process manager knows about the unit now. An unknown unit is an answer (`missing`), no error.
  func inspect(
    _ target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> UnitStatus

  /// Starts one step. Returns what was printed by whatever carried it out, for the report; often nothing. A step
  /// that is done already (a stop of what is stopped) is no error. Timed out or cancelled, it may have been begun.
  func perform(
    _ step: RestartStep, on target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> String
}

/// One order to a process manager.
public enum RestartStep: String, Hashable, Sendable {
  /// End the processes of the unit.
  case stop
  /// Start the unit, which is not running.
  case start
  /// Both in one order, which the process manager finishes even if nobody is there to see it.
  case restart
  /// Replace the worker processes and keep the master, with its socket.
  case reload
}

/// The one unit that is meant, and the upstream that it serves.
public struct RestartTarget: Hashable, Sendable {
  /// What the process manager calls it: a program of supervisor, a unit of systemd.
  public var unit: String
  public var pool: String
  public var upstream: String
  public var endpoint: Endpoint
  /// The process that listens there now, where that is known.
  public var process: Int32?

  public init(unit: String, pool: String, upstream: String, endpoint: Endpoint, process: Int32? = nil) {
    self.unit = unit
    self.pool = pool
    self.upstream = upstream
    self.endpoint = endpoint
    self.process = process
  }
}

/// That a process manager can be reached, and what is not sure about it.
public struct ManagerAccess: Hashable, Sendable {
  /// Name and version.
  public var description: String
  /// What could only be found out by trying, in whole sentences; empty when nothing is in doubt.
  public var doubts: [String]

  public init(description: String, doubts: [String] = []) {
    self.description = description
    self.doubts = doubts
  }
}
