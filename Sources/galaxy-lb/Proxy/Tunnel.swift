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
    // What the client sent behind its request was not HTTP after all.
    if client.hasUnreadInbound {
      upload.append(client.inbound.bytes)
      client.inbound.removeAll()
      client.hasUnreadInbound = false
      if let upstream { worker.loop.enqueue(upstream, for: .sendRequests) }
    }
    if client.readiness.contains(.readable) { worker.loop.enqueue(client, for: .receiveRequests) }
  }

  /// Bytes of the upstream.
  func tunnelReceived(_ bytes: UnsafeRawBufferPointer) {
    client.waitForTunnel()
    forward(bytes)
  }

  /// The upstream has ended its side. A regular end is passed on behind all that came before it; then the client
  /// may still send for a while.
  func tunnelUpstreamEnded(isReset: Bool) {
    record.reason = .tunnelClosed
    client.endAfterOutput(isReset ? .cut(reset: true) : .close)
  }

  /// The upstream has taken what the client sent: more may be read.
  func tunnelTaken() {
    if client.clientEndedTunnel {
      upstream.map { endSending($0.descriptor) }
    } else if client.readiness.contains(.readable) {
      worker.loop.enqueue(client, for: .receiveRequests)
    }
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
      exchange.record.bytesReceived += Int64(piece.count)
      upstream.sendBody(UnsafeRawBufferPointer(rebasing: worker.scratch[piece]))
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
