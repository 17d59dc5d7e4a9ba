import EventLoop
import HTTP1
import SystemCalls
import UpstreamPool

/// A connection to an upstream: carries one exchange after another, and is kept for a while in between. Sending is here,
/// receiving in `UpstreamConnection+Receiving`.
final class UpstreamConnection: Channel {
  enum Stage {
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
  /// What this loop counts about the upstream.
  let statistics: UpstreamStatistics
  var stage: Stage
  private(set) unowned(unsafe) var exchange: Exchange?
  /// True when it has carried an exchange before this one.
  private(set) var isReused = false
  /// Milliseconds of the loop's clock.
  private(set) var idleSince: Int64 = 0
  /// The incarnation that it was made to.
  let generation: Int
  /// The beginning of a head that is not complete.
  @exclusivity(unchecked) var inbound = ByteBuffer()
  /// Sending has failed after something was sent: there may still be an answer to read.
  private(set) var sendingFailed = false
  /// Set while the response is an event stream.
  @exclusivity(unchecked) var eventStream: EventStreamBoundary?
  var responsePersists = false
  /// The last read brought much, and the next one may, too.
  var isBulk = false

  init(
    _ worker: Worker, _ pool: LocalPool, _ local: LocalUpstream, owning descriptor: Int32, isConnecting: Bool
  ) {
    self.worker = worker
    self.pool = pool
    upstream = local.upstream
    statistics = local.statistics
    generation = upstream.generation
    stage = isConnecting ? .connecting : .awaitingHead
    super.init(loop: worker.loop, owning: descriptor)
    open()
  }

  var timeouts: Timeouts { worker.site.settings.timeouts }

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
    if readiness.contains(.readable) { receiveWhileIdle() }
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

  /// Lets the socket hold two large pieces of a body. A TCP socket finds its size by itself (tcp(7)).
  func takeLargePieces() {
    if case .unix = upstream.settings.endpoint { setSendBuffer(of: descriptor, UploadPace.largePiece) }
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

  /// Sends a piece of the body of the exchange that it carries, or queues what is not taken. The request itself was sent
  /// before, or is queued.
  func sendBody(_ bytes: UnsafeRawBufferPointer, of exchange: Exchange) {
    guard !bytes.isEmpty else {
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
}
