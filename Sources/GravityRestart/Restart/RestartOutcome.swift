/// Why a restart ends before everything is restarted.
public enum StopReason: Hashable, Sendable {
  case halted(HaltReason)
  case aborted
}

/// What went wrong. Upstreams by their number in the plan.
public enum HaltReason: Hashable, Sendable {
  case upstreamFailed(Int, UpstreamFault)
  /// Upstreams that are not restarted went down and did not come back in time: taking one more would have left fewer
  /// than needed.
  case tooFewAvailable(available: Int, needed: Int)
}

/// How a restart ended.
public enum RestartResult: Hashable, Sendable {
  /// Every upstream of the plan runs the new code.
  case completed
  /// A dry run found nothing that speaks against it.
  case rehearsed
  /// Nothing was touched.
  case refused([PreflightProblem])
  case stopped(StopReason)

  /// The exit status of `galaxy-lb --graceful`.
  public var exitStatus: Int32 {
    switch self {
    case .completed, .rehearsed: 0
    case .stopped(.halted): 1
    case .refused: 4
    case .stopped(.aborted): 5
    }
  }
}

/// What is left of a restart: the data of its report. Times in milliseconds.
public struct RestartOutcome: Hashable, Sendable {
  public var result: RestartResult
  public var approach: RestartApproach
  /// Those of the plan's order, in the order in which they were to be restarted.
  public var upstreams: [UpstreamReport]
  /// What preflight found out, by the upstream's number.
  public var facts: [Int: PreflightFacts]
  /// The longest that a request was held.
  public var longestHold: Int64
  /// How long no upstream of the pool was eligible, in all.
  public var downtime: Int64
  public var total: Int64
}
