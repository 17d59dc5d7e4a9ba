import Glibc
import SystemCalls

/// One request and its response, on a connection of its own, by a thread that may block.
struct HTTPCall: Sendable {
  var endpoint: Endpoint
  var path: String
  /// Field lines beside those that every request has, as `Name: value`.
  var fields: [String] = []
  /// What is sent by POST, and of which type; nil for a GET.
  var content: (type: String, bytes: [UInt8])?
  /// How many bytes the response's content may have.
  var responseLimit: Int

  struct Response: Sendable {
    var status: Int
    var content: [UInt8]
  }

  /// What went wrong, and how far it had come.
  enum Failure: Error, Sendable {
    /// Nothing listens, or this user may not connect.
    case notConnected(SystemError)
    case unresolvable(String)
    /// The path of the socket has so many bytes, more than a socket address holds.
    case pathTooLong(Int)
    /// No connection within the limit: the other side takes none.
    case notAccepted
    /// Connected, but no complete response within the limit.
    case notAnswered
    case cancelled
    /// The connection broke, or ended too early.
    case lost(String)
    case malformed(String)
  }

  /// A unix socket whose backlog is full can only be asked again (connect(2)).
  private static let busyPause = Duration.milliseconds(20)

  func send(within limit: WaitLimit) throws(Failure) -> Response {
    let connection = try connect(within: limit)
    try write(request, to: connection, within: limit)
    return try readResponse(from: connection, within: limit)
  }

  private var request: [UInt8] {
    let method = content == nil ? "GET" : "POST"
    let described = content.map { ["Content-Type: \($0.type)", "Content-Length: \($0.bytes.count)"] } ?? []
    let lines =
      ["\(method) \(path) HTTP/1.1", "Host: localhost", "Connection: close", "User-Agent: galaxy-lb"]
      + described + fields + ["", ""]
    return Array(lines.joined(separator: "\r\n").utf8) + (content?.bytes ?? [])
  }

  private func connect(within limit: WaitLimit) throws(Failure) -> Descriptor {
    if case .unix(let path) = endpoint, path.utf8.count > Endpoint.longestUnixPath {
      throw .pathTooLong(path.utf8.count)
    }
    let address: SocketAddress
    do throws(ResolutionFailure) {
      address = try SocketAddress.resolve(endpoint)
    } catch {
      throw .unresolvable(error.description)
    }
    while true {
      switch SystemCalls.connect(to: address) {
      case .connected(let number): return Descriptor(owning: number)
      case .inProgress(let number):
        let connection = Descriptor(owning: number)
        try awaitReadiness(number, Int32(POLLOUT), within: limit, orThrow: .notAccepted)
        let code = pendingError(of: number)
        guard code == 0 else { throw .notConnected(SystemError(call: "connect", code: code)) }
        return connection
      case .busy:
        try rest(within: limit)
      case .failed(let error): throw .notConnected(error)
      }
    }
  }

  private func rest(within limit: WaitLimit) throws(Failure) {
    let end: WaitEnd
    do throws(SystemError) {
      end = try pause(Self.busyPause, within: limit)
    } catch {
      throw .lost(error.description)
    }
    if end == .cancelled { throw .cancelled }
    if limit.deadline.hasPassed { throw .notAccepted }
  }

  func awaitReadiness(
    _ number: Int32, _ events: Int32, within limit: WaitLimit, orThrow late: Failure
  ) throws(Failure) {
    let end: WaitEnd
    do throws(SystemError) {
      end = try wait(for: number, events, within: limit)
    } catch {
      throw .lost(error.description)
    }
    switch end {
    case .ready: return
    case .timedOut: throw late
    case .cancelled: throw .cancelled
    }
  }

  private func write(_ bytes: [UInt8], to connection: borrowing Descriptor, within limit: WaitLimit)
    throws(Failure)
  {
    var sent = 0
    while sent < bytes.count {
      let transfer = bytes.withUnsafeBytes {
        SystemCalls.send(connection.number, UnsafeRawBufferPointer(rebasing: $0[sent...]))
      }
      switch transfer {
      case .bytes(let count): sent += count
      case .wouldBlock:
        try awaitReadiness(connection.number, Int32(POLLOUT), within: limit, orThrow: .notAnswered)
      case .end: throw .lost("the connection ended")
      case .failed(let code): throw .lost(SystemError(call: "send", code: code).description)
      }
    }
  }
}

extension HTTPCall.Failure: CustomStringConvertible {
  var description: String {
    switch self {
    case .notConnected(let error): "\(error)"
    case .unresolvable(let reason): reason
    case .pathTooLong(let count):
      "the path of its socket has \(count) bytes, the system's limit is \(Endpoint.longestUnixPath)"
    case .notAccepted: "takes no connection"
    case .notAnswered: "no answer in time"
    case .cancelled: "cancelled"
    case .lost(let reason): reason
    case .malformed(let reason): "no HTTP: \(reason)"
    }
  }
}
