/// What is left of a `galaxy-lb --graceful`: how it ended, and what happened to each upstream. Times in milliseconds.
public struct RestartReport: Sendable {
  /// How all of it ended.
  public enum Result: String, Hashable, Sendable {
    case completed
    /// A dry run found nothing that speaks against it.
    case rehearsed
    /// Nothing was touched.
    case refused
    case halted
    case aborted
  }

  public internal(set) var result: Result
  /// In one sentence.
  public internal(set) var message: String
  /// What stood in the way, one sentence each, with what to do about it.
  public internal(set) var problems: [String]
  public internal(set) var pools: [Pool] = []
  public internal(set) var hooks: [Hook] = []
  /// Requests that users lost without having been sent to any upstream: the first ones, and how many in all.
  public internal(set) var unplacedFailures: [RequestFailure] = []
  public internal(set) var unplacedFailureCount = 0

  /// The part of one pool.
  public struct Pool: Sendable {
    public let name: String
    public let outcome: RestartOutcome
    /// Of the upstreams in `outcome`, by their names.
    public let services: [String: UpstreamService]
    /// What commands printed, by the upstream's name.
    public let outputs: [String: String]
  }

  /// A command around the restart.
  public struct Hook: Hashable, Sendable {
    public let name: RestartHook
    /// Nil when it ended well.
    public let failure: String?
    public let output: String
    public let duration: Int64
  }

  /// What the deploy script gets (`galaxy-lb --graceful`). A restart that has gone well ends with 1 if the hook after it
  /// has not: the deploy is not complete.
  public var exitStatus: Int32 {
    switch result {
    case .completed: hooks.contains { $0.name == .after && $0.failure != nil } ? 1 : 0
    case .rehearsed: 0
    case .halted: 1
    case .refused: 4
    case .aborted: 5
    }
  }

  /// The longest that a request was held.
  public var longestHold: Int64 { pools.map(\.outcome.longestHold).max() ?? 0 }
  /// How long some pool had no eligible upstream, in all.
  public var downtime: Int64 { pools.reduce(0) { $0 + $1.outcome.downtime } }
}

/// When a command runs.
public enum RestartHook: String, Hashable, Sendable {
  /// Before the first upstream, when preflight has found nothing; its failure is the last problem of preflight.
  case before
  /// After the last upstream.
  case after
  /// When the restart halts.
  case onHalt = "on_halt"
}
