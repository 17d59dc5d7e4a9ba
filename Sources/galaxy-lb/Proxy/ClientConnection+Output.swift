import EventLoop
import HTTP1
import SystemCalls

extension ClientConnection {
  /// Pieces smaller than this are gathered and sent in the loop's sending phase; larger ones are sent at once, from
  /// where they are, because copying them would cost more than the order of work saves.
  static let gatheredPiece = 4096

  /// Sends, or queues what the client does not take. `bytes` are borrowed.
  func send(_ bytes: UnsafeRawBufferPointer) {
    guard !bytes.isEmpty, !isClosed else { return }
    guard bytes.count >= Self.gatheredPiece, outbound.count < Self.gatheredPiece else {
      outbound.takeMemory(for: bytes.count, from: &worker.spareMemory)
      outbound.append(bytes)
      loop.enqueue(self, for: .sendResponses)
      return
    }
    let waiting = outbound.count
    switch SystemCalls.send(descriptor, outbound.bytes, then: bytes) {
    case .bytes(let count):
      outbound.consume(min(count, waiting))
      guard count < waiting + bytes.count else { return }
      outbound.append(UnsafeRawBufferPointer(rebasing: bytes[max(0, count - waiting)...]))
      awaitTaker()
    case .wouldBlock:
      outbound.append(bytes)
      awaitTaker()
    case .end, .failed: close(.clientLeft)
    }
  }

  /// Sends what is queued; when all is taken, goes on with what waited for that.
  func flush() {
    if !outbound.isEmpty {
      switch SystemCalls.send(descriptor, outbound.bytes, more: closesAfterOutput) {
      case .bytes(let count):
        guard count == outbound.count else {
          outbound.consume(count)
          awaitTaker()
          return
        }
        outbound.removeAll(leavingMemoryTo: &worker.spareMemory)
      case .wouldBlock:
        awaitTaker()
        return
      case .end, .failed:
        close(.clientLeft)
        return
      }
    }
    outputTaken()
  }

  /// The end of the connection follows the queued output at once, and may ride on its last segment: close(2) sends what
  /// MSG_MORE has held back.
  private var closesAfterOutput: Bool {
    if case .close = ending { !mayHaveInput } else { false }
  }

  func awaitTaker() {
    readiness.remove(.writable)
    watchWrites()
    exchange?.clientBlocked()
    if waitingFor != .departure { waitFor(.output) }
  }

  /// Waits until the socket has room, though it was not full: only being registered anew makes it tell.
  func awaitRoom() {
    unwatchWrites()
    awaitTaker()
  }

  private func outputTaken() {
    if let ending {
      self.ending = nil
      finish(ending)
      return
    }
    if waitingFor == .output {
      if stage == .tunnel {
        waitForTunnel()
      } else {
        waitFor(exchange?.wantsBody == true ? .requestBody : .nothing)
      }
    }
    exchange?.clientTookOutput()
  }

  /// The answer is complete: `ending` follows as soon as the client has taken it.
  func endAfterOutput(_ ending: Ending) {
    self.ending = ending
    loop.enqueue(self, for: .sendResponses)
  }

  private func finish(_ ending: Ending) {
    if case .discardRequest = ending, let exchange { discarded = DiscardedBody(exchange.requestBody) }
    exchange?.end(nil)
    exchange = nil
    switch ending {
    case .keep: beginNextRequest()
    case .discardRequest:
      stage = .discarding
      waitFor(.discarding)
      loop.enqueue(self, for: .receiveRequests)
    case .close: closeGracefully()
    case .cut(let reset):
      if reset { resetOnClose(descriptor) }
      close(nil)
    }
  }

  func beginNextRequest() {
    stage = .idle
    guard !worker.isStopping || hasUnreadInbound else {
      closeGracefully()
      return
    }
    waitFor(.nextRequest)
    if hasUnreadInbound || readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
  }

  /// Answers what is no exchange: a head that can't be taken, or does not come. `bytes` are what came of it.
  func answerWithoutExchange(_ bytes: UnsafeRawBufferPointer, status: Int, _ reason: EndReason) {
    let contentLength = ErrorAnswer.write(status: status, isHead: false, closes: true, to: &outbound)
    noteWithoutExchange(
      bytes, status: status, headBytesSent: outbound.count - contentLength, bytesSent: outbound.count, reason)
    stage = .lingering
    inbound.removeAll()
    // There may be more where that came from; it must neither be parsed nor reset the answer.
    readiness.insert(.readable)
    endAfterOutput(.close)
  }

  /// Counts and writes down what never became an exchange; see `AccessLogRecorder.record`.
  private func noteWithoutExchange(
    _ bytes: UnsafeRawBufferPointer, status: Int, headBytesSent: Int, bytesSent: Int, _ reason: EndReason
  ) {
    worker.statistics.note(reason)
    worker.accessLog?.record(
      bytes, from: peer, status: status, headBytesSent: headBytesSent, bytesSent: bytesSent, reason)
  }

  /// Ends the connection so that the client gets all that was sent. While unread input stands in the socket, close(2)
  /// would send a reset, which destroys what the client has not read yet (RFC 9112 9.6).
  private func closeGracefully() {
    // The last look is for what has come in this turn.
    guard mayHaveInput || hasInput(descriptor) else {
      close(nil)
      return
    }
    inbound.removeAll()
    hasUnreadInbound = false
    endSending(descriptor)
    stage = .lingering
    waitFor(.lingering)
    loop.enqueue(self, for: .receiveRequests)
  }

  private var mayHaveInput: Bool { readiness.contains(.readable) || !inbound.isEmpty }

  /// The proxy is about to stop: closes the connection if no request is under way or about to come, and ends what would
  /// not end by itself.
  func prepareForStop() {
    if stage == .idle, !hasUnreadInbound, !readiness.contains(.readable) {
      if waitingFor == .firstRequest { waitFor(.firstRequest) } else { close(nil) }
    }
    exchange?.endEventStream()
    exchange?.closeTunnel()
  }

  /// Ends everything now, because the proxy stops.
  func stop() { close(.stopped) }

  /// Closes the connection, and ends the exchange that is under way for `reason`.
  func close(_ reason: EndReason?) {
    guard !isClosed else { return }
    if let exchange {
      self.exchange = nil
      exchange.end(reason ?? .clientLeft)
    } else if stage == .readingHead, LoggedHead.firstLine(of: inbound.bytes) != nil {
      noteWithoutExchange(inbound.bytes, status: 0, headBytesSent: 0, bytesSent: 0, reason ?? .clientLeft)
    }
    outbound.removeAll()
    inbound.removeAll()
    close()
    worker.forget(self)
  }
}
