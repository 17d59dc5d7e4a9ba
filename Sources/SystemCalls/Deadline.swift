import Glibc

/// A point of the monotonic clock (CLOCK_MONOTONIC, clock_gettime(2)): until then something may take.
public struct Deadline: Hashable, Sendable, Comparable {
  private let nanoseconds: Int64

  private init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// So much later than now; a duration that is zero or less is over already.
  public static func after(_ duration: Duration) -> Deadline {
    let (sum, overflow) = monotonicNanoseconds().addingReportingOverflow(duration.nanoseconds)
    return Deadline(nanoseconds: overflow ? .max : sum)
  }

  public var hasPassed: Bool { nanoseconds <= monotonicNanoseconds() }

  /// What poll(2) takes: milliseconds from now, rounded up so that it does not return too early; 0 when it has
  /// passed.
  var pollTimeout: Int32 {
    let rest = nanoseconds - monotonicNanoseconds()
    guard rest > 0 else { return 0 }
    return Int32(clamping: (rest - 1) / 1_000_000 + 1)
  }

  public static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }
}

/// The time since some point in the past, the same for all processes until the machine is started anew; it stands
/// still while the machine sleeps. systemd's `…TimestampMonotonic` properties count on it too.
public func monotonicTime() -> Duration {
  .nanoseconds(monotonicNanoseconds())
}

private func monotonicNanoseconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

extension Duration {
  /// The whole duration, or the largest that fits.
  fileprivate var nanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    guard !overflow else { return seconds < 0 ? .min / 2 : .max / 2 }
    return product + attoseconds / 1_000_000_000
  }
}
