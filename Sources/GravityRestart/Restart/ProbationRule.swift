/// What traffic has shown of one upstream, or of several together, since a share of it was given.
public struct TrafficSample: Hashable, Sendable {
  public var requests: Int
  /// Answers of the 5xx kind, and requests without a whole answer.
  public var failures: Int
  /// Milliseconds to the first byte that most answers stay below (the coordinator's quantile, the same for all that
  /// is compared); nil without answers.
  public var latency: Int64?

  public init(requests: Int = 0, failures: Int = 0, latency: Int64? = nil) {
    self.requests = requests
    self.failures = failures
    self.latency = latency
  }
}

/// How a restarted upstream shows under real traffic that it works: in steps of rising shares, each judged beside the
/// others.
public struct ProbationRule: Hashable, Sendable {
  /// Per cent of the share that it will have in the end, step by step.
  public var shares = [10, 50]
  /// Milliseconds that a step takes at least.
  public var duration: Int64 = 10_000
  /// Milliseconds after which a step is judged by what there is. While the others have fewer requests than
  /// `minimumRequests`, it is `duration`.
  public var longestDuration: Int64 = 30_000
  /// Fewer say nothing before the step is over.
  public var minimumRequests = 20
  /// Percentage points that its error rate may exceed that of the others.
  public var toleratedErrors = 5
  /// Per cent of the others' latency that its own may reach. A process that has just started is slower for a while.
  public var toleratedLatency: Int64 = 300
  /// Milliseconds by which it may be slower whatever the proportion.
  public var latencyMargin: Int64 = 250

  public init() {}

  /// What a step has come to.
  public enum Verdict: Hashable, Sendable {
    case undecided
    case passed
    case failed(Finding)
  }

  /// What was worse than it may be.
  public enum Finding: Hashable, Sendable {
    case errors(own: TrafficSample, others: TrafficSample)
    case latency(own: Int64, others: Int64)
  }

  /// Too many errors fail a step as soon as they are shown by enough requests; the latency is judged at its end.
  ///
  /// - Parameter elapsed: milliseconds since the step began.
  public func verdict(own: TrafficSample, others: TrafficSample, elapsed: Int64) -> Verdict {
    // Where the others have as good as nothing to do, a longer wait would not show more.
    let isQuiet = elapsed >= duration && others.requests < minimumRequests
    let isOver = elapsed >= longestDuration || isQuiet
    let saysEnough = own.requests >= minimumRequests
    guard saysEnough || isOver else { return .undecided }
    if hasTooManyErrors(own, others) { return .failed(.errors(own: own, others: others)) }
    guard isOver || elapsed >= duration else { return .undecided }
    if saysEnough, others.requests >= minimumRequests, let own = own.latency, let others = others.latency,
      own > max(others * toleratedLatency / 100, others + latencyMargin)
    {
      return .failed(.latency(own: own, others: others))
    }
    return .passed
  }

  /// One failure alone is an accident.
  private func hasTooManyErrors(_ own: TrafficSample, _ others: TrafficSample) -> Bool {
    guard own.failures > 1 else { return false }
    guard others.requests > 0 else { return own.failures * 100 > own.requests * toleratedErrors }
    let allowed = others.failures * 100 + toleratedErrors * others.requests
    return own.failures * 100 * others.requests > own.requests * allowed
  }
}
