import EventLoop
import HTTP1
import SystemCalls
import UpstreamPool

extension UpstreamConnection {
  /// One read, if there may be something, and what follows from it.
  func receive() {
    guard !isClosed else { return }
    if stage == .idle {
      receiveWhileIdle()
      return
    }
    guard let exchange, stage != .connecting else { return }
    let client = exchange.client!
    // Back-pressure: nothing is read for a client that has not taken what was read before.
    guard !exchange.isClientBlocked, client.outbound.count < ClientConnection.gatheredPiece else {
      rest(client)
      return
    }
    let splices = stage == .body && eventStream == nil && exchange.splicesResponse
    let buffer = splices || isLimited(by: client) ? sendBuffer(of: client.descriptor) : nil
    if let buffer, !buffer.isWritable {
      client.awaitRoom()
      rest(client)
      return
    }
    let limit = readLimit(for: client, buffer)
    let wasHead = stage == .awaitingHead
    let result: Transfer
    if splices, let pipe = worker.pipes.take() {
      result = receiveBody(through: pipe, atMost: limit, exchange)
      worker.pipes.giveBack(pipe)
    } else {
      result = receive(atMost: limit, exchange, client)
    }
    if wasHead, stage == .body, self.exchange === exchange, result == .bytes(limit) {
      // There was more than a head is likely to bring: now that the rest is known, it can be taken as such.
      receive()
    } else {
      received(result, into: buffer, client, exchange)
    }
  }

  /// Reads into `scratch`, and takes what has come.
  private func receive(atMost limit: Int, _ exchange: Exchange, _ client: ClientConnection) -> Transfer {
    let room = UnsafeMutableRawBufferPointer(rebasing: worker.readRoom.prefix(limit))
    let result = receive(into: room)
    if case .bytes(let count) = result {
      isBulk = count >= min(room.count, Self.bulk)
      if sendingFailed { readiness.insert(.readable) }
      take(worker.readRange.lowerBound..<worker.readRange.lowerBound + count, exchange, client)
    }
    return result
  }

  /// Bytes; what is less is kept without harm when the client does not take it.
  static let bulk = 16 * 1024

  /// Whether it matters what the client's socket has room for: of a large body no more is read than the client takes,
  /// because the rest would have to be kept here, and is better kept in the upstream's socket.
  private func isLimited(by client: ClientConnection) -> Bool {
    stage == .body && (isBulk || client.pace == .slow)
  }

  /// How many bytes may be read at a time.
  private func readLimit(for client: ClientConnection, _ buffer: SendBuffer?) -> Int {
    if stage == .awaitingHead { return client.pace == .fast ? .max : Self.bulk }
    return buffer.map { max($0.room, ClientConnection.gatheredPiece) } ?? .max
  }

  /// Nothing is read until the client has taken what it was sent. Where that takes a while, what the upstream sends
  /// meanwhile is not worth a wake-up.
  private func rest(_ client: ClientConnection) {
    loop.clearDeadline(of: self)
    if client.pace == .slow { pauseReads() }
  }

  /// What follows a read whose bytes, if there were any, were taken; `buffer` is as it was before.
  private func received(
    _ result: Transfer, into buffer: SendBuffer?, _ client: ClientConnection, _ exchange: Exchange
  ) {
    switch result {
    case .bytes(let count):
      guard self.exchange === exchange, !isClosed else { return }
      // A fast client has mostly made room again by the next turn.
      if let buffer, !buffer.holding(count).isWritable, client.pace != .fast, client.outbound.isEmpty {
        client.awaitRoom()
      }
      if exchange.isClientBlocked {
        rest(client)
      } else if readiness.contains(.readable) {
        loop.enqueue(self, for: .receiveResponses)
      }
    case .wouldBlock:
      if sendingFailed { exchange.upstreamFailed(.closedBeforeAnswer) }
    case .end: peerEnded(exchange, isReset: false)
    case .failed: peerEnded(exchange, isReset: true)
    }
  }

  /// Moves a piece of the body on to a slow client, and leaves the pipe empty.
  private func receiveBody(through pipe: SplicePipe, atMost limit: Int, _ exchange: Exchange) -> Transfer {
    let remaining = Int(clamping: exchange.responseBody.remainingLength ?? 0)
    let result = receive(into: pipe, atMost: min(remaining, limit, pipe.capacity))
    if case .bytes(let count) = result {
      loop.setDeadline(of: self, in: timeouts.response)
      exchange.responseBody.passed(count)
      exchange.forward(pipe)
      if self.exchange === exchange, exchange.responseBody.isComplete { complete(exchange, strayBytes: 0) }
    }
    return result
  }

  /// Looks for what nobody has asked for.
  func receiveWhileIdle() {
    if case .wouldBlock = receive(into: worker.readRoom) { return }
    pool.forget(self, upstream.index)
    close()
  }

  private func take(_ piece: Range<Int>, _ exchange: Exchange, _ client: ClientConnection) {
    switch stage {
    case .awaitingHead: takeHead(piece, exchange)
    case .body: takeBody(piece, exchange)
    case .tunnel:
      exchange.tunnelReceived(UnsafeRawBufferPointer(rebasing: worker.scratch[piece]), for: client)
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
        let step = remaining.withMemoryRebound(to: UInt8.self) {
          exchange.responseHeadArrived($0.span, on: self)
        }
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
    if !rest.isEmpty {
      exchange.tunnelReceived(UnsafeRawBufferPointer(rebasing: worker.scratch[rest]), for: exchange.client)
    }
    if worker.isStopping || exchange.closesTunnel, self.exchange === exchange { exchange.closeTunnel() }
  }
}
