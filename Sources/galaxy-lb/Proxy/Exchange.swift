import EventLoop
import Glibc
import HTTP1
import SystemCalls
import UpstreamPool

/// One request and its response between a client connection and an upstream connection: carries out what
/// `ExchangeState` decides. It is used again for other requests of the same worker, so that a request in the steady
/// state needs no new memory.
final class Exchange: Timed {
  let worker: Worker
  unowned(unsafe) var client: ClientConnection!
  /// The connection that it is sent on; nil before one was chosen, between attempts, and after the response.
  var upstream: UpstreamConnection?
  /// The place in its pool of the upstream that it was sent to last; nil before one was chosen.
  var lastPlace: Int?
  @exclusivity(unchecked) var lease: UpstreamLease?
  /// Nil before it has a route.
  var pool: LocalPool!
  /// What its pool tells requests apart by, hashed; nil when the pool doesn't ask, or the request has none.
  private(set) var key: UInt64?
  @exclusivity(unchecked) var state: ExchangeState

  /// The rewritten head and the part of the body that came with it: what another attempt sends again.
  @exclusivity(unchecked) var request = ByteBuffer()
  /// How much of `request` this attempt has sent.
  var requestSent = 0
  /// Body bytes behind `request` that the upstream has not taken.
  @exclusivity(unchecked) var upload = ByteBuffer()
  /// Body bytes behind `upload` that the upstream has not taken; nil when there are none. See `SplicedUpload`.
  var pipe: SplicePipe?
  /// A piece of the body was spliced; so is the rest.
  var isUploadSpliced = false
  @exclusivity(unchecked) var uploadPace = UploadPace()
  @exclusivity(unchecked) var requestBody = BodyRelay.none
  @exclusivity(unchecked) var responseBody = BodyRelay.none
  /// True once bytes of the body were sent that are not kept.
  private(set) var uploadBegan = false
  /// An event stream is to end as soon as an event is complete.
  private(set) var endsEventStream = false
  /// What goes to each end of a tunnel.
  @exclusivity(unchecked) var toClient = WebSocketDirection()
  @exclusivity(unchecked) var toUpstream = WebSocketDirection()
  /// A tunnel is to be closed.
  var closesTunnel = false
  /// When the client's socket was found full, in milliseconds of the loop's clock.
  var blockedAt: Int64?
  private var keepsClient = true
  /// The response goes to the client until the connection ends: only a reset can tell it that something is missing.
  private var endsWithConnection = false

  /// Where it may still go.
  var placement = Placement()
  /// A kept connection has failed it: no other one will do.
  var needsFreshConnection = false

  /// Its place among those that wait for an upstream.
  var ticket: WaitingLine.Ticket?

  /// What is told about it afterwards.
  @exclusivity(unchecked) var record = ExchangeRecord()
  @exclusivity(unchecked) var logged = LoggedHead()

  init(_ worker: Worker) {
    self.worker = worker
    state = ExchangeState(worker.requestHead)
    super.init()
  }

  // MARK: The request

  /// Takes over the head that the worker has just read from `bytes`. Returns why it is not served, if so.
  func begin(_ bytes: Span<UInt8>, headLength: Int) -> (status: Int, reason: EndReason)? {
    let head = worker.requestHead
    let client = client!
    // Not its settings by themselves: a copy of them would count a reference for each of their arrays.
    let site = worker.site
    state = ExchangeState(head)
    record = ExchangeRecord()
    record.receivedAt = worker.loop.nowNanoseconds
    record.bytesReceived = Int64(headLength)
    requestIsLarge = isLarge(head.framing)
    if worker.accessLog != nil { logged.keep(head, bytes) }
    requestBody = BodyRelay(
      head.framing, writesChunks: head.framing == .chunked, keepsTrailers: false,
      trailerLimits: site.requestLimits)
    if let limit = site.settings.limits.requestBody, case .length(let length) = head.framing, length > limit {
      return (413, .requestRejected(.bodyTooLarge))
    }
    guard let place = site.routes.pool(for: head, bytes) else { return (404, .noRoute) }
    let pool = worker.pools[place]
    self.pool = pool
    key = pool.requestKey?.hash(head, bytes, from: client.peer, trusting: site.settings.trustedProxies)

    let forwarded = ForwardedFields(
      peer: client.peer, isTrusted: site.settings.trustedProxies.includes(client.peer))
    head.write(bytes, dropping: forwarded.dropped, to: &request)
    let requestID = forwarded.write(head, bytes, newRequestID: worker.makeRequestID(), to: &request)
    request.append("\r\n")
    if logged.isKept { logged.keep(requestID: requestID, request.bytes) }
    return nil
  }

  /// A piece of the body, in its outgoing frame. `received` is the number of bytes it took on the way in.
  func bodyArrived(_ bytes: UnsafeRawBufferPointer, received: Int) {
    record.bytesReceived += Int64(received)
    state.bodyReceived(isComplete: requestBody.isComplete)
    if let limit = worker.site.settings.limits.requestBody, record.bytesReceived > limit + Self.headAllowance
    {
      requestBroke(.bodyTooLarge)
      return
    }
    guard let upstream else {
      // It came with the head, or while another attempt is being made: it can all be sent again.
      if uploadBegan || !upload.isEmpty { upload.append(bytes) } else { request.append(bytes) }
      return
    }
    upstream.sendBody(bytes, of: self)
  }

  /// How the request's body is framed, and so which class of traffic it begins in.
  var trafficClass: TrafficClass { requestIsLarge ? .upload : .ordinary }
  private var requestIsLarge = false

  /// A limit on a chunked body counts frames and head too, so it is given some room.
  private static let headAllowance: Int64 = 65_536

  /// True when more of the body may be read from the client: the upstream has taken what was read before.
  var wantsBody: Bool {
    guard state.request == .receiving, let upstream else { return false }
    return upstream.takesBody && isAllSent
  }

  /// True when the upstream's socket has taken all that was received of the request.
  var isAllSent: Bool { requestSent == request.count && upload.isEmpty && pipe == nil }

  /// The upstream's socket took so many bytes of `request`.
  func requestSent(_ byteCount: Int) {
    if requestSent == 0 { record.sentAt = worker.loop.nowNanoseconds }
    state.headSent()
    requestSent += byteCount
  }

  /// Body bytes went out that are not kept.
  func bodySent() {
    uploadBegan = true
    state.bodySent()
  }

  /// All that was there to be sent is sent.
  func requestTaken() {
    guard state.request == .receiving else { return }
    if client.waitingFor == .nothing { client.waitFor(.requestBody) }
    if client.readiness.contains(.readable) { worker.loop.enqueue(client, for: .receiveRequests) }
  }

  /// The body's framing is broken: upstream must never take what it got for complete.
  func requestBroke(_ reason: Rejection) {
    dropUpstream()
    fail(status: reason.status, .requestRejected(reason))
  }

  func requestTimedOut() {
    dropUpstream()
    fail(status: 408, .clientTimedOut)
  }

  /// True when the client was told to go on with its body.
  func answerExpectation() -> Bool {
    guard state.answerExpectation() else { return false }
    client.outbound.append("HTTP/1.1 100 Continue\r\n\r\n")
    worker.loop.enqueue(client, for: .sendResponses)
    return true
  }

  // MARK: An upstream, see also `Exchange+Dispatch`

  override func deadlinePassed() { waitIsOver() }

  /// The connection can't be used any more; nothing of it is kept.
  func dropUpstream() {
    upstream?.drop()
    upstream = nil
    // That was wanted of this upstream.
    endsEventStream = false
    closesTunnel = false
    returnLease()
    worker.loop.remove(self)
  }

  private func returnLease() {
    guard lease != nil else { return }
    lease = nil
    pool.admitWaiting()
  }

  /// The upstream, or the connection to it, failed.
  func upstreamFailed(_ failure: UpstreamFailure) {
    guard let connection = upstream else { return }
    // A kept connection that ends before an answer says nothing about the upstream: it may have been idle too long.
    let isStale = connection.isReused && state.response == .awaited && failure != .timedOut
    let chosen = connection.upstream
    if !isStale {
      connection.statistics.note(failure)
      chosen.noteFailure(failure, generation: connection.generation, now: worker.loop.now)
    }
    dropUpstream()
    let wasSent = state.dispatch != .nothingSent
    switch state.upstreamFailed(failure, isReplayable: !uploadBegan) {
    case .redispatch where wasSent && !pool.selector.takeRetry():
      answer(status: 502, .upstreamFailed(failure))
    case .redispatch:
      connection.statistics.retries.add()
      requestSent = 0
      needsFreshConnection = true
      if isStale { placement.foundStaleConnection(failure) } else { placement.failed(chosen, failure) }
      dispatch()
    case .answer(let status): answer(status: status, .upstreamFailed(failure))
    case .cut: cut(.upstreamFailed(failure))
    }
  }

  // MARK: The response

  /// A head of a response was read from `bytes`, which came on `connection`. Returns what to do with what follows it.
  func responseHeadArrived(_ bytes: Span<UInt8>, on connection: UpstreamConnection) -> ResponseStep {
    let head = worker.responseHead
    let client = client!
    if record.firstByteAt == 0 { record.firstByteAt = worker.loop.nowNanoseconds }
    switch state.responseHeadArrived(head, isStopping: worker.isStopping) {
    case .dropInterim: return .anotherHead
    case .forwardInterim:
      let before = client.outbound.count
      head.write(bytes, framing: .unchanged, to: &client.outbound)
      client.outbound.append("\r\n")
      record.headSent(client.outbound.count - before)
      if client.waitingFor == .continuation { client.waitFor(.requestBody) }
      worker.loop.enqueue(client, for: .sendResponses)
      return .anotherHead
    case .refuse: return .refused
    case .startTunnel:
      forwardHead(head, bytes, .unchanged, to: client)
      noteAnswer(head, on: connection)
      return .tunnel
    case .forward(let framing, let keepsClient):
      self.keepsClient = keepsClient
      endsWithConnection = framing == .untilClose
      responseBody = BodyRelay(
        head.framing, writesChunks: framing == .chunked, keepsTrailers: state.acceptsTrailers,
        trailerLimits: worker.site.responseLimits)
      forwardHead(head, bytes, framing, to: client)
      noteAnswer(head, on: connection)
      return .body
    }
  }

  enum ResponseStep {
    case anotherHead
    case body
    case tunnel
    case refused
  }

  private func forwardHead(
    _ head: ResponseHead, _ bytes: Span<UInt8>, _ framing: ClientFraming, to client: ClientConnection
  ) {
    record.status = head.status
    client.outbound.takeMemory(for: 0, from: &worker.spareMemory)
    let before = client.outbound.count
    head.write(bytes, framing: framing, to: &client.outbound)
    if head.status != 101 {
      if !keepsClient {
        client.outbound.append("Connection: close\r\n")
      } else if state.minorVersion == 0 {
        client.outbound.append("Connection: keep-alive\r\n")
      }
    }
    client.outbound.append("\r\n")
    record.headSent(client.outbound.count - before)
    if client.waitingFor == .continuation { client.waitFor(.nothing) }
    worker.loop.enqueue(client, for: .sendResponses)
  }

  /// Counts the answer, and what it makes of the exchange.
  private func noteAnswer(_ head: ResponseHead, on connection: UpstreamConnection) {
    connection.statistics.noteAnswer(status: head.status, firstByte: record.firstByteAt - record.sentAt)
    connection.upstream.noteSuccess(generation: connection.generation, now: worker.loop.now)
    if head.status == 101 {
      lease?.reclassify(.tunnel)
    } else if head.isEventStream {
      lease?.reclassify(.eventStream)
    } else if isLarge(head.framing), state.request == .complete {
      lease?.reclassify(.download)
    }
  }

  /// Whether content of this framing takes its time: it is large, or nobody knows.
  func isLarge(_ framing: BodyFraming) -> Bool {
    switch framing {
    case .none: false
    case .length(let length): length > Self.largeBody
    case .chunked, .untilClose: true
    }
  }

  /// Content above this many bytes makes an upload or a download of an ordinary request.
  private static let largeBody: Int64 = 1024 * 1024

  /// Hands a piece of the response to the client, in its outgoing frame.
  func forward(_ bytes: UnsafeRawBufferPointer) {
    record.bytesSent += Int64(bytes.count)
    client.send(bytes)
  }

  /// The trailers of a response, behind the last chunk's size line.
  func forwardTrailers(_ trailers: ChunkedDecoder) {
    let before = client.outbound.count
    client.outbound.append("0\r\n")
    trailers.writeTrailers(to: &client.outbound)
    client.outbound.append("\r\n")
    record.bytesSent += Int64(client.outbound.count - before)
    worker.loop.enqueue(client, for: .sendResponses)
  }

  /// The response was received to its end. `connectionPersists`: the upstream connection can take another request.
  func responseCompleted(connectionPersists: Bool) {
    let ending = state.responseCompleted(
      upstreamPersists: connectionPersists, isAllSent: isAllSent, keepsClient: keepsClient)
    if let connection = upstream {
      upstream = nil
      if ending.keepsUpstream { connection.keep() } else { connection.drop() }
      returnLease()
    }
    let ended: ClientConnection.Ending =
      switch ending.client {
      case .keep: .keep
      case .discardRequest: .discardRequest
      case .close: .close
      }
    client.endAfterOutput(ended)
  }

  /// Ends an event stream after the event that is under way, because the proxy or its upstream is about to stop.
  func endEventStream() {
    endsEventStream = true
    upstream?.endEventStream()
  }

  /// The client has taken all that was queued: more may be received for it.
  func clientTookOutput() {
    noteClientTookOutput()
    if let upstream, upstream.readiness.contains(.readable) {
      worker.loop.enqueue(upstream, for: .receiveResponses)
    }
  }

  // MARK: The end

  /// Answers in place of an upstream, or, when the response has begun, makes the client see that it is cut.
  private func fail(status: Int, _ reason: EndReason) {
    if state.response == .streaming { cut(reason) } else { answer(status: status, reason) }
  }

  /// The upstream is not waited for any longer: it is about to be restarted. What it has not got yet goes elsewhere.
  func expireDrain() {
    let isUnsent = state.response == .awaited && state.dispatch == .nothingSent
    dropUpstream()
    if isUnsent {
      dispatch()
    } else if client.ending == nil {
      // RFC 9110 15.6.5: no answer in time; 15.6.4: come again, for a request that was not even whole.
      fail(status: state.request == .complete ? 504 : 503, .drainExpired)
    }
  }

  /// The proxy's own answer.
  func answer(status: Int, _ reason: EndReason) {
    record.reason = reason
    record.status = status
    let ending = state.answeredHere(isStopping: worker.isStopping)
    let before = client.outbound.count
    let contentLength = ErrorAnswer.write(
      status: status, isHead: state.isHead, closes: ending != .keep,
      notice: status == 503 ? pool?.pool.notice : nil, to: &client.outbound)
    record.headSent(client.outbound.count - before - contentLength)
    record.bytesSent += Int64(contentLength)
    // What is still to come of a request that was not read must not reset the answer.
    if ending != .keep { client.readiness.insert(.readable) }
    client.endAfterOutput(ending == .keep ? .keep : .close)
  }

  private func cut(_ reason: EndReason) {
    record.reason = reason
    client.endAfterOutput(.cut(reset: endsWithConnection))
  }

  /// Bytes: nearly all requests fit. What a few large ones have needed is not kept for those to come.
  private static let keptMemory = 4096

  /// The exchange is over: lets go of the upstream, writes it down, and is ready for the next request. `reason`
  /// replaces what was going to be its reason.
  func end(_ reason: EndReason?) {
    leaveLine()
    dropUpstream()
    noteAnswerTaken()
    if let reason { record.reason = reason }
    record.endedAt = worker.loop.nowNanoseconds
    worker.statistics.note(record.reason)
    worker.accessLog?.record(self)
    if record.reason.isLoss, worker.census.lostRequests.isWatched { noteLoss() }
    lastPlace = nil
    pool = nil
    logged.clear()
    request.removeAllKeepingMemory(upTo: Self.keptMemory)
    requestSent = 0
    upload.removeAll()
    releasePipe()
    isUploadSpliced = false
    resetUploadPace()
    uploadBegan = false
    blockedAt = nil
    keepsClient = true
    endsWithConnection = false
    placement = Placement()
    needsFreshConnection = false
    worker.giveBack(self)
  }
}

extension Exchange {
  /// Of the upstream that it was sent to last.
  var lastUpstreamName: String? { lastPlace.map { pool.pool.upstreams[$0].settings.name } }

  private func noteLoss() {
    worker.census.lostRequests.note(
      LostRequest(
        pool: pool.pool.name, upstream: lastUpstreamName,
        request: LostRequest.text(ofRequest: request.bytes),
        reason: record.reason))
  }
}

extension SystemError {
  /// The process or the system lacks descriptors, ports or memory: not the peer's fault.
  var isExhaustion: Bool {
    [EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL].contains(code)
  }
}
