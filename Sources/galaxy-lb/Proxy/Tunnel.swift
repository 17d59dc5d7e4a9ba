import EventLoop
import HTTP1
import SystemCalls

/// After 101 (Switching Protocols): bytes in both directions, unchanged, until either side ends (RFC 9110 7.8).
///
/// From the client they go through `Exchange.upload` to the upstream, from the upstream through
/// `ClientConnection.outbound` to the client, with the back-pressure of bodies.
extension Exchange {
  func beginTunnel() {
    client.stage = .tunnel
    client.waitForTunnel()
    toClient = WebSocketDirection()
    toUpstream = WebSocketDirection()
    // What the client sent behind its request was not HTTP after all.
    if client.hasUnreadInbound {
      _ = toUpstream.relay(client.inbound.bytes)
      upload.append(client.inbound.bytes)
      client.inbound.removeAll()
      client.hasUnreadInbound = false
      if let upstream { worker.loop.enqueue(upstream, for: .sendRequests) }
    }
    if client.readiness.contains(.readable) { worker.loop.enqueue(client, for: .receiveRequests) }
  }

  /// Bytes of the upstream, for its client.
  func tunnelReceived(_ bytes: UnsafeRawBufferPointer, for client: ClientConnection) {
    client.waitForTunnel()
    let step = toClient.relay(bytes)
    record.bytesSent += Int64(step.passedCount)
    client.send(UnsafeRawBufferPointer(rebasing: bytes[..<step.passedCount]))
    guard client.exchange === self else { return }
    if step.closes { sendCloseToClient() }
    endClosedTunnel()
  }

  /// Bytes of its client, for its upstream.
  func tunnelSent(
    _ bytes: UnsafeRawBufferPointer, by client: ClientConnection, to upstream: UpstreamConnection
  ) {
    record.bytesReceived += Int64(bytes.count)
    let step = toUpstream.relay(bytes)
    if step.passedCount > 0 {
      upstream.sendBody(UnsafeRawBufferPointer(rebasing: bytes[..<step.passedCount]), of: self)
    }
    guard client.exchange === self else { return }
    if step.closes { sendCloseToUpstream() }
    endClosedTunnel()
  }

  // MARK: Closing

  /// Closes the tunnel, because the proxy or its upstream is about to stop: each end gets a Close frame, as if from the
  /// other one, behind the frame that is under way, and nothing after it. Then the ends have the time to answer that
  /// somebody else gives them. A request that turns into a tunnel later is closed then.
  func closeTunnel() {
    closesTunnel = true
    guard client.stage == .tunnel, upstream != nil else { return }
    if toClient.close() { sendCloseToClient() }
    if !client.clientEndedTunnel, toUpstream.close() { sendCloseToUpstream() }
    endClosedTunnel()
  }

  private func sendCloseToClient() {
    let before = client.outbound.count
    WebSocketClose.writeGoingAway(maskedBy: nil, to: &client.outbound)
    record.bytesSent += Int64(client.outbound.count - before)
    worker.loop.enqueue(client, for: .sendResponses)
  }

  private func sendCloseToUpstream() {
    guard let upstream else { return }
    // Of the system's generator: it must be unpredictable (RFC 6455 5.3).
    WebSocketClose.writeGoingAway(maskedBy: .random(in: 0 ... .max), to: &upload)
    worker.loop.enqueue(upstream, for: .sendRequests)
  }

  /// Ends a tunnel that is closed, when both ends have said all that they will say, or when what goes through it has no
  /// place for a Close frame.
  private func endClosedTunnel() {
    guard closesTunnel, client.ending == nil else { return }
    let isAnswered = toClient.peerHasClosed && toUpstream.peerHasClosed && upload.isEmpty
    if isAnswered || toClient.isBroken || toUpstream.isBroken { endTunnel() }
  }

  private func endTunnel() {
    record.reason = .tunnelClosed
    // What the client still has to say must not reset what it is told.
    if closesTunnel { client.readiness.insert(.readable) }
    client.endAfterOutput(.close)
  }

  /// The upstream has ended its side. A regular end is passed on behind all that came before it; then the client
  /// may still send for a while.
  func tunnelUpstreamEnded(isReset: Bool) {
    guard isReset else {
      endTunnel()
      return
    }
    record.reason = .tunnelClosed
    client.endAfterOutput(.cut(reset: true))
  }

  /// The upstream has taken what the client sent: more may be read.
  func tunnelTaken() {
    let client = client!
    if client.clientEndedTunnel {
      upstream.map { endSending($0.descriptor) }
    } else if client.readiness.contains(.readable) {
      worker.loop.enqueue(client, for: .receiveRequests)
    }
    endClosedTunnel()
  }
}

extension ClientConnection {
  /// Any byte in either direction gives a tunnel its whole time again. One whose client has ended its side only
  /// gets what the upstream still has to say.
  func waitForTunnel() {
    waitFor(clientEndedTunnel ? .departure : .tunnel)
  }

  /// Bytes of the client.
  func receiveTunnelBytes() {
    guard let exchange, let upstream = exchange.upstream, exchange.upload.isEmpty, !clientEndedTunnel else {
      return
    }
    switch receiveToScratch() {
    case .piece(let piece):
      waitForTunnel()
      exchange.tunnelSent(UnsafeRawBufferPointer(rebasing: worker.scratch[piece]), by: self, to: upstream)
      if !isClosed, readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .nothing: break
    case .end:
      // Passed on as the end of this direction; the upstream's answer to it ends the other one.
      clientEndedTunnel = true
      exchange.record.reason = .tunnelClosed
      waitForTunnel()
      endSending(upstream.descriptor)
    case .failed: close(.clientLeft)
    }
  }
}
