/// What a unit does, in the terms that all process managers share.
public enum UnitState: String, Hashable, Sendable {
  /// The process manager has no unit of this name.
  case missing
  /// Not running, and nobody will start it unless told to.
  case stopped
  /// Started a moment ago, and not yet taken for running by the process manager.
  case starting
  /// Running; whether it answers is another matter.
  case running
  /// About to end.
  case stopping
  /// It has died and the process manager will start it again (supervisor's BACKOFF, systemd's auto-restart).
  case failing
  /// It has died, or can't be started, and the process manager has given up.
  case fatal
  /// Nobody knows: only the upstream's own answers can tell.
  case unobservable
}

/// A unit as its process manager sees it at one moment.
public struct UnitStatus: Hashable, Sendable {
  public var state: UnitState
  /// The main process, if there is one.
  public var process: Int32?
  /// For how long that process has been there.
  public var uptime: Duration?
  /// Different for each time that the unit is started, by whomever; nil when it can't be told.
  public var run: String?
  /// How often the process manager has started it again by itself since somebody last did; nil when it doesn't count.
  public var automaticRestarts: Int?
  /// True while an order is still to be carried out.
  public var hasPendingOrder = false
  /// The processes below the main one, where only they tell one generation of code from the next.
  public var workers: [Int32] = []
  /// What somebody should know before the unit is touched, in whole sentences.
  public var warnings: [String] = []
  /// The process manager's own words.
  public var description: String

  public init(_ state: UnitState, description: String) {
    self.state = state
    self.description = description
  }
}
