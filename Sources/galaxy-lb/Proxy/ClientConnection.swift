import EventLoop
import HTTP1
import SystemCalls

/// A connection from a client: reads one request after another and sends the answers. Receiving the heads is here;
/// bodies are in `ClientConnection+Body`, sending and the end in `ClientConnection+Output`.
final class ClientConnection: Channel {
  /// What the bytes that come next are.
  enum Stage {
    /// The first byte of a request, if any.
    case idle
    /// The rest of a head.
    case readingHead
    /// The body of the request that is being served, or nothing until its answer is complete.
    case exchanging
    /// The rest of a body whose answer is complete: read and dropped, and the connection goes on.
    case discarding
    /// Whatever: the answer is out, and nothing is read but to let the client see it (RFC 9112 9.6).
    case lingering
    /// A tunnel's.
    case tunnel
  }

  /// What the deadline is for.
  enum Wait {
    case nothing
    /// Nothing has come on this connection yet.
    case firstRequest
    case nextRequest
    case requestHead
    case requestBody
    /// The client takes what is sent.
    case output
    /// The upstream's word on `Expect: 100-continue`.
    case continuation
    /// The answer to a client that has ended its side.
    case departure
    case discarding
    case lingering
    case tunnel
  }

  let worker: Worker
  let peer: Peer
  /// The index in the worker's list.
  var place = 0
  var stage = Stage.idle
  private(set) var waitingFor = Wait.nothing
  /// A head that is not complete, or what came behind a request.
  @exclusivity(unchecked) var inbound = ByteBuffer()
  /// True when `inbound` holds bytes that no reader has looked at.
  var hasUnreadInbound = false
  /// What the client has not taken yet.
  @exclusivity(unchecked) var outbound = ByteBuffer()
  var exchange: Exchange?
  /// Set when the answer is complete and only has to be taken by the client.
  var ending: Ending?
  /// The client sends no more into its tunnel.
  var clientEndedTunnel = false
  /// How it took what it was sent before; see `SplicedDownload`.
  var pace = Pace.unknown
  /// The rest of a request body that is dropped; nil when there is none.
  var discarded: DiscardedBody?

  /// What follows when `outbound` is empty.
  enum Ending {
    case keep
    case discardRequest
    case close
    /// End the connection so that the client sees the answer as incomplete.
    case cut(reset: Bool)
  }

  init(_ worker: Worker, owning descriptor: Int32, peer: Peer) {
    self.worker = worker
    self.peer = peer
    super.init(loop: worker.loop, owning: descriptor)
  }

  /// Starts to serve.
  func begin() {
    // Its request has mostly come with it, with deferred accept always. Then it can go the whole way in this turn, and
    // its connection may be over before it has cost a registration.
    openToReceive()
    receive()
    if !isClosed, stage == .idle { waitFor(.firstRequest) }
  }

  override func becameReady(_ news: Readiness) {
    if news.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    // Before responses are received, so that what it makes room for comes in the same turn.
    if news.contains(.writable) { loop.enqueue(self, for: .sendRequests) }
  }

  override func run(_ phase: Phase) {
    switch phase {
    case .receiveRequests: receive()
    case .sendRequests, .sendResponses: flush()
    case .receiveResponses: break
    }
  }

  private func receive() {
    switch stage {
    case .idle, .readingHead: receiveHead()
    case .exchanging: receiveBody()
    case .discarding: receiveDiscardedBody()
    case .lingering: receiveWhileLingering()
    case .tunnel: receiveTunnelBytes()
    }
  }

  // MARK: Heads

  private func receiveHead() {
    // Answers are taken in order: no request is read before the client has the answer to the one before.
    guard outbound.isEmpty else { return }
    if hasUnreadInbound {
      hasUnreadInbound = false
      readHeadFromInbound()
      guard stage == .idle || stage == .readingHead else { return }
    }
    guard !isClosed else { return }
    switch receive(into: worker.readRoom) {
    case .bytes(let count):
      let piece = worker.readRange.lowerBound..<worker.readRange.lowerBound + count
      if inbound.isEmpty { readHeadFromScratch(piece) } else { readHeadWithMore(piece) }
      // What a full buffer left behind, or a body, is read in the next turn.
      if !isClosed, readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .wouldBlock: break
    case .end, .failed: close(nil)
    }
  }

  private func readHeadFromScratch(_ piece: Range<Int>) {
    let bytes = UnsafeRawBufferPointer(rebasing: worker.scratch[piece])
    switch readHead(bytes) {
    case .incomplete:
      inbound.append(bytes)
      awaitRestOfHead()
    case .rejected(let reason): reject(bytes, reason)
    case .complete(let byteCount):
      serve(bytes, byteCount, rest: piece.lowerBound + byteCount..<piece.upperBound)
    }
  }

  private func readHeadWithMore(_ piece: Range<Int>) {
    let bytes = UnsafeRawBufferPointer(rebasing: worker.scratch[piece])
    inbound.append(bytes)
    // Only the end of a line can change what is known of a head, so a slow sender costs no quadratic time.
    let mayProgress = bytes.withMemoryRebound(to: UInt8.self) { endsLine($0.span) }
    if mayProgress || inbound.count >= worker.site.requestLimits.head { readHeadFromInbound() }
  }

  private func readHeadFromInbound() {
    switch readHead(inbound.bytes) {
    case .incomplete: awaitRestOfHead()
    case .rejected(let reason): reject(inbound.bytes, reason)
    case .complete(let byteCount):
      // The bytes of the head must stay where they are until the exchange has copied what it needs.
      var head = ByteBuffer()
      swap(&head, &inbound)
      let rest = UnsafeRawBufferPointer(rebasing: head.bytes[byteCount...])
      let moved = worker.moveToScratch(rest)
      serve(head.bytes, byteCount, rest: moved)
    }
  }

  private func readHead(_ bytes: UnsafeRawBufferPointer) -> HeadProgress {
    bytes.withMemoryRebound(to: UInt8.self) {
      worker.requestHead.read($0.span, limits: worker.site.requestLimits, classifier: worker.site.classifier)
    }
  }

  private func awaitRestOfHead() {
    guard stage == .idle else { return }
    stage = .readingHead
    waitFor(.requestHead)
  }

  private func reject(_ bytes: UnsafeRawBufferPointer, _ reason: Rejection) {
    worker.log.debug("request rejected", ["client": peerText, "reason": "\(reason)"])
    answerWithoutExchange(bytes, status: reason.status, .requestRejected(reason))
  }

  /// Begins the exchange for the head that was just read. `rest` is in `scratch`.
  private func serve(_ head: UnsafeRawBufferPointer, _ headLength: Int, rest: Range<Int>) {
    stage = .exchanging
    waitFor(.nothing)
    let exchange = worker.takeExchange(for: self)
    self.exchange = exchange
    let refusal = head.withMemoryRebound(to: UInt8.self) { exchange.begin($0.span, headLength: headLength) }
    if let refusal {
      keepUnread(rest)
      exchange.answer(status: refusal.status, refusal.reason)
      return
    }
    takeBody(rest)
    guard self.exchange === exchange, exchange.state.response == .awaited else { return }
    if exchange.state.expectation == .awaited { waitFor(.continuation) }
    exchange.dispatch()
  }

  /// Keeps what came behind a request for later.
  func keepUnread(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    inbound.append(UnsafeRawBufferPointer(rebasing: worker.scratch[range]))
    hasUnreadInbound = true
  }

  // MARK: Deadlines

  /// Sets what is waited for, and for how long from now.
  func waitFor(_ what: Wait) {
    waitingFor = what
    let timeouts = worker.site.settings.timeouts
    let milliseconds: Int64
    switch what {
    case .nothing:
      loop.clearDeadline(of: self)
      return
    // Who has just connected is about to send, and would lose that request.
    case .firstRequest: milliseconds = worker.isStopping ? Self.patienceWithArrival : timeouts.keepAlive
    case .nextRequest: milliseconds = timeouts.keepAlive
    case .requestHead: milliseconds = timeouts.requestHead
    case .requestBody: milliseconds = sendsFast ? UploadPace.patience : timeouts.requestBody
    case .output: milliseconds = timeouts.send
    case .continuation: milliseconds = Self.patienceWithExpectation
    case .departure: milliseconds = Self.patienceWithDeparture
    case .discarding: milliseconds = Self.patienceWithDiscarded
    case .lingering: milliseconds = Self.patienceWithLingering
    case .tunnel: milliseconds = timeouts.tunnel
    }
    loop.setDeadline(of: self, in: milliseconds)
    watchReads()
  }

  /// An upstream that ignores `Expect` must not keep the client from sending (RFC 9110 10.1.1).
  private static let patienceWithExpectation: Int64 = 1_000
  /// A client that has ended its side may only want to say that it sends no more; its answer is worth a moment.
  private static let patienceWithDeparture: Int64 = 1_000
  private static let patienceWithArrival: Int64 = 1_000
  private static let patienceWithDiscarded: Int64 = 5_000
  private static let patienceWithLingering: Int64 = 5_000

  /// For what has come already, and is read as soon as the loop comes to it.
  private static let patienceWithLoop: Int64 = 10

  private var sendsFast: Bool { exchange?.uploadPace.isFast ?? false }

  override func deadlinePassed() {
    guard !isClosed else { return }
    guard !isInputOverdue else {
      loop.setDeadline(of: self, in: Self.patienceWithLoop)
      return
    }
    switch waitingFor {
    case .nothing: break
    case .firstRequest, .nextRequest, .lingering, .discarding: close(nil)
    case .requestHead: answerWithoutExchange(inbound.bytes, status: 408, .clientTimedOut)
    case .requestBody:
      if sendsFast {
        exchange?.uploadPaused()
        waitFor(.requestBody)
      } else {
        exchange?.requestTimedOut()
      }
    case .output, .tunnel: close(.clientTimedOut)
    case .departure: close(.clientLeft)
    case .continuation:
      if exchange?.answerExpectation() == true { waitFor(.requestBody) }
    }
  }

  /// True when it is the loop that is late, and not the client.
  private var isInputOverdue: Bool {
    switch waitingFor {
    case .firstRequest, .nextRequest, .requestHead, .requestBody: isQueued(for: .receiveRequests)
    case .nothing, .output, .continuation, .departure, .discarding, .lingering, .tunnel: false
    }
  }

  /// The client as it stands in logs.
  var peerText: String {
    peer.address.map { "\($0)" } ?? "unix:"
  }
}
