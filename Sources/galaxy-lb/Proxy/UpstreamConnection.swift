import EventLoop
import HTTP1
import SystemCalls
import UpstreamPool

/// A connection to an upstream: carries one exchange after another, and is kept for a while in between.
final class UpstreamConnection: Channel {
  private enum Stage {
    /// connect(2) is under way.
    case connecting
    /// Reads the head of a response.
    case awaitingHead
    case body
    case tunnel
    /// Kept for another exchange; whatever comes now ends it (RFC 9112 9.2).
    case idle
  }

  let worker: Worker
  let pool: LocalPool
  let upstream: Upstream
  private var stage: Stage
  private unowned(unsafe) var exchange: Exchange?
  /// True when it has carried an exchange before this one.
  private(set) var isReused = false
  /// Milliseconds of the loop's clock.
  private(set) var idleSince: Int64 = 0
  /// The incarnation that it was made to.
  let generation: Int
  /// The beginning of a head that is not complete.
  @exclusivity(unchecked) private var inbound = ByteBuffer()
  /// Sending has failed after something was sent: there may still be an answer to read.
  private var sendingFailed = false
  /// Set while the response is an event stream.
  @exclusivity(unchecked) private var eventStream: EventStreamBoundary?
  private var responsePersists = false
  /// The last read brought much, and the next one may, too.
  private var isBulk = false
  /// Bytes; what is less is kept without harm when the client does not take it.
  private static let bulk = 16 * 1024

  init(
    _ worker: Worker, _ pool: LocalPool, _ upstream: Upstream, owning descriptor: Int32, isConnecting: Bool
  ) {
    self.worker = worker
    self.pool = pool
    self.upstream = upstream
    generation = upstream.generation
    stage = isConnecting ? .connecting : .awaitingHead
    super.init(loop: worker.loop, owning: descriptor)
    open()
  }

  private var timeouts: Timeouts { worker.site.settings.timeouts }

  // MARK: From exchange to exchange

  /// Takes an exchange and sends its request in the loop's sending phase.
  func carry(_ exchange: Exchange, isReused: Bool) {
    self.exchange = exchange
    self.isReused = isReused
    if stage == .connecting {
      loop.setDeadline(of: self, in: timeouts.connect)
      watchWrites()
    } else {
      stage = .awaitingHead
      loop.clearDeadline(of: self)
      loop.enqueue(self, for: .sendRequests)
    }
  }

  /// Waits for another exchange, if there is room.
  func keep() {
    exchange = nil
    guard pool.keep(self, upstream.index) else {
      close()
      return
    }
    stage = .idle
    idleSince = loop.now
    eventStream = nil
    loop.setDeadline(of: self, in: timeouts.upstreamKeepAlive)
    if readiness.contains(.readable) { loop.enqueue(self, for: .receiveResponses) }
  }

  /// Ends the connection; its exchange goes on without it.
  func drop() {
    exchange = nil
    close()
  }

  /// True when nothing is known against sending another request on it.
  var isReusable: Bool { !isClosed && readiness.isDisjoint(with: [.readable, .peerClosed]) }

  // MARK: Readiness

  override func becameReady(_ news: Readiness) {
    if news.contains(.readable) { loop.enqueue(self, for: .receiveResponses) }
    if news.contains(.writable) { loop.enqueue(self, for: .sendRequests) }
  }

  override func run(_ phase: Phase) {
    switch phase {
    case .sendRequests:
      if stage == .connecting { finishConnecting() } else { sendRequest() }
    case .receiveResponses: receive()
    case .receiveRequests, .sendResponses: break
    }
  }

  private func finishConnecting() {
    // libevent reports a failed connect as readiness for everything; SO_ERROR tells which.
    guard readiness.contains(.writable) else { return }
    let code = pendingError(of: descriptor)
    guard code == 0 else {
      worker.log.debug(
        "upstream unreachable",
        ["upstream": upstream.settings.name, "error": SystemError(call: "connect", code: code)])
      exchange?.upstreamFailed(.unreachable)
      return
    }
    unwatchWrites()
    stage = .awaitingHead
    loop.clearDeadline(of: self)
    sendRequest()
  }

  override func deadlinePassed() {
    guard !isClosed else { return }
    switch stage {
    case .idle:
      pool.forget(self, upstream.index)
      close()
    case .connecting: exchange?.upstreamFailed(.connectTimedOut)
    case .awaitingHead, .body: exchange?.upstreamFailed(.timedOut)
    case .tunnel: break
    }
  }

  // MARK: Sending

  /// True when more of the request's body can be sent.
  var takesBody: Bool { stage != .connecting && !sendingFailed }

  private func sendRequest() {
    guard let exchange, !sendingFailed else { return }
    if exchange.requestSent < exchange.request.count {
      let bytes = UnsafeRawBufferPointer(rebasing: exchange.request.bytes[exchange.requestSent...])
      guard let count = transfer(bytes) else { return }
      exchange.requestSent(count)
      guard count == bytes.count else {
        awaitTaker()
        return
      }
    }
    if !exchange.upload.isEmpty {
      let bytes = exchange.upload.bytes
      guard let count = transfer(bytes) else { return }
      noteBodySent(exchange)
      guard count == bytes.count else {
        exchange.upload.consume(count)
        awaitTaker()
        return
      }
      exchange.upload.removeAll(leavingMemoryTo: &worker.spareMemory)
    }
    if exchange.pipe == nil { requestTaken(exchange) } else { sendPipedBody() }
  }

  /// Sends what stands in the exchange's pipe, as far as it is taken. All before it was sent.
  func sendPipedBody() {
    guard let exchange, takesBody else { return }
    // Until the socket takes no more: a part may be all that one call takes, and then nothing would tell when to go on.
    while let pipe = exchange.pipe {
      guard taken(pipe.drain(to: descriptor)) != nil else { return }
      noteBodySent(exchange)
      if pipe.count == 0 { exchange.releasePipe() }
    }
    requestTaken(exchange)
  }

  private func noteBodySent(_ exchange: Exchange) {
    if stage != .tunnel { exchange.bodySent() }
  }

  /// Sends a piece of the body, or queues what is not taken. The request itself was sent before, or is queued.
  func sendBody(_ bytes: UnsafeRawBufferPointer) {
    guard let exchange, !bytes.isEmpty else {
      loop.enqueue(self, for: .sendRequests)
      return
    }
    let isNext = exchange.requestSent == exchange.request.count && exchange.upload.isEmpty
    guard isNext, takesBody, bytes.count >= ClientConnection.gatheredPiece else {
      exchange.upload.takeMemory(for: bytes.count, from: &worker.spareMemory)
      exchange.upload.append(bytes)
      loop.enqueue(self, for: .sendRequests)
      return
    }
    guard let count = transfer(bytes) else {
      if !sendingFailed, !isClosed { exchange.upload.append(bytes) }
      return
    }
    noteBodySent(exchange)
    if count < bytes.count {
      exchange.upload.append(UnsafeRawBufferPointer(rebasing: bytes[count...]))
      awaitTaker()
    } else {
      requestTaken(exchange)
    }
  }

  /// How many bytes were taken; nil when none were, and what follows from that is done.
  private func transfer(_ bytes: UnsafeRawBufferPointer) -> Int? {
    taken(SystemCalls.send(descriptor, bytes))
  }

  private func taken(_ result: Transfer) -> Int? {
    switch result {
    case .bytes(let count): return count
    case .wouldBlock:
      awaitTaker()
      return nil
    case .end, .failed:
      sendFailed()
      return nil
    }
  }

  private func sendFailed() {
    guard let exchange else { return }
    if exchange.state.dispatch == .nothingSent {
      exchange.upstreamFailed(.sendRefused)
      return
    }
    // It may have answered before it stopped reading, and that answer must reach the client (RFC 9112 9.5).
    sendingFailed = true
    readiness.insert(.readable)
    loop.enqueue(self, for: .receiveResponses)
  }

  private func awaitTaker() {
    readiness.remove(.writable)
    watchWrites()
    guard stage != .tunnel else { return }
    loop.setDeadline(of: self, in: timeouts.response)
    // Now the upstream is the one to wait for.
    if let client = exchange?.client, client.waitingFor == .requestBody { client.waitFor(.nothing) }
  }

  private func requestTaken(_ exchange: Exchange) {
    unwatchWrites()
    if stage == .tunnel {
      exchange.tunnelTaken()
      return
    }
    if exchange.state.request == .complete {
      if stage == .awaitingHead { loop.setDeadline(of: self, in: timeouts.response) }
    } else {
      // Now the client is the one to wait for.
      if stage == .awaitingHead { loop.clearDeadline(of: self) }
      exchange.requestTaken()
    }
  }

  // MARK: Receiving

  private func receive() {
    guard !isClosed else { return }
    if stage == .idle {
      receiveWhileIdle()
      return
    }
    guard let exchange, stage != .connecting else { return }
    // Back-pressure: nothing is read for a client that has not taken what was read before.
    guard !exchange.isClientBlocked, exchange.client.outbound.count < ClientConnection.gatheredPiece else {
      loop.clearDeadline(of: self)
      return
    }
    // Of a large body no more is read than the client takes: the rest would have to be kept here, and is better kept in
    // the upstream's socket.
    var limit = Int.max
    if isBulk, stage == .body, let buffer = sendBuffer(of: exchange.client.descriptor) {
      guard buffer.isWritable else {
        exchange.client.awaitRoom()
        loop.clearDeadline(of: self)
        return
      }
      limit = max(buffer.room, ClientConnection.gatheredPiece)
    } else if stage == .awaitingHead, exchange.client.isSlow {
      limit = Self.bulk
    }
    if stage == .body, eventStream == nil, exchange.splicesResponse, let pipe = worker.pipes.take() {
      receiveBody(through: pipe, atMost: limit, exchange)
      worker.pipes.giveBack(pipe)
      return
    }
    let room = UnsafeMutableRawBufferPointer(rebasing: worker.readRoom.prefix(limit))
    let result = receive(into: room)
    if case .bytes(let count) = result {
      isBulk = count >= min(room.count, Self.bulk)
      if sendingFailed { readiness.insert(.readable) }
      take(worker.readRange.lowerBound..<worker.readRange.lowerBound + count, exchange)
    }
    received(result, exchange)
  }

  /// What follows a read whose bytes, if there were any, were taken.
  private func received(_ result: Transfer, _ exchange: Exchange) {
    switch result {
    case .bytes:
      if self.exchange != nil, !isClosed, readiness.contains(.readable) {
        loop.enqueue(self, for: .receiveResponses)
      }
    case .wouldBlock:
      if sendingFailed { exchange.upstreamFailed(.closedBeforeAnswer) }
    case .end: peerEnded(exchange, isReset: false)
    case .failed: peerEnded(exchange, isReset: true)
    }
  }

  /// Moves a piece of the body on to a slow client, and leaves the pipe empty.
  private func receiveBody(through pipe: SplicePipe, atMost limit: Int, _ exchange: Exchange) {
    let remaining = Int(clamping: exchange.responseBody.remainingLength ?? 0)
    let result = receive(into: pipe, atMost: min(remaining, limit, pipe.capacity))
    if case .bytes(let count) = result {
      isBulk = true
      loop.setDeadline(of: self, in: timeouts.response)
      exchange.responseBody.passed(count)
      exchange.forward(pipe)
      if self.exchange === exchange, exchange.responseBody.isComplete { complete(exchange, strayBytes: 0) }
    }
    received(result, exchange)
  }

  private func receiveWhileIdle() {
    if case .wouldBlock = receive(into: worker.readRoom) { return }
    pool.forget(self, upstream.index)
    close()
  }

  private func take(_ piece: Range<Int>, _ exchange: Exchange) {
    switch stage {
    case .awaitingHead: takeHead(piece, exchange)
    case .body: takeBody(piece, exchange)
    case .tunnel: exchange.tunnelReceived(UnsafeRawBufferPointer(rebasing: worker.scratch[piece]))
    case .connecting, .idle: break
    }
  }

  private func takeHead(_ piece: Range<Int>, _ exchange: Exchange) {
    let bytes = UnsafeRawBufferPointer(rebasing: worker.scratch[piece])
    if inbound.isEmpty {
      readHeads(bytes, exchange) { $0 + piece.lowerBound..<piece.upperBound }
      return
    }
    inbound.append(bytes)
    let mayProgress = bytes.withMemoryRebound(to: UInt8.self) { endsLine($0.span) }
    guard mayProgress || inbound.count > worker.site.responseLimits.head else { return }
    var gathered = ByteBuffer()
    swap(&gathered, &inbound)
    readHeads(gathered.bytes, exchange) { [worker] position in
      worker.moveToScratch(UnsafeRawBufferPointer(rebasing: gathered.bytes[position...]))
    }
  }

  /// Reads heads, of interim responses first, until the final one or the end of `bytes`. `rest` brings what stands
  /// behind a position to `scratch` and says where it is.
  private func readHeads(_ bytes: UnsafeRawBufferPointer, _ exchange: Exchange, rest: (Int) -> Range<Int>) {
    var position = 0
    while position < bytes.count {
      let remaining = UnsafeRawBufferPointer(rebasing: bytes[position...])
      let progress = remaining.withMemoryRebound(to: UInt8.self) {
        worker.responseHead.read(
          $0.span, limits: worker.site.responseLimits, context: ResponseContext(isHead: exchange.state.isHead)
        )
      }
      switch progress {
      case .incomplete:
        exchange.state.responseBytesArrived()
        inbound.append(remaining)
        loop.setDeadline(of: self, in: timeouts.response)
        return
      case .rejected(let reason):
        exchange.state.responseBytesArrived()
        worker.log.warning(
          "upstream sent a malformed response", ["upstream": upstream.settings.name, "reason": "\(reason)"])
        exchange.upstreamFailed(.malformedResponse)
        return
      case .complete(let byteCount):
        let step = remaining.withMemoryRebound(to: UInt8.self) { exchange.responseHeadArrived($0.span) }
        position += byteCount
        switch step {
        case .anotherHead: continue
        case .refused:
          worker.log.warning(
            "upstream sent a response nobody asked for",
            ["upstream": upstream.settings.name, "status": worker.responseHead.status])
          exchange.upstreamFailed(.malformedResponse)
        case .body: beginBody(rest(position), exchange)
        case .tunnel: beginTunnel(rest(position), exchange)
        }
        return
      }
    }
  }

  private func beginBody(_ rest: Range<Int>, _ exchange: Exchange) {
    stage = .body
    // Not of a copy of the head: that would count a reference.
    eventStream = worker.responseHead.isEventStream ? EventStreamBoundary() : nil
    responsePersists = worker.responseHead.isPersistent && worker.responseHead.framing != .untilClose
    if exchange.responseBody.isComplete {
      complete(exchange, strayBytes: rest.count)
      return
    }
    takeBody(rest, exchange)
    if worker.isStopping || exchange.endsEventStream, self.exchange === exchange { exchange.endEventStream() }
  }

  private func takeBody(_ piece: Range<Int>, _ exchange: Exchange) {
    loop.setDeadline(of: self, in: eventStream != nil ? timeouts.eventStream : timeouts.response)
    guard !piece.isEmpty else { return }
    let step = exchange.responseBody.relay(worker.scratch, piece)
    if let reason = step.rejection {
      worker.log.warning(
        "upstream sent a malformed body", ["upstream": upstream.settings.name, "reason": "\(reason)"])
      exchange.upstreamFailed(.malformedResponse)
      return
    }
    let boundary = eventStream?.scan(UnsafeRawBufferPointer(rebasing: worker.scratch[step.content]))
    if exchange.endsEventStream, let boundary,
      let output = exchange.responseBody.endEarly(
        worker.scratch, behind: step.content.lowerBound..<step.content.lowerBound + boundary)
    {
      endEventStream(with: output, exchange)
      return
    }
    exchange.forward(UnsafeRawBufferPointer(rebasing: worker.scratch[step.output]))
    guard self.exchange === exchange else { return }
    if let trailers = step.trailers { exchange.forwardTrailers(trailers) }
    if exchange.responseBody.isComplete {
      complete(exchange, strayBytes: piece.upperBound - step.inputEnd)
    }
  }

  /// Ends an event stream, if there is one and it stands between two events: the browser comes back for the next one
  /// with Last-Event-ID, and loses nothing.
  func endEventStream() {
    guard let exchange, let eventStream, eventStream.isAtBoundary, stage == .body,
      let output = exchange.responseBody.endEarly(worker.scratch)
    else { return }
    endEventStream(with: output, exchange)
  }

  private func endEventStream(with output: Range<Int>, _ exchange: Exchange) {
    exchange.forward(UnsafeRawBufferPointer(rebasing: worker.scratch[output]))
    guard self.exchange === exchange else { return }
    responsePersists = false
    complete(exchange, strayBytes: 0)
  }

  private func complete(_ exchange: Exchange, strayBytes: Int) {
    let persists =
      responsePersists && strayBytes == 0 && !sendingFailed && !readiness.contains(.peerClosed)
    exchange.responseCompleted(connectionPersists: persists)
  }

  private func peerEnded(_ exchange: Exchange, isReset: Bool) {
    switch stage {
    case .tunnel: exchange.tunnelUpstreamEnded(isReset: isReset)
    case .body:
      if !isReset, let output = exchange.responseBody.end(worker.scratch) {
        exchange.forward(UnsafeRawBufferPointer(rebasing: worker.scratch[output]))
        guard self.exchange === exchange else { return }
        responsePersists = false
        complete(exchange, strayBytes: 0)
      } else {
        exchange.upstreamFailed(.truncatedResponse)
      }
    case .connecting, .awaitingHead, .idle: exchange.upstreamFailed(.closedBeforeAnswer)
    }
  }

  private func beginTunnel(_ rest: Range<Int>, _ exchange: Exchange) {
    stage = .tunnel
    loop.clearDeadline(of: self)
    exchange.beginTunnel()
    if !rest.isEmpty { exchange.tunnelReceived(UnsafeRawBufferPointer(rebasing: worker.scratch[rest])) }
    if worker.isStopping || exchange.closesTunnel, self.exchange === exchange { exchange.closeTunnel() }
  }
}
