import SystemCalls

/// Why a process manager did not do what was asked, and what to do about it.
public struct ProcessManagerError: Error, Hashable, Sendable {
  public enum Kind: String, Hashable, Sendable {
    /// It isn't there, or ends the connection.
    case unreachable
    /// It is there, and this user may not give orders.
    case permissionDenied
    /// It, or the command, did not finish within the limit.
    case timedOut
    case cancelled
    /// It has no unit of this name.
    case unknownUnit
    /// The name means none or several units, or can't be one.
    case badName
    /// The unit is in a state in which the step is not possible.
    case wrongState
    /// The unit can't be started: no program, not executable, gone at once.
    case startFailed
    /// It refused for another reason.
    case refused
    /// It answered something that it never should.
    case malformedAnswer
    /// The command ended with a status other than 0, or by a signal.
    case commandFailed
    /// This way of restarting has no such step.
    case unsupported
    /// The process is not the one that it should be.
    case wrongProcess
  }

  public var kind: Kind
  /// What happened.
  public var message: String
  /// What to do about it.
  public var advice: String
  /// What was printed, if a program was run.
  public var output: String

  public init(_ kind: Kind, _ message: String, advice: String, output: String = "") {
    self.kind = kind
    self.message = message
    self.advice = advice
    self.output = output
  }
}

extension ProcessManagerError: CustomStringConvertible {
  public var description: String { "\(message); \(advice)" }
}

extension ProcessManagerError {
  static func cancelled(_ what: String) -> ProcessManagerError {
    ProcessManagerError(
      .cancelled, "\(what) was cancelled",
      advice: "it may have been carried out all the same: look at the unit's state")
  }

  static func unsupported(_ step: RestartStep, by driver: any ProcessManagerDriver) -> ProcessManagerError {
    ProcessManagerError(
      .unsupported, "\(driver.name) can't \(step.rawValue) a unit",
      advice: "possible is: \(driver.restartSteps.map(\.rawValue).joined(separator: ", "))")
  }
}
