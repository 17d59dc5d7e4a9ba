import EventLoop
import HTTP1
import SystemCalls

/// A request's body of known length goes from the client's socket through a pipe into the upstream's, and is never
/// copied to user space (splice(2)). What came with the head, and what is left when little is, are copied; so is a piece
/// for which there is no pipe.
extension ClientConnection {
  /// Moves what has come of the body on to the upstream, which has taken everything before it. Nothing of it is in
  /// `scratch`.
  func receiveBody(through pipe: SplicePipe, _ exchange: Exchange) -> Received {
    let length = Int(clamping: exchange.requestBody.remainingLength ?? 0)
    let result = receive(into: pipe, atMost: min(length, pipe.capacity))
    guard case .bytes = result else {
      worker.pipes.giveBack(pipe)
      switch result {
      case .wouldBlock: return .nothing
      case .bytes, .end: return .end
      case .failed: return .failed
      }
    }
    exchange.bodyArrived(in: pipe)
    return .piece(0..<0)
  }
}

extension Exchange {
  /// Whether what comes next of the body is worth a pipe. What may turn out to be a tunnel's is not HTTP any more then.
  var splicesBody: Bool {
    guard let remaining = requestBody.remainingLength else { return false }
    return remaining >= Self.leastSpliced && !state.asksForWebSocket
  }

  /// Bytes; for fewer the calls cost as much as copying.
  private static let leastSpliced: Int64 = 65_536

  /// A piece of the body, whose frame is the same on both sides.
  func bodyArrived(in pipe: SplicePipe) {
    record.bytesReceived += Int64(pipe.count)
    requestBody.passed(pipe.count)
    state.bodyReceived(isComplete: requestBody.isComplete)
    self.pipe = pipe
    upstream?.sendPipedBody()
  }

  /// Gives the pipe back, if there is one; what stands in it is dropped.
  func releasePipe() {
    guard let pipe else { return }
    self.pipe = nil
    worker.pipes.giveBack(pipe)
  }
}
