import EventLoop
import HTTP1
import SystemCalls

/// A request's body of known length goes from the client's socket through a pipe into the upstream's, and is never
/// copied to user space (splice(2)). What came with the head is copied, and so is a piece for which there is no pipe.
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
    guard let remaining = requestBody.remainingLength, !state.asksForWebSocket else { return false }
    return isUploadSpliced || remaining >= Self.leastSpliced
  }

  /// Bytes; copying fewer costs as little (measured with 96 KiB: 1.0 to 1.3 of copying; with 256 KiB: 0.5 to 0.85).
  private static let leastSpliced: Int64 = 128 * 1024

  /// A piece of the body, whose frame is the same on both sides.
  func bodyArrived(in pipe: SplicePipe) {
    record.bytesReceived += Int64(pipe.count)
    requestBody.passed(pipe.count)
    state.bodyReceived(isComplete: requestBody.isComplete)
    self.pipe = pipe
    isUploadSpliced = true
    changePace { $0.arrived(pipe.count, remaining: requestBody.remainingLength ?? 0, now: worker.loop.now) }
    upstream?.sendPipedBody()
  }

  /// What came of a body whose client was fast is all for now: it goes on as it is.
  func uploadPaused() {
    changePace { $0.paused() }
    client.readiness.insert(.readable)
    worker.loop.enqueue(client, for: .receiveRequests)
  }

  /// While the client is fast, its socket tells of input only when there is much of it, and the upstream's takes a large
  /// piece while it has one: else the two ends would wait for each other.
  private func changePace(_ body: (inout UploadPace) -> Void) {
    let wasFast = uploadPace.isFast
    body(&uploadPace)
    guard uploadPace.isFast != wasFast else { return }
    setReceiveLowWaterMark(of: client.descriptor, uploadPace.isFast ? UploadPace.largePiece : 1)
    if uploadPace.isFast { upstream?.takeLargePieces() }
  }

  /// The body is not waited for any longer.
  func resetUploadPace() { changePace { $0 = UploadPace() } }

  /// Gives the pipe back, if there is one; what stands in it is dropped.
  func releasePipe() {
    guard let pipe else { return }
    self.pipe = nil
    worker.pipes.giveBack(pipe)
  }
}
