import Glibc

/// How long a blocking call may take: until a deadline, and only while nobody cancels.
public struct WaitLimit: Sendable {
  public var deadline: Deadline
  public var cancellation: Cancellation?

  public init(until deadline: Deadline, cancellation: Cancellation? = nil) {
    self.deadline = deadline
    self.cancellation = cancellation
  }

  /// The same, but not longer than `duration` from now.
  public func atMost(_ duration: Duration) -> WaitLimit {
    WaitLimit(until: min(deadline, .after(duration)), cancellation: cancellation)
  }
}

/// Why a wait has ended.
public enum WaitEnd: Equatable, Sendable {
  /// At least one descriptor has one of the events that were asked for, or an error.
  case ready
  case timedOut
  case cancelled
}

/// Waits for events of `descriptors` (poll(2)), whose `revents` are set when the answer is `ready`. What is ready
/// comes first: it is seen even if the deadline has passed. Cancellation comes before both.
public func wait(for descriptors: inout [pollfd], within limit: WaitLimit) throws(SystemError) -> WaitEnd {
  var all = descriptors
  if let cancellation = limit.cancellation {
    all.append(pollfd(fd: cancellation.descriptor, events: Int16(POLLIN), revents: 0))
  }
  while true {
    let count = poll(&all, nfds_t(all.count), limit.deadline.pollTimeout)
    if count < 0 {
      let error = SystemError.last("poll")
      guard error.code == EINTR else { throw error }
      continue
    }
    if limit.cancellation?.isCancelled == true { return .cancelled }
    if count > 0 {
      for index in descriptors.indices { descriptors[index].revents = all[index].revents }
      return .ready
    }
    // A time-out longer than poll(2) can express takes several rounds.
    if limit.deadline.hasPassed { return .timedOut }
  }
}

/// Waits for one descriptor.
///
/// - Parameter events: POLLIN, POLLOUT or both (poll(2)).
public func wait(for descriptor: Int32, _ events: Int32, within limit: WaitLimit) throws(SystemError)
  -> WaitEnd
{
  var descriptors = [pollfd(fd: descriptor, events: Int16(events), revents: 0)]
  return try wait(for: &descriptors, within: limit)
}

/// Does nothing for `duration`: the answer is `timedOut` then, or when the limit comes first, or `cancelled`.
public func pause(_ duration: Duration, within limit: WaitLimit) throws(SystemError) -> WaitEnd {
  var none: [pollfd] = []
  return try wait(for: &none, within: limit.atMost(duration))
}
