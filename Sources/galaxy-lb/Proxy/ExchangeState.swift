import HTTP1
import UpstreamPool

/// One request and its response as a value: events go in, decisions come out. It knows no socket and no clock, so
/// every path of it is a unit test.
struct ExchangeState: Sendable {
  enum RequestSide: Sendable {
    case receiving
    case complete
  }

  enum ResponseSide: Sendable {
    /// Not a byte of it was received.
    case awaited
    /// Part of a head was received, or an interim response, but no final head.
    case arriving
    /// The final head went to the client.
    case streaming
    case complete
  }

  /// Where `Expect: 100-continue` stands (RFC 9110 10.1.1).
  enum Expectation: Sendable {
    case none
    /// The client waits.
    case awaited
    /// The client was told to go on by the proxy itself; a 100 of the upstream would be one too many.
    case answeredHere
    /// The upstream told it to go on, or the client did not wait.
    case settled
  }

  let isHead: Bool
  let isIdempotent: Bool
  let minorVersion: Int
  let clientPersists: Bool
  let acceptsTrailers: Bool
  let asksForWebSocket: Bool

  private(set) var request: RequestSide
  private(set) var response = ResponseSide.awaited
  private(set) var dispatch = DispatchState.nothingSent
  private(set) var expectation: Expectation
  private(set) var attempts = 0
  private var interimCount = 0

  /// More interim responses than any server has reason to send are taken for a fault.
  static let maximumInterimResponses = 64

  init(_ head: borrowing RequestHead) {
    isHead = head.methodClass == .head
    isIdempotent = head.methodClass.isIdempotent
    minorVersion = head.minorVersion
    clientPersists = head.isPersistent
    acceptsTrailers = head.acceptsTrailers
    asksForWebSocket = head.asksForWebSocket
    request = head.framing == .none ? .complete : .receiving
    expectation = head.expectsContinue ? .awaited : .none
  }

  // MARK: The request's way

  /// The client's body has come in, in part or, with `isComplete`, to its end.
  mutating func bodyReceived(isComplete: Bool) {
    if case .awaited = expectation { expectation = .settled }
    if isComplete { request = .complete }
  }

  /// The proxy tells the client itself to go on, because the upstream takes its time. False when that is not due.
  mutating func answerExpectation() -> Bool {
    guard case .awaited = expectation, response == .awaited || response == .arriving else { return false }
    expectation = .answeredHere
    return true
  }

  /// The upstream's socket took its first byte of this attempt.
  mutating func headSent() {
    if dispatch == .nothingSent {
      dispatch = .headSent
      attempts += 1
    }
  }

  /// The upstream's socket took bytes of the body that are not kept for another attempt.
  mutating func bodySent() {
    dispatch = max(dispatch, .bodySent)
  }

  // MARK: Failure

  enum FailureAction: Equatable {
    /// Choose an upstream anew and send everything again.
    case redispatch
    /// Tell the client with this status.
    case answer(status: Int)
    /// The response has begun: end the client's connection so that it sees that something is missing.
    case cut
  }

  /// The upstream, or the connection to it, failed.
  mutating func upstreamFailed(_ failure: UpstreamFailure, isReplayable: Bool) -> FailureAction {
    switch response {
    case .streaming, .complete: return .cut
    case .arriving: return .answer(status: Self.status(for: failure))
    case .awaited: break
    }
    let decision = Redispatch.decide(
      after: failure, dispatch: dispatch, isIdempotent: isIdempotent, isReplayable: isReplayable,
      attempts: attempts)
    guard decision == .again else { return .answer(status: Self.status(for: failure)) }
    dispatch = .nothingSent
    return .redispatch
  }

  private static func status(for failure: UpstreamFailure) -> Int {
    switch failure {
    case .busy: 503
    case .timedOut, .connectTimedOut: 504
    case .unreachable, .sendRefused, .closedBeforeAnswer, .malformedResponse, .truncatedResponse: 502
    }
  }

  // MARK: The response's way

  enum ResponseAction: Equatable {
    case forwardInterim
    case dropInterim
    /// Forward the head; then both sides are a tunnel.
    case startTunnel
    /// Forward the final head with this framing, and `Connection: close` unless the client's connection stays.
    case forward(ClientFraming, keepsClient: Bool)
    /// It is no answer to this request.
    case refuse
  }

  /// Bytes of a response came that are not a whole head.
  mutating func responseBytesArrived() {
    if response == .awaited { response = .arriving }
  }

  /// - Parameter isStopping: the proxy is about to stop, so that no connection is kept.
  mutating func responseHeadArrived(_ head: ResponseHead, isStopping: Bool) -> ResponseAction {
    response = .arriving
    if head.status == 101 {
      guard asksForWebSocket, head.switchesToWebSocket else { return .refuse }
      response = .streaming
      dispatch = .responseBegun
      return .startTunnel
    }
    if head.isInterim { return interimArrived(head) }

    response = .streaming
    dispatch = .responseBegun
    let framing = clientFraming(head)
    // Whether the body that a still waiting client announced will come after this answer is anybody's guess
    // (RFC 9110 10.1.1), so that connection can't go on.
    let bodyIsUncertain = expectation == .awaited
    let keepsClient = clientPersists && !isStopping && !bodyIsUncertain && framing != .untilClose
    return .forward(framing, keepsClient: keepsClient)
  }

  private mutating func interimArrived(_ head: ResponseHead) -> ResponseAction {
    interimCount += 1
    guard interimCount <= Self.maximumInterimResponses else { return .refuse }
    // RFC 9110 15.2: not to HTTP/1.0 clients.
    guard minorVersion == 1 else { return .dropInterim }
    if head.status == 100 {
      if expectation == .answeredHere { return .dropInterim }
      if expectation == .awaited { expectation = .settled }
    }
    return .forwardInterim
  }

  private func clientFraming(_ head: ResponseHead) -> ClientFraming {
    switch head.framing {
    case .none, .length: .unchanged
    case .chunked, .untilClose: minorVersion == 1 ? .chunked : .untilClose
    }
  }

  /// What becomes of the two connections when the response is complete.
  struct Ending: Equatable {
    enum Client: Equatable {
      /// The next request may follow.
      case keep
      /// The rest of the request's body comes first, and is dropped.
      case discardRequest
      case close
    }
    var client: Client
    var keepsUpstream: Bool
  }

  /// The last byte of the response was received.
  ///
  /// - Parameters:
  ///   - upstreamPersists: the response's head and framing allow another request.
  ///   - isAllSent: the upstream's socket has taken all that was received of the request. Where it has not, the
  ///     next request would be read as the rest of this one's body.
  ///   - keepsClient: what `responseHeadArrived` decided.
  mutating func responseCompleted(upstreamPersists: Bool, isAllSent: Bool, keepsClient: Bool) -> Ending {
    response = .complete
    let isRequestDone = request == .complete
    let client: Ending.Client = !keepsClient ? .close : isRequestDone ? .keep : .discardRequest
    return Ending(client: client, keepsUpstream: upstreamPersists && isRequestDone && isAllSent)
  }

  /// The proxy answers itself. The client's connection is kept only if its request was read to the end.
  mutating func answeredHere(isStopping: Bool) -> Ending.Client {
    response = .complete
    return clientPersists && request == .complete && !isStopping ? .keep : .close
  }
}
