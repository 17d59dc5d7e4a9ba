/// What traffic has shown of an upstream: the sum over all loops, since the start or, as the difference of two, since a
/// moment.
public struct UpstreamTraffic: Equatable, Sendable {
  /// Requests sent, retries included.
  public private(set) var requests = 0
  /// Answers of the 5xx kind, and failures that count against its health. There may be more than requests: where nobody
  /// listens nothing is sent.
  public private(set) var failures = 0
  /// Answers by the time to their first byte, in the classes of `UpstreamStatistics.firstByteBounds`; the last one is
  /// for all that took longer.
  public private(set) var firstBytes = [Int](
    repeating: 0, count: UpstreamStatistics.firstByteBounds.count + 1)

  /// No traffic.
  public init() {}

  /// The traffic of an upstream so far, its counters before reloads included. From any thread: what loops count at this
  /// very moment may be in it or not.
  public init(of upstream: Upstream) {
    for counts in upstream.statistics { add(counts) }
  }

  private mutating func add(_ counts: UpstreamStatistics) {
    requests += counts.requests.current
    failures += counts.answers(hundreds: 5)
    for failure in UpstreamFailure.allCases where failure.countsAgainstHealth {
      failures += counts.count(of: failure)
    }
    for place in firstBytes.indices { firstBytes[place] += counts.answers(firstByteClass: place) }
  }

  /// The traffic of several upstreams together.
  public static func + (left: UpstreamTraffic, right: UpstreamTraffic) -> UpstreamTraffic {
    left.combined(with: right, +)
  }

  /// What has come since `right`, which was looked at before.
  public static func - (left: UpstreamTraffic, right: UpstreamTraffic) -> UpstreamTraffic {
    left.combined(with: right, -)
  }

  private func combined(with other: UpstreamTraffic, _ combine: (Int, Int) -> Int) -> UpstreamTraffic {
    var result = self
    result.requests = combine(requests, other.requests)
    result.failures = combine(failures, other.failures)
    for place in firstBytes.indices {
      result.firstBytes[place] = combine(firstBytes[place], other.firstBytes[place])
    }
    return result
  }

  /// Answers, whatever their status.
  public var answers: Int { firstBytes.reduce(0, +) }

  /// The time to the first byte, in milliseconds, that `fraction` of the answers stay below; nil without answers.
  ///
  /// Within a class times are taken to be spread evenly, as Prometheus' histogram_quantile does, and as there it is the
  /// last bound for what took longer.
  public func firstByteQuantile(_ fraction: Double) -> Double? {
    let all = answers
    guard all > 0 else { return nil }
    let wanted = Double(all) * min(max(fraction, 0), 1)
    let bounds = UpstreamStatistics.firstByteBounds
    var below = 0
    for (place, bound) in bounds.enumerated() {
      let count = firstBytes[place]
      if count > 0, Double(below + count) >= wanted {
        let lower = place == 0 ? 0 : Double(bounds[place - 1])
        return lower + (Double(bound) - lower) * max(0, wanted - Double(below)) / Double(count)
      }
      below += count
    }
    return Double(bounds[bounds.count - 1])
  }
}
