import YAML

/// One upstream of the pool as it is before a restart.
public struct PlannedUpstream: Hashable, Sendable {
  public var name: String
  public var method: RestartMethod
  /// True when gunicorn loads the code once, before it forks.
  public var isPreloaded: Bool
  /// Milliseconds from the order to restart until it is ready.
  public var restartTimeout: Int64
  public var standing: UpstreamStanding
  public var liveness: UpstreamLiveness

  public init(
    name: String, method: RestartMethod = .replace, isPreloaded: Bool = true, restartTimeout: Int64 = 300_000,
    standing: UpstreamStanding = .ready, liveness: UpstreamLiveness = .up
  ) {
    self.name = name
    self.method = method
    self.isPreloaded = isPreloaded
    self.restartTimeout = restartTimeout
    self.standing = standing
    self.liveness = liveness
  }
}

/// What is restarted, in which order, and by which rules. An upstream's number is its place in `upstreams`.
public struct RestartPlan: Hashable, Sendable {
  /// All of the pool: those that are not restarted count for capacity.
  public let upstreams: [PlannedUpstream]
  /// The numbers of those that are restarted: in the order of the pool, or in that of the names that were given.
  public let order: [Int]
  public let policy: RestartPolicy
  public let approach: RestartApproach
  /// For how long requests are held around a reload of the only upstream; nil when they can't wait.
  let settling: SettlingRule?
  /// True when it ends after preflight.
  public let isDryRun: Bool

  /// - Parameters:
  ///   - upstreams: at least one, with different names.
  ///   - only: the names of those that are restarted; nil for all.
  ///   - holdTime: milliseconds that a request can wait in the proxy.
  ///   - absence: milliseconds that an upstream was away in the last restart; nil when it is not known.
  public init(
    upstreams: [PlannedUpstream], only: [String]? = nil, policy: RestartPolicy = RestartPolicy(),
    holdTime: Int64 = 0, absence: Int64? = nil, isDryRun: Bool = false
  ) throws(RestartPlanError) {
    precondition(!upstreams.isEmpty)
    self.upstreams = upstreams
    self.policy = policy
    self.isDryRun = isDryRun
    order = try Self.order(of: upstreams, only: only)
    settling = holdTime > 0 ? policy.settling.limited(to: holdTime) : nil
    approach = .choose(count: upstreams.count, upstream: upstreams[0], holdTime: holdTime, absence: absence)
  }

  private static func order(
    of upstreams: [PlannedUpstream], only: [String]?
  ) throws(RestartPlanError) -> [Int] {
    guard let only else { return Array(upstreams.indices) }
    guard !only.isEmpty else { throw .nothingChosen }
    var order: [Int] = []
    for name in only {
      guard let number = upstreams.firstIndex(where: { $0.name == name }) else {
        throw .unknownUpstream(name, known: upstreams.map(\.name))
      }
      guard !order.contains(number) else { throw .namedTwice(name) }
      order.append(number)
    }
    return order
  }

  /// So many upstreams have to stay eligible. The only one of a pool can't.
  public var minimumAvailable: Int {
    upstreams.count == 1 ? 0 : max(policy.minimumAvailable.roundedUp(of: upstreams.count), 0)
  }

  /// So many upstreams may be out at a time by the restart's doing; 0 when `minimumAvailable` allows none.
  public var maximumUnavailable: Int {
    let wanted = max(policy.maximumUnavailable.roundedDown(of: upstreams.count), 1)
    return max(min(wanted, upstreams.count - minimumAvailable), 0)
  }

  /// How the upstream is brought to run the new code: by a HUP also where another way is configured that would take
  /// the only upstream away for too long.
  func method(_ upstream: Int) -> RestartMethod {
    switch (approach, upstreams[upstream].method) {
    case (.reload, .handOver): .handOver
    case (.reload, _): .reload
    case (.othersServe, let configured), (.hold, let configured): configured
    }
  }

  /// True when the upstream is not drained before its restart.
  var skipsDrain: Bool {
    switch approach {
    case .othersServe, .hold: false
    case .reload: true
    }
  }

  /// Milliseconds after which the restart has ended in any case. A drain can begin twice between two restarts: once
  /// put off because an upstream went down, and once more when it came back.
  public var longestTime: Int64 {
    let probation = policy.probation.map { $0.longestDuration * Int64($0.shares.count) } ?? 0
    let each = 2 * policy.budgets.limit + policy.capacityWait + probation
    return order.reduce(policy.preflightTimeout) { $0 + each + upstreams[$1].restartTimeout }
  }
}

/// Why a plan can't be made of what was asked for.
public enum RestartPlanError: Error, Hashable, Sendable, CustomStringConvertible {
  case nothingChosen
  case unknownUpstream(String, known: [String])
  case namedTwice(String)

  public var description: String {
    switch self {
    case .nothingChosen: return "no upstream is named; expected at least one"
    case .namedTwice(let name): return "upstream '\(name)' is named twice"
    case .unknownUpstream(let name, let known):
      let suggestion = nearest(name, in: known).map { " (did you mean '\($0)'?)" } ?? ""
      return "unknown upstream '\(name)'; expected one of \(known.joined(separator: ", "))\(suggestion)"
    }
  }
}
