import EventLoop
import SystemCalls

/// What a client took at once is cheaper copied: it is in the processor's caches still, and the kernel copies a part of it
/// anyway when it comes from a unix socket. What waits for a slow client has left them, so that a body of known length
/// goes to it through a pipe (splice(2)).
extension Exchange {
  /// The client's socket takes no more for now.
  func clientBlocked() {
    if blockedAt == nil { blockedAt = worker.loop.now }
  }

  /// True while the client has not taken all that it was sent.
  var isClientBlocked: Bool { blockedAt != nil }

  func noteClientTookOutput() {
    guard let blockedAt else { return }
    client.isSlow = worker.loop.now - blockedAt >= Self.slowness
    self.blockedAt = nil
  }

  /// Milliseconds.
  private static let slowness: Int64 = 10

  /// Whether what comes next of the response's body is worth a pipe.
  var splicesResponse: Bool {
    client.isSlow && client.outbound.isEmpty && responseBody.remainingLength ?? 0 >= Self.leastSplicedResponse
  }

  /// Bytes.
  private static let leastSplicedResponse: Int64 = 32 * 1024

  /// Hands a piece of the response's body to the client. The pipe is empty after.
  func forward(_ pipe: SplicePipe) {
    record.bytesSent += Int64(pipe.count)
    client.send(pipe)
  }
}

extension ClientConnection {
  /// Sends what stands in a pipe, while nothing is queued. What the client does not take is queued, so that the pipe is
  /// empty after.
  func send(_ pipe: SplicePipe) {
    while !isClosed, pipe.count > 0 {
      switch pipe.drain(to: descriptor) {
      case .bytes: break
      case .wouldBlock:
        outbound.commit(pipe.read(into: outbound.reserve(pipe.count)))
        awaitTaker()
        return
      case .end, .failed: close(.clientLeft)
      }
    }
  }
}
