import HTTP1
import Testing
import UpstreamPool

@testable import galaxy_lb

/// An exchange by reference, so that its steps can stand in expectations.
private final class Subject {
  private(set) var state: ExchangeState

  init(_ lines: String..., sourceLocation: SourceLocation = #_sourceLocation) {
    let bytes = Array((lines + ["Host: h", "", ""]).joined(separator: "\r\n").utf8)
    var head = RequestHead()
    let progress = head.read(
      bytes.span, limits: HeadLimits(line: 8192, head: 8192, fields: 100), classifier: FieldNameClassifier())
    #expect(progress == .complete(byteCount: bytes.count), sourceLocation: sourceLocation)
    state = ExchangeState(head)
  }

  func fail(_ failure: UpstreamFailure, isReplayable: Bool = true) -> ExchangeState.FailureAction {
    state.upstreamFailed(failure, isReplayable: isReplayable)
  }

  func answer(_ lines: String..., isStopping: Bool = false) -> ExchangeState.ResponseAction {
    let bytes = Array((lines + ["", ""]).joined(separator: "\r\n").utf8)
    var head = ResponseHead()
    let progress = head.read(
      bytes.span, limits: HeadLimits(line: 8192, head: 8192, fields: 100),
      context: ResponseContext(isHead: state.isHead))
    #expect(progress == .complete(byteCount: bytes.count))
    return state.responseHeadArrived(head, isStopping: isStopping)
  }

  func answerExpectation() -> Bool { state.answerExpectation() }
  func headSent() { state.headSent() }
  func bodySent() { state.bodySent() }
  func bodyReceived(isComplete: Bool) { state.bodyReceived(isComplete: isComplete) }
  func responseBytesArrived() { state.responseBytesArrived() }

  func complete(persists: Bool = true, isAllSent: Bool = true, keepsClient: Bool = true)
    -> ExchangeState.Ending
  {
    state.responseCompleted(upstreamPersists: persists, isAllSent: isAllSent, keepsClient: keepsClient)
  }

  func answerHere(isStopping: Bool = false) -> ExchangeState.Ending.Client {
    state.answeredHere(isStopping: isStopping)
  }
}

@Suite struct ExchangeStateTests {
  private static let idempotent = "GET / HTTP/1.1"
  private static let unsafe = "POST / HTTP/1.1"

  // MARK: Failure

  /// The status of HTTP.md 24: 504 where time ran out, 503 where it is busy, 502 otherwise.
  private static func status(_ failure: UpstreamFailure) -> Int {
    switch failure {
    case .busy: 503
    case .timedOut, .connectTimedOut: 504
    case .unreachable, .sendRefused, .closedBeforeAnswer, .malformedResponse, .truncatedResponse: 502
    }
  }

  /// Every failure at every moment.
  @Test(arguments: UpstreamFailure.allCases)
  func failures(_ failure: UpstreamFailure) {
    let status = ExchangeState.FailureAction.answer(status: Self.status(failure))
    for (line, isIdempotent) in [(Self.idempotent, true), (Self.unsafe, false)] {
      for isReplayable in [false, true] {
        for dispatch in DispatchState.allCases {
          for response in ["awaited", "arriving", "streaming", "complete"] {
            guard let subject = at(dispatch, response, line) else { continue }
            let action = subject.fail(failure, isReplayable: isReplayable)
            let mayBeSentAgain =
              isReplayable
              && (dispatch == .nothingSent
                || isIdempotent && failure != .timedOut && failure != .malformedResponse)
            let expected: ExchangeState.FailureAction =
              switch response {
              case "streaming", "complete": .cut
              case "arriving": status
              default: mayBeSentAgain ? .redispatch : status
              }
            #expect(action == expected, "\(line), \(dispatch), \(response), replayable \(isReplayable)")
            if action == .redispatch { #expect(subject.state.dispatch == .nothingSent) }
          }
        }
      }
    }
  }

  /// An exchange that has come so far; nil where that can't be.
  private func at(_ dispatch: DispatchState, _ response: String, _ line: String) -> Subject? {
    let subject = Subject(line, "Content-Length: 5")
    if dispatch >= .headSent { subject.headSent() }
    if dispatch >= .bodySent { subject.bodySent() }
    switch (response, dispatch) {
    case ("awaited", ...DispatchState.bodySent): break
    case ("arriving", ...DispatchState.bodySent): subject.responseBytesArrived()
    case ("streaming", .responseBegun), ("complete", .responseBegun):
      #expect(
        subject.answer("HTTP/1.1 200 OK", "Content-Length: 1") == .forward(.unchanged, keepsClient: true))
      if response == "complete" { _ = subject.complete() }
    default: return nil
    }
    #expect(subject.state.dispatch == dispatch)
    return subject
  }

  @Test func attemptsAreBounded() {
    let subject = Subject(Self.idempotent)
    for attempt in 1...Redispatch.maximumAttempts {
      subject.headSent()
      subject.headSent()
      #expect(subject.state.attempts == attempt)
      let expected: ExchangeState.FailureAction =
        attempt < Redispatch.maximumAttempts ? .redispatch : .answer(status: 502)
      #expect(subject.fail(.closedBeforeAnswer) == expected)
    }
  }

  /// Upstreams that can't be reached are no attempts: each is tried once anyway.
  @Test func connectionAttemptsAreNotCounted() {
    let subject = Subject(Self.unsafe, "Content-Length: 5")
    for failure in [.unreachable, .busy, .connectTimedOut, .sendRefused, .unreachable] as [UpstreamFailure] {
      #expect(subject.fail(failure) == .redispatch)
    }
    #expect(subject.state.attempts == 0)
  }

  /// Guards against a request that is sent again after a part of its answer, an interim one included, went out.
  @Test func afterAnInterimAnswerNothingIsSentAgain() {
    let subject = Subject(Self.idempotent)
    subject.headSent()
    #expect(subject.answer("HTTP/1.1 103 Early Hints") == .forwardInterim)
    #expect(subject.fail(.closedBeforeAnswer) == .answer(status: 502))
  }

  @Test func aRefusedSwitchIsABadGateway() {
    let subject = Subject(Self.idempotent)
    subject.headSent()
    #expect(subject.answer("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket") == .refuse)
    #expect(subject.fail(.malformedResponse) == .answer(status: 502))
  }

  // MARK: Expect

  private func expecting() -> Subject { Subject(Self.unsafe, "Content-Length: 5", "Expect: 100-continue") }

  @Test func nobodyIsToldToGoOnWhoDoesNotWait() {
    #expect(!Subject(Self.unsafe, "Content-Length: 5").answerExpectation())
    #expect(!Subject(Self.idempotent, "Expect: 100-continue").answerExpectation(), "no content to wait with")
    #expect(!Subject("POST / HTTP/1.0", "Content-Length: 5", "Expect: 100-continue").answerExpectation())
  }

  @Test func theProxyTellsToGoOnOnce() {
    let subject = expecting()
    #expect(subject.answerExpectation())
    #expect(!subject.answerExpectation())
    #expect(subject.state.expectation == .answeredHere)
    // The upstream's own would be one too many; other interim answers are not.
    #expect(subject.answer("HTTP/1.1 100 Continue") == .dropInterim)
    #expect(subject.answer("HTTP/1.1 103 Early Hints") == .forwardInterim)
    #expect(subject.answer("HTTP/1.1 200 OK", "Content-Length: 0") == .forward(.unchanged, keepsClient: true))
  }

  @Test func theUpstreamTellsToGoOn() {
    let subject = expecting()
    subject.headSent()
    #expect(subject.answer("HTTP/1.1 100 Continue") == .forwardInterim)
    #expect(subject.state.expectation == .settled)
    #expect(!subject.answerExpectation())
    #expect(subject.answer("HTTP/1.1 200 OK", "Content-Length: 0") == .forward(.unchanged, keepsClient: true))
  }

  @Test func theClientDoesNotWait() {
    let subject = expecting()
    subject.bodyReceived(isComplete: false)
    #expect(subject.state.expectation == .settled)
    #expect(!subject.answerExpectation())
    #expect(subject.answer("HTTP/1.1 100 Continue") == .forwardInterim)
  }

  /// Another interim answer does not end the client's wait.
  @Test func aHintIsNoLeaveToGoOn() {
    let subject = expecting()
    #expect(subject.answer("HTTP/1.1 103 Early Hints") == .forwardInterim)
    #expect(subject.state.expectation == .awaited)
    #expect(subject.answerExpectation())
  }

  /// RFC 9110 10.1.1: whether the body comes after a final answer is anybody's guess.
  @Test func aFinalAnswerInPlaceOf100EndsTheConnection() {
    let subject = expecting()
    #expect(
      subject.answer("HTTP/1.1 403 No", "Content-Length: 0") == .forward(.unchanged, keepsClient: false))
    #expect(!subject.answerExpectation())
    #expect(subject.complete(keepsClient: false) == .init(client: .close, keepsUpstream: false))
  }

  // MARK: Interim answers

  @Test func interimAnswersAreBounded() {
    for (line, action) in [
      (Self.idempotent, ExchangeState.ResponseAction.forwardInterim), ("GET / HTTP/1.0", .dropInterim),
    ] {
      let subject = Subject(line)
      for _ in 0..<ExchangeState.maximumInterimResponses {
        #expect(subject.answer("HTTP/1.1 102 P") == action)
      }
      #expect(subject.answer("HTTP/1.1 102 P") == .refuse)
    }
  }

  // MARK: 101

  private static let asking = ["Connection: upgrade", "Upgrade: websocket"]
  private static let switching = ["HTTP/1.1 101 S", "Connection: upgrade", "Upgrade: websocket"]

  @Test func aTunnelStartsWhenBothSidesSaySo() {
    let subject = Subject(Self.idempotent, Self.asking[0], Self.asking[1])
    #expect(subject.answer(Self.switching[0], Self.switching[1], Self.switching[2]) == .startTunnel)
    #expect(subject.state.dispatch == .responseBegun)
    #expect(subject.fail(.closedBeforeAnswer) == .cut)
  }

  @Test func anInterimAnswerMayComeBeforeTheSwitch() {
    let subject = Subject(Self.idempotent, Self.asking[0], Self.asking[1])
    #expect(subject.answer("HTTP/1.1 103 Early Hints") == .forwardInterim)
    #expect(subject.answer(Self.switching[0], Self.switching[1], Self.switching[2]) == .startTunnel)
  }

  @Test(arguments: [
    ["GET / HTTP/1.1"], ["GET / HTTP/1.1", "Upgrade: websocket"], ["GET / HTTP/1.1", "Connection: upgrade"],
    ["GET / HTTP/1.1", "Connection: upgrade", "Upgrade: h2c"],
    ["GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket"],
    ["POST / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 1"],
    ["POST / HTTP/1.1", "Connection: upgrade", "Upgrade: websocket", "Transfer-Encoding: chunked"],
  ])
  func aSwitchThatNobodyAskedForIsRefused(_ lines: [String]) {
    let subject = Subject(lines.joined(separator: "\r\n"))
    #expect(subject.answer(Self.switching[0], Self.switching[1], Self.switching[2]) == .refuse)
  }

  @Test(arguments: ["Upgrade: h2c", "X: y"])
  func aSwitchToSomethingElseIsRefused(_ field: String) {
    let subject = Subject(Self.idempotent, Self.asking[0], Self.asking[1])
    #expect(subject.answer("HTTP/1.1 101 S", "Connection: upgrade", field) == .refuse)
  }

  @Test(arguments: ["200 OK", "400 B", "426 U", "503 S"])
  func anyOtherStatusLeavesAnHTTPConnection(_ status: String) {
    let subject = Subject(Self.idempotent, Self.asking[0], Self.asking[1])
    #expect(
      subject.answer("HTTP/1.1 \(status)", "Content-Length: 2", "Upgrade: websocket")
        == .forward(.unchanged, keepsClient: true))
  }

  // MARK: Framing

  /// Each framing of an answer, for each kind of client that may keep its connection, by its request line, Connection
  /// option and the proxy's state.
  @Test func framingAndPersistence() {
    let framings: [(fields: String, toNew: ClientFraming, toOld: ClientFraming)] = [
      ("Content-Length: 3", .unchanged, .unchanged), ("Content-Length: 0", .unchanged, .unchanged),
      ("Transfer-Encoding: chunked", .chunked, .untilClose), ("X: until close", .chunked, .untilClose),
    ]
    let clients: [(line: String, connection: String, isNew: Bool, persists: Bool)] = [
      ("GET / HTTP/1.1", "X: y", true, true), ("GET / HTTP/1.1", "Connection: close", true, false),
      ("GET / HTTP/1.0", "X: y", false, false), ("GET / HTTP/1.0", "Connection: keep-alive", false, true),
      ("GET / HTTP/1.1", "Connection: close, keep-alive", true, false),
    ]
    for framing in framings {
      for client in clients {
        for isStopping in [false, true] {
          let wanted = client.isNew ? framing.toNew : framing.toOld
          let keeps = client.persists && !isStopping && wanted != .untilClose
          let action = Subject(client.line, client.connection).answer(
            "HTTP/1.1 200 OK", framing.fields, isStopping: isStopping)
          #expect(action == .forward(wanted, keepsClient: keeps), "\(framing.fields) to \(client)")
        }
      }
    }
  }

  /// Whatever the fields say, these have no content (RFC 9112 6.3).
  @Test(arguments: ["Content-Length: 3", "Transfer-Encoding: chunked", "X: y"])
  func answersWithoutContent(_ fields: String) {
    for status in ["204 N", "304 N"] {
      #expect(
        Subject(Self.idempotent).answer("HTTP/1.1 \(status)", fields)
          == .forward(.unchanged, keepsClient: true))
    }
    for line in ["HEAD / HTTP/1.1", "HEAD / HTTP/1.0"] {
      let isKept = line.hasSuffix("1.1")
      #expect(
        Subject(line).answer("HTTP/1.1 200 OK", fields) == .forward(.unchanged, keepsClient: isKept))
    }
  }

  // MARK: Endings

  @Test func endings() {
    for isDone in [false, true] {
      for persists in [false, true] {
        for isAllSent in [false, true] {
          for keepsClient in [false, true] {
            let subject = Subject(Self.unsafe, "Content-Length: 5")
            subject.bodyReceived(isComplete: isDone)
            _ = subject.answer("HTTP/1.1 200 OK", "Content-Length: 0")
            let ending = subject.complete(persists: persists, isAllSent: isAllSent, keepsClient: keepsClient)
            #expect(ending.client == (!keepsClient ? .close : isDone ? .keep : .discardRequest))
            // Guards against a connection that is kept while its upstream waits for the rest of a body: the next
            // request would be read as that.
            #expect(ending.keepsUpstream == (persists && isDone && isAllSent))
          }
        }
      }
    }
  }

  @Test func anAnswerOfTheProxyKeepsTheClientOnlyWhenItsRequestIsRead() {
    let requests: [(lines: [String], isRead: Bool)] = [
      ([Self.idempotent], true), ([Self.idempotent, "Connection: close"], false),
      (["GET / HTTP/1.0"], false), (["GET / HTTP/1.0", "Connection: keep-alive"], true),
      ([Self.unsafe, "Content-Length: 5"], false), ([Self.unsafe, "Content-Length: 0"], true),
      ([Self.unsafe, "Transfer-Encoding: chunked"], false),
    ]
    for (lines, isRead) in requests {
      for isStopping in [false, true] {
        let subject = Subject(lines.joined(separator: "\r\n"))
        #expect(
          subject.answerHere(isStopping: isStopping) == (isRead && !isStopping ? .keep : .close), "\(lines)")
      }
    }
  }

  @Test func methodsThatMayBeSentAgain() {
    for (method, expected) in [
      ("GET", true), ("HEAD", true), ("OPTIONS", true), ("TRACE", true), ("PUT", true), ("DELETE", true),
      ("POST", false), ("PATCH", false), ("get", false), ("PROPFIND", false), ("LOCK", false),
    ] {
      #expect(Subject("\(method) / HTTP/1.1").state.isIdempotent == expected, "\(method)")
    }
  }
}
