import EventLoop
import HTTP1
import JSON
import SystemCalls

/// A connection to the control socket, or to the address of the metrics: reads one request after another, whole, and
/// answers each before the next is read.
final class ControlConnection: Channel {
  private enum Stage {
    /// A request, or the rest of one.
    case reading
    /// The response is complete and only has to be taken.
    case answering(closes: Bool)
    /// The response goes on.
    case streaming(ProgressStream, isChunked: Bool, closes: Bool)
    /// Nothing more is served, and what comes is dropped until the client has seen the response (RFC 9112 9.6).
    case lingering
  }

  private unowned(unsafe) let server: ControlServer
  private var stage = Stage.reading
  private var inbound = ByteBuffer()
  private var outbound = ByteBuffer()
  /// The first byte of a request is there, and the rest is awaited.
  private var hasBegunRequest = false
  /// A request whose head is read, and what is still to come of its body.
  private var incoming: (request: ControlRequest, rest: Rest)?

  private enum Rest {
    case length(Int)
    case chunked(ChunkedDecoder)
  }

  static let limits = HeadLimits(line: 8192, head: 16_384, fields: 64)
  private static let readSize = 16_384
  /// Progress that a client does not take is left out beyond this.
  private static let largestBacklog = 65_536

  /// Milliseconds.
  private static let patienceWithRequest: Int64 = 10_000
  private static let patienceWithOutput: Int64 = 10_000
  private static let patienceBetweenRequests: Int64 = 60_000
  private static let patienceWithLingering: Int64 = 2_000

  init(_ server: ControlServer, owning descriptor: Int32) {
    self.server = server
    super.init(loop: server.loop, owning: descriptor)
  }

  /// Starts to serve.
  func begin() {
    open()
    loop.setDeadline(of: self, in: Self.patienceWithRequest)
    readiness.insert(.readable)
    loop.enqueue(self, for: .receiveRequests)
  }

  /// True between two requests: it may be closed for the sake of another.
  var isIdle: Bool {
    if case .reading = stage { inbound.isEmpty } else { false }
  }

  override func becameReady(_ news: Readiness) {
    if news.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    if news.contains(.writable) { loop.enqueue(self, for: .sendResponses) }
  }

  override func run(_ phase: Phase) {
    switch phase {
    case .receiveRequests: receive()
    case .sendResponses: flush()
    case .sendRequests, .receiveResponses: break
    }
  }

  override func deadlinePassed() {
    guard !isClosed else { return }
    if case .reading = stage, hasBegunRequest, outbound.isEmpty {
      answer(ControlResponse(ControlFailure(408, "the request took too long to arrive")), closes: true)
    } else {
      end()
    }
  }

  /// Closes the connection, and tells what was going on.
  func end() {
    guard !isClosed else { return }
    if case .streaming(let stream, _, _) = stage { stream.clientLeft() }
    stage = .lingering
    close()
    server.forget(self)
  }

  // MARK: Receiving

  private func receive() {
    switch stage {
    case .reading: receiveRequest()
    case .lingering: drop()
    // Nothing is read for as long as the response isn't out. The end of the client's side is noticed by sending.
    case .answering, .streaming: break
    }
  }

  private func receiveRequest() {
    guard !isClosed else { return }
    let room = UnsafeMutableRawBufferPointer(rebasing: inbound.reserve(Self.readSize).prefix(Self.readSize))
    switch receive(into: room) {
    case .bytes(let count):
      // Only the end of a line can change what is known of a head, so a slow sender costs no quadratic time.
      let mayProgress = room.prefix(count).contains(UInt8(ascii: "\n"))
      inbound.commit(count)
      if mayProgress || incoming != nil || inbound.count >= Self.limits.head {
        readRequest()
      } else {
        awaitRest()
      }
      if !isClosed, readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .wouldBlock: if inbound.isEmpty { inbound.removeAll() }
    case .end, .failed: end()
    }
  }

  private func drop() {
    inbound.removeAll()
    let room = UnsafeMutableRawBufferPointer(rebasing: inbound.reserve(Self.readSize).prefix(Self.readSize))
    switch receive(into: room) {
    case .bytes: if readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .wouldBlock: inbound.removeAll()
    case .end, .failed: end()
    }
  }

  private func awaitRest() {
    guard !hasBegunRequest else { return }
    hasBegunRequest = true
    loop.setDeadline(of: self, in: Self.patienceWithRequest)
  }

  private func readRequest() {
    if incoming == nil { readHead() }
    guard incoming != nil else { return }
    do throws(ControlFailure) {
      if try readBody(), let request = incoming?.request {
        incoming = nil
        serve(request)
      }
    } catch {
      incoming = nil
      answer(ControlResponse(error), closes: true)
    }
  }

  private func readHead() {
    var head = RequestHead()
    let progress = inbound.withSpan { head.read($0, limits: Self.limits, classifier: FieldNameClassifier()) }
    switch progress {
    case .incomplete: awaitRest()
    case .rejected(let reason): answer(ControlResponse(ControlFailure(reason)), closes: true)
    case .complete(let byteCount):
      awaitRest()
      let request = request(head)
      inbound.consume(byteCount)
      switch head.framing {
      case .none, .untilClose: incoming = (request, .length(0))
      case .length(let length):
        guard length <= server.largestBody else {
          answer(ControlResponse(tooLarge), closes: true)
          return
        }
        incoming = (request, .length(Int(length)))
      case .chunked: incoming = (request, .chunked(ChunkedDecoder(trailerLimits: Self.limits)))
      }
      if head.expectsContinue, inbound.isEmpty {
        outbound.append("HTTP/1.1 100 Continue\r\n\r\n")
        loop.enqueue(self, for: .sendResponses)
      }
    }
  }

  private var tooLarge: ControlFailure {
    ControlFailure(413, "the body is larger than \(server.largestBody) bytes")
  }

  /// Takes what there is of the body. True when that was the rest of it.
  private func readBody() throws(ControlFailure) -> Bool {
    switch incoming?.rest {
    case nil: return false
    case .length(let length):
      let count = min(length, inbound.count)
      incoming?.request.body += inbound.bytes.prefix(count)
      inbound.consume(count)
      incoming?.rest = .length(length - count)
      return count == length
    case .chunked(var decoder):
      var position = 0
      while true {
        let event = inbound.withSpan { decoder.next($0, &position) }
        switch event {
        case .data(let range): incoming?.request.body += inbound.bytes[range]
        case .end:
          inbound.consume(position)
          return true
        case .rejected(let reason): throw ControlFailure(reason)
        case .needsMore:
          inbound.consume(position)
          incoming?.rest = .chunked(decoder)
          return false
        }
        guard (incoming?.request.body.count ?? 0) <= server.largestBody else { throw tooLarge }
      }
    }
  }

  private func request(_ head: RequestHead) -> ControlRequest {
    let bytes = inbound.bytes
    let target = String(decoding: bytes[head.path], as: UTF8.self)
    return ControlRequest(
      method: String(decoding: bytes[head.method], as: UTF8.self),
      path: String(target.prefix { $0 != "?" }), body: [],
      isPersistent: head.isPersistent && !server.isStopping, minorVersion: head.minorVersion)
  }

  private func serve(_ request: ControlRequest) {
    hasBegunRequest = false
    let closes = !request.isPersistent
    switch server.reply(to: request, from: descriptor) {
    case .response(let response): answer(response, isHead: request.method == "HEAD", closes: closes)
    case .stream(let stream):
      let isChunked = request.minorVersion > 0
      ControlResponse.writeHead(
        status: 200, contentType: ProgressStream.contentType, closes: closes || !isChunked, to: &outbound)
      outbound.append(isChunked ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n")
      stage = .streaming(stream, isChunked: isChunked, closes: closes || !isChunked)
      loop.clearDeadline(of: self)
      loop.enqueue(self, for: .sendResponses)
      stream.begin(on: self)
    }
  }

  // MARK: Sending

  private func answer(_ response: ControlResponse, isHead: Bool = false, closes: Bool) {
    response.write(isHead: isHead, closes: closes, to: &outbound)
    finishAnswer(closes: closes)
  }

  private func finishAnswer(closes: Bool) {
    stage = .answering(closes: closes)
    loop.setDeadline(of: self, in: Self.patienceWithOutput)
    loop.enqueue(self, for: .sendResponses)
  }

  /// A line of the stream that is under way.
  func send(line: JSON, isLast: Bool) {
    guard case .streaming(_, let isChunked, let closes) = stage, !isClosed else { return }
    guard isLast || outbound.count < Self.largestBacklog else { return }
    let text = line.text + "\n"
    if isChunked {
      outbound.append(text: String(text.utf8.count, radix: 16) + "\r\n" + text + "\r\n")
      if isLast { outbound.append("0\r\n\r\n") }
    } else {
      outbound.append(text: text)
    }
    if isLast { finishAnswer(closes: closes) } else { loop.enqueue(self, for: .sendResponses) }
  }

  private func flush() {
    guard !isClosed else { return }
    if !outbound.isEmpty {
      switch SystemCalls.send(descriptor, outbound.bytes) {
      case .bytes(let count):
        outbound.consume(count)
        // Progress: whoever takes a little at a time is served.
        if case .answering = stage { loop.setDeadline(of: self, in: Self.patienceWithOutput) }
        if !outbound.isEmpty {
          awaitTaker()
          return
        }
      case .wouldBlock:
        awaitTaker()
        return
      case .end, .failed:
        end()
        return
      }
    }
    unwatchWrites()
    outputTaken()
  }

  private func awaitTaker() {
    readiness.remove(.writable)
    watchWrites()
    if case .streaming = stage, deadline == Timed.never {
      loop.setDeadline(of: self, in: Self.patienceWithOutput)
    }
  }

  private func outputTaken() {
    switch stage {
    case .reading, .lingering: break
    case .streaming: loop.clearDeadline(of: self)
    case .answering(closes: false):
      stage = .reading
      loop.setDeadline(of: self, in: Self.patienceBetweenRequests)
      if !inbound.isEmpty { readRequest() }
      if !isClosed, readiness.contains(.readable) { loop.enqueue(self, for: .receiveRequests) }
    case .answering(closes: true):
      endSending(descriptor)
      stage = .lingering
      loop.setDeadline(of: self, in: Self.patienceWithLingering)
      readiness.insert(.readable)
      loop.enqueue(self, for: .receiveRequests)
    }
  }
}
