import EventLoop
import HTTP1
import SystemCalls

extension ClientConnection {
  /// What came of a read into `scratch`.
  enum Received {
    case piece(Range<Int>)
    case nothing
    case end
    case failed
  }

  /// One read into `scratch`, if there may be something.
  func receiveToScratch() -> Received {
    switch receive(into: worker.readRoom) {
    case .bytes(let count):
      return .piece(worker.readRange.lowerBound..<worker.readRange.lowerBound + count)
    case .wouldBlock: return .nothing
    case .end: return .end
    case .failed: return .failed
    }
  }

  /// While a request is being served: the rest of its body, as fast as the upstream takes it.
  func receiveBody() {
    guard let exchange else { return }
    guard exchange.wantsBody else {
      watchForDeparture()
      return
    }
    let pipe = exchange.splicesBody ? worker.pipes.take() : nil
    switch pipe.map({ receiveBody(through: $0, exchange) }) ?? receiveToScratch() {
    case .piece(let piece):
      takeBody(piece)
      guard !isClosed, self.exchange === exchange else { return }
      if waitingFor == .requestBody || exchange.wantsBody {
        waitFor(exchange.wantsBody ? .requestBody : .nothing)
      }
      if readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .nothing: break
    case .end, .failed: close(.clientLeft)
    }
  }

  /// Passes on what of `piece`, in `scratch`, belongs to the body, and keeps the rest for later.
  func takeBody(_ piece: Range<Int>) {
    guard let exchange else { return }
    guard exchange.state.request == .receiving else {
      keepUnread(piece)
      return
    }
    guard !piece.isEmpty else { return }
    let step = exchange.requestBody.relay(worker.scratch, piece)
    if let reason = step.rejection {
      exchange.requestBroke(reason)
      return
    }
    // First what stays, because handing the body on may use the memory again.
    keepUnread(step.inputEnd..<piece.upperBound)
    exchange.bodyArrived(
      UnsafeRawBufferPointer(rebasing: worker.scratch[step.output]),
      received: step.inputEnd - piece.lowerBound)
  }

  /// Nothing is to be read now, but a client that has gone must be noticed, so that its request ends upstream within
  /// seconds.
  private func watchForDeparture() {
    watchReads()
    if hasFailed() {
      close(.clientLeft)
    } else if readiness.contains(.peerClosed), waitingFor != .departure {
      waitFor(.departure)
    }
  }

  /// The rest of a body nobody wants any more.
  func receiveDiscardedBody() {
    guard let discarded else { return }
    var piece: Range<Int>
    if hasUnreadInbound {
      piece = worker.moveToScratch(inbound.bytes)
      inbound.removeAll()
      hasUnreadInbound = false
    } else {
      switch receiveToScratch() {
      case .piece(let received): piece = received
      case .nothing: return
      case .end, .failed:
        close(nil)
        return
      }
    }
    let step = discarded.body.relay(worker.scratch, piece)
    piece = step.inputEnd..<piece.upperBound
    if step.rejection != nil {
      close(nil)
    } else if discarded.body.isComplete {
      self.discarded = nil
      keepUnread(piece)
      beginNextRequest()
    } else if readiness.contains(.readable) {
      loop.enqueue(self, for: .receiveRequests)
    }
  }

  func receiveWhileLingering() {
    switch receiveToScratch() {
    case .piece: if readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .nothing: break
    case .end, .failed: close(nil)
    }
  }
}

/// What is left of a request's body when its answer is complete. An object of its own, because few connections ever
/// have one, and many do nothing.
final class DiscardedBody {
  var body: BodyRelay

  init(_ body: BodyRelay) { self.body = body }
}
