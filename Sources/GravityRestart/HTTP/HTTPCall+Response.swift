import Glibc
import HTTP1
import SystemCalls

extension HTTPCall {
  private static let headLimits = HeadLimits(line: 4096, head: 16_384, fields: 64)
  private static let pieceSize = 16_384

  /// Reads one response to its end; what may follow it is dropped with the connection.
  func readResponse(
    from connection: borrowing Descriptor, within limit: WaitLimit
  ) throws(Failure) -> Response {
    var received: [UInt8] = []
    let (head, headSize) = try readHead(&received, from: connection, within: limit)
    guard !head.isInterim else {
      throw .malformed("an interim response, \(head.status), that was not asked for")
    }
    received.removeFirst(headSize)
    switch head.framing {
    case .none: received = []
    case .length(let length):
      guard length <= responseLimit else { throw tooLarge }
      while received.count < length {
        guard try read(&received, from: connection, within: limit) else {
          throw .lost("the response was cut")
        }
      }
      received.removeLast(received.count - Int(length))
    case .untilClose:
      while try read(&received, from: connection, within: limit) {
        guard received.count <= responseLimit else { throw tooLarge }
      }
    case .chunked: received = try readChunks(received, from: connection, within: limit)
    }
    return Response(status: head.status, content: received)
  }

  private var tooLarge: Failure { .malformed("the response has more than \(responseLimit) bytes") }

  private func readHead(
    _ received: inout [UInt8], from connection: borrowing Descriptor, within limit: WaitLimit
  ) throws(Failure) -> (ResponseHead, size: Int) {
    var head = ResponseHead()
    while true {
      switch head.read(received.span, limits: Self.headLimits, context: ResponseContext(isHead: false)) {
      case .complete(let size): return (head, size)
      case .rejected(let reason): throw .malformed("its head is not HTTP/1.1: \(reason)")
      case .incomplete:
        guard try read(&received, from: connection, within: limit) else {
          throw .lost("the connection ended before the response")
        }
      }
    }
  }

  private func readChunks(
    _ begun: [UInt8], from connection: borrowing Descriptor, within limit: WaitLimit
  ) throws(Failure) -> [UInt8] {
    var decoder = ChunkedDecoder(trailerLimits: Self.headLimits)
    var content: [UInt8] = []
    var piece = begun
    while true {
      var position = 0
      while position < piece.count {
        switch decoder.next(piece.span, &position) {
        case .data(let range): content += piece[range]
        case .end: return content
        case .rejected(let reason): throw .malformed("its chunks are not well-formed: \(reason)")
        case .needsMore: break
        }
      }
      guard content.count <= responseLimit else { throw tooLarge }
      piece.removeAll(keepingCapacity: true)
      guard try read(&piece, from: connection, within: limit) else { throw .lost("the response was cut") }
    }
  }

  /// Appends what is there; false at the end of the connection.
  private func read(
    _ bytes: inout [UInt8], from connection: borrowing Descriptor, within limit: WaitLimit
  ) throws(Failure) -> Bool {
    while true {
      let transfer = withUnsafeTemporaryAllocation(byteCount: Self.pieceSize, alignment: 1) { piece in
        let transfer = receive(connection.number, into: piece)
        if case .bytes(let count) = transfer { bytes += UnsafeRawBufferPointer(rebasing: piece[..<count]) }
        return transfer
      }
      switch transfer {
      case .bytes: return true
      case .end: return false
      case .wouldBlock:
        try awaitReadiness(connection.number, Int32(POLLIN), within: limit, orThrow: .notAnswered)
      case .failed(let code): throw .lost(SystemError(call: "recv", code: code).description)
      }
    }
  }
}
