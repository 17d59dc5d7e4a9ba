/// The rules of a restart, whatever is restarted. Times in milliseconds.
public struct RestartPolicy: Hashable, Sendable {
  /// So many upstreams are out of service at a time by the restart's doing.
  public var maximumUnavailable = UpstreamQuantity.number(1)
  /// So many upstreams of the pool stay eligible. A pool of one can have none meanwhile.
  public var minimumAvailable = UpstreamQuantity.number(1)
  public var budgets = DrainBudgets()
  public var settling = SettlingRule()
  public var readiness = ReadinessRule()
  /// Nil for none: a ready upstream has its full share at once.
  public var probation: ProbationRule? = ProbationRule()
  /// True when upstreams that do not answer are brought up first, rather than being a reason to touch nothing.
  public var startsStopped = false
  /// How long upstreams that went down meanwhile are waited for when too few are eligible.
  public var capacityWait: Int64 = 60_000
  /// Until everything that preflight asks has answered.
  public var preflightTimeout: Int64 = 30_000

  public init() {}
}

/// A number of upstreams, or a part of them.
public enum UpstreamQuantity: Hashable, Sendable {
  case number(Int)
  case percent(Int)

  /// The part of `count` upstreams that this is at most.
  func roundedDown(of count: Int) -> Int {
    switch self {
    case .number(let number): number
    case .percent(let percent): count * percent / 100
    }
  }

  /// The part of `count` upstreams that this is at least.
  func roundedUp(of count: Int) -> Int {
    switch self {
    case .number(let number): number
    case .percent(let percent): (count * percent + 99) / 100
    }
  }
}

/// For how long requests are held around the reload of the only upstream. Times in milliseconds.
public struct SettlingRule: Hashable, Sendable {
  /// Before it, so that its workers read what was sent to them. Nothing is waited for longer than that.
  public var before: Int64 = 500
  /// After it at most, until its old workers take no more connections.
  public var after: Int64 = 5_000

  public init() {}

  /// As much of it as requests can wait, with a quarter of that to spare.
  func limited(to holdTime: Int64) -> Self {
    var limited = self
    limited.before = min(before, holdTime / 4)
    limited.after = min(after, holdTime / 2)
    return limited
  }
}

/// When a restarted upstream is ready.
public struct ReadinessRule: Hashable, Sendable {
  /// So many good answers in a row by the same new incarnation.
  public var successes = 3
  /// Milliseconds between an answer and the next probe.
  public var interval: Int64 = 250
  /// True when the version that runs may be another than the one on disk.
  public var allowsVersionSkew = false

  public init() {}
}
