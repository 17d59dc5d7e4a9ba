import Glibc
import HTTP1
import JSON
import SystemCalls

/// The client's side of the control socket: connects, sends one request, and reads its answer, waiting for each.
struct ControlClient: ~Copyable {
  private let socket: Descriptor
  private let path: String
  private let patience: Duration
  private var follower: (any AnswerFollower)?

  /// Why there is no answer.
  enum Failure: Error, Equatable, CustomStringConvertible {
    /// Nobody listens on the socket.
    case notRunning(SystemError)
    /// This user may not connect to this path.
    case denied(String)
    /// Something went wrong on the way.
    case broken(String)
    /// Who follows the answer wanted no more of it.
    case abandoned

    var description: String {
      switch self {
      case .notRunning(let error): "no proxy is running: \(error)"
      case .denied(let path):
        "permission denied: this user may not connect to the control socket \(path); root, the user of the proxy "
          + "and the socket's group may"
      case .broken(let message): message
      case .abandoned: "not waited for"
      }
    }
  }

  /// A proxy that says nothing for so long hangs: even a long drain says something every second.
  private static let patience = Duration.seconds(30)
  private static let limits = HeadLimits(line: 8192, head: 65_536, fields: 64)

  /// Connects.
  ///
  /// - Parameter patience: how long the proxy may say nothing.
  init(_ path: String, patience: Duration = Self.patience) throws(Failure) {
    self.path = path
    self.patience = patience
    switch SystemCalls.connect(to: SocketAddress(unixPath: path)) {
    case .connected(let number), .inProgress(let number): socket = Descriptor(owning: number)
    case .busy: throw .broken("the control socket \(path) is busy")
    case .failed(let error) where error.code == EACCES || error.code == EPERM: throw .denied(path)
    case .failed(let error) where [ENOENT, ECONNREFUSED, ENOTDIR, ENOTSOCK].contains(error.code):
      throw .notRunning(error)
    case .failed(let error): throw .broken("cannot connect to the control socket \(path): \(error)")
    }
  }

  /// Sends a request, and answers the status and the document that came back.
  ///
  /// - Parameter onLine: called for each line of progress. The last one is the document.
  consuming func request(
    _ method: String, _ target: String, _ body: JSON? = nil, onLine: ((JSON) -> Void)? = nil
  ) throws(Failure) -> (status: Int, document: JSON) {
    try send(method, target, body)
    var lines = LineReader()
    let (status, bytes) = try receive { (status, bytes) throws(Failure) in
      guard status == 200, let onLine else { return false }
      for line in lines.take(bytes) { onLine(try Self.parse(Array(line))) }
      return true
    }
    if status == 200, onLine != nil {
      guard let last = lines.last else { throw .broken("the proxy said nothing") }
      return (status, try Self.parse(last))
    }
    return (status, try Self.parse(bytes))
  }

  /// Sends a request whose answer goes on for as long as something is under way, and hands its lines to `follower` as
  /// they come. Answers the status, and the document that came back if that is not 200.
  consuming func follow(
    _ method: String, _ target: String, _ body: JSON, by follower: any AnswerFollower
  ) throws(Failure) -> (status: Int, document: JSON?) {
    self.follower = follower
    try send(method, target, body)
    var lines = LineReader()
    let (status, bytes) = try receive { (status, bytes) throws(Failure) in
      guard status == 200 else { return false }
      for line in lines.take(bytes) { follower.take(line, try Self.parse(line)) }
      // A proxy that never pauses keeps nobody from leaving.
      guard follower.attend() != nil else { throw .abandoned }
      return true
    }
    return (status, status == 200 ? nil : try Self.parse(bytes))
  }

  private static func parse(_ bytes: [UInt8]) throws(Failure) -> JSON {
    do {
      return try JSON(parsing: bytes)
    } catch {
      throw .broken("the proxy's answer is no JSON: \(error)")
    }
  }

  private func await(_ events: Int32) throws(Failure) {
    var limit = Deadline.after(patience)
    while true {
      var wishes = [pollfd(fd: socket.number, events: Int16(events), revents: 0)]
      var pause = patience
      if let follower {
        guard let next = follower.attend() else { throw .abandoned }
        pause = next
        wishes.append(pollfd(fd: follower.descriptor, events: Int16(POLLIN), revents: 0))
      }
      do {
        _ = try SystemCalls.wait(for: &wishes, within: WaitLimit(until: limit).atMost(pause))
      } catch {
        throw .broken("\(error)")
      }
      if wishes[0].revents != 0 { return }
      guard limit.hasPassed else { continue }
      guard let follower, follower.toleratesSilence(of: path) else {
        throw .broken("the proxy has not answered for \(patience.components.seconds) s")
      }
      limit = .after(patience)
    }
  }

  private func send(_ method: String, _ target: String, _ body: JSON?) throws(Failure) {
    let content = body?.text ?? ""
    let head =
      "\(method) \(target) HTTP/1.1\r\nHost: localhost\r\nUser-Agent: galaxy-lb/\(Version.number)\r\n"
      + "Connection: close\r\nContent-Type: application/json\r\nContent-Length: \(content.utf8.count)\r\n\r\n"
    try send(Array((head + content).utf8))
  }

  private func send(_ bytes: [UInt8]) throws(Failure) {
    var done = 0
    while done < bytes.count {
      switch bytes.withUnsafeBytes({
        SystemCalls.send(socket.number, UnsafeRawBufferPointer(rebasing: $0[done...]))
      }) {
      case .bytes(let count): done += count
      case .wouldBlock: try self.await(POLLOUT)
      // It has answered already, most likely that it takes no more; the answer is read next.
      case .end, .failed: return
      }
    }
  }

  /// Reads one response. Returns its status and what of its content `take` has not taken.
  private func receive(
    take: (_ status: Int, _ content: [UInt8]) throws(Failure) -> Bool
  ) throws(Failure) -> (status: Int, content: [UInt8]) {
    var received: [UInt8] = []
    var head = ResponseHead()
    while true {
      switch head.read(received.span, limits: Self.limits, context: ResponseContext(isHead: false)) {
      case .incomplete: break
      case .rejected(let reason): throw .broken("the proxy's answer is no HTTP: \(reason)")
      case .complete(let byteCount):
        received.removeFirst(byteCount)
        if head.isInterim { continue }
        var content: [UInt8] = []
        var body = ControlBodyReader(head.framing)
        while true {
          let piece = try body.take(&received)
          if !piece.isEmpty, try !take(head.status, piece) { content += piece }
          if body.isComplete { return (head.status, content) }
          guard try receiveMore(&received) else {
            if body.mayEnd { return (head.status, content) }
            throw .broken("the connection to the proxy ended before its answer did")
          }
        }
      }
      guard try receiveMore(&received) else {
        throw .broken("the proxy ended the connection without an answer")
      }
    }
  }

  /// False at the end of the connection.
  private func receiveMore(_ bytes: inout [UInt8]) throws(Failure) -> Bool {
    while true {
      let (result, piece) = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 1) { room in
        let result = SystemCalls.receive(socket.number, into: room)
        if case .bytes(let count) = result { return (result, Array(room.prefix(count))) }
        return (result, [])
      }
      switch result {
      case .bytes:
        bytes += piece
        return true
      case .wouldBlock: try self.await(POLLIN)
      case .end: return false
      case .failed(let code): throw .broken("\(SystemError(call: "recv", code: code))")
      }
    }
  }
}

/// Who follows an answer that goes on, and has something else to attend to meanwhile.
protocol AnswerFollower: AnyObject {
  /// Readable when there is something to attend to; borrowed.
  var descriptor: Int32 { get }
  /// Takes a line: as the proxy sent it, without its line feed, and what it says.
  func take(_ line: [UInt8], _ json: JSON)
  /// Called behind lines and whenever there is nothing to read: attends to the descriptor and to whatever else there is. Answers after
  /// what time at most that is due again; nil when no more is wanted of the answer.
  func attend() -> Duration?
  /// The proxy that listens on `path` has said nothing for as long as the client is patient. True when it is to be
  /// waited for further.
  func toleratesSilence(of path: String) -> Bool
}

/// Takes the content of a response out of its framing.
private struct ControlBodyReader {
  private enum Framing {
    case length(Int64)
    case chunked(ChunkedDecoder)
    case untilClose
    case ended
  }

  private var framing: Framing

  init(_ framing: BodyFraming) {
    self.framing =
      switch framing {
      case .none: .ended
      case .length(let length): .length(length)
      case .chunked: .chunked(ChunkedDecoder(trailerLimits: HeadLimits(line: 0, head: 4096, fields: 16)))
      case .untilClose: .untilClose
      }
  }

  var isComplete: Bool {
    if case .ended = framing { true } else { false }
  }

  /// True when the end of the connection is the end of the content.
  var mayEnd: Bool {
    if case .untilClose = framing { true } else { false }
  }

  mutating func take(_ bytes: inout [UInt8]) throws(ControlClient.Failure) -> [UInt8] {
    defer { bytes.removeAll() }
    switch framing {
    case .ended: return []
    case .untilClose: return bytes
    case .length(let length):
      let piece = Array(bytes.prefix(Int(length)))
      framing = length == piece.count ? .ended : .length(length - Int64(piece.count))
      return piece
    case .chunked(var decoder):
      var position = 0
      var content: [UInt8] = []
      while true {
        switch decoder.next(bytes.span, &position) {
        case .data(let range): content += bytes[range]
        case .needsMore:
          framing = .chunked(decoder)
          return content
        case .end:
          framing = .ended
          return content
        case .rejected(let reason): throw .broken("the proxy's answer is no HTTP: \(reason)")
        }
      }
    }
  }
}

/// Cuts content into lines, however it comes.
struct LineReader {
  private var rest: [UInt8] = []
  /// The last whole line.
  private(set) var last: [UInt8]?

  /// The lines that end in these bytes, without their line feeds; empty ones are left out.
  mutating func take(_ bytes: [UInt8]) -> [[UInt8]] {
    rest += bytes
    guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
    let lines = rest[..<end].split(separator: UInt8(ascii: "\n")).map(Array.init)
    rest.removeSubrange(...end)
    last = lines.last ?? last
    return lines
  }
}
