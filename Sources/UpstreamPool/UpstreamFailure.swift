/// What went wrong between the proxy and an upstream.
public enum UpstreamFailure: UInt8, Error, Sendable, CaseIterable {
  /// The socket is missing, refuses, or is no socket.
  case unreachable
  /// The backlog stayed full (EAGAIN) for as long as a connection may take.
  case busy
  /// The connection did not stand within the connect time-out.
  case connectTimedOut
  /// Sending failed before a byte was taken.
  case sendRefused
  /// The connection ended, or was reset, before an answer had begun.
  case closedBeforeAnswer
  /// No answer, or no further piece of it, within the response time-out.
  case timedOut
  /// What it sent is not HTTP/1.1.
  case malformedResponse
  /// The answer ended before it was complete.
  case truncatedResponse

  /// True when it says that the upstream itself does not work, and counts against its health. A full backlog means
  /// busy, not dead.
  public var countsAgainstHealth: Bool { self != .busy }

  /// True when nothing can be there: one such failure is proof, while others need to repeat.
  public var isConclusive: Bool { self == .unreachable }
}
