/// How much of a request has gone out, and whether an answer has begun.
public enum DispatchState: UInt8, Comparable, Sendable, CaseIterable {
  /// Not a byte was taken by the upstream's socket.
  case nothingSent
  /// At least a byte of the head.
  case headSent
  /// At least a byte of the body.
  case bodySent
  /// At least a byte of the response, interim ones included, went to the client.
  case responseBegun

  public static func < (left: DispatchState, right: DispatchState) -> Bool { left.rawValue < right.rawValue }
}

/// Whether a request that failed upstream may be sent again (RFC 9110 9.2.2, RFC 9112 9.3.1):
///
/// | dispatch      | idempotent | not idempotent |
/// |---------------|------------|----------------|
/// | nothingSent   | again      | again          |
/// | headSent      | again      | give up        |
/// | bodySent      | again      | give up        |
/// | responseBegun | give up    | give up        |
///
/// What is not all at hand any more can't be sent again, whatever the table says. A time-out is never followed by
/// another attempt once something was sent: the first may still be working. Nor is an answer that is not HTTP: it was
/// the answer. Attempts are bounded, so that retries can't multiply an overload.
public enum Redispatch: Equatable, Sendable {
  case again
  case giveUp

  /// Attempts of one request that reached an upstream, the first included. Connection attempts to upstreams that
  /// can't be reached do not count; each upstream gets at most one of them.
  public static let maximumAttempts = 3

  /// - Parameters:
  ///   - isReplayable: the whole request is still at hand.
  ///   - attempts: how often it was sent, in part or whole.
  public static func decide(
    after failure: UpstreamFailure, dispatch: DispatchState, isIdempotent: Bool, isReplayable: Bool,
    attempts: Int
  ) -> Redispatch {
    switch dispatch {
    case .nothingSent: return isReplayable ? .again : .giveUp
    case .headSent, .bodySent:
      guard isIdempotent, isReplayable, attempts < maximumAttempts else { return .giveUp }
      return failure == .timedOut || failure == .malformedResponse ? .giveUp : .again
    case .responseBegun: return .giveUp
    }
  }
}
