import EventLoop
import SystemCalls

extension ClientConnection {
  /// How a client takes what is much. What it takes at once is cheaper copied: it is in the processor's caches still, and
  /// the kernel copies a part of it anyway when it comes from a unix socket. What waits for it has left them, so that a
  /// body of known length goes to it through a pipe (splice(2)).
  enum Pace {
    /// Nothing is known: the first large body goes through a pipe, as far as it may take to find out.
    case unknown
    case fast
    /// It let the proxy wait.
    case slow
  }
}

extension Exchange {
  /// The client's socket takes no more for now.
  func clientBlocked() {
    if blockedAt == nil { blockedAt = worker.loop.now }
  }

  /// True while the client has not taken all that it was sent.
  var isClientBlocked: Bool { blockedAt != nil }

  func noteClientTookOutput() {
    guard let blockedAt else { return }
    if worker.loop.now - blockedAt >= Self.slowness {
      client.pace = .slow
    } else if record.bytesSent >= Self.telling {
      client.pace = .fast
    }
    self.blockedAt = nil
  }

  /// Milliseconds.
  private static let slowness: Int64 = 10
  /// Bytes: a client that did not let the proxy wait for so many is fast. Fewer go into its socket, which grows at first
  /// with all that it takes.
  private static let telling: Int64 = 1024 * 1024

  /// The answer is over. One that was more than a small one and did not tell how the client takes it is no reason to
  /// treat the next one with care.
  func noteAnswerTaken() {
    if client.pace == .unknown, record.bytesSent > UpstreamConnection.bulk { client.pace = .fast }
  }

  /// Whether what comes next of the response's body is worth a pipe.
  var splicesResponse: Bool {
    guard client.outbound.isEmpty, let remaining = responseBody.remainingLength else { return false }
    return switch client.pace {
    case .unknown: remaining >= Self.leastSplicedUnknown && record.bytesSent < Self.telling
    case .fast: false
    case .slow: remaining >= Self.leastSplicedResponse
    }
  }

  /// Bytes.
  private static let leastSplicedResponse: Int64 = 32 * 1024
  /// Bytes: more than most answers have.
  private static let leastSplicedUnknown: Int64 = 256 * 1024

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
