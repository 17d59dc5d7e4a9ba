import Glibc
import SystemCalls
import Testing

/// Two ends of a connection, non-blocking. Whoever takes an end owns it; the rest closes with this.
final class ConnectedPair {
  enum Kind: CaseIterable, Sendable {
    case unix
    case tcp
  }

  private(set) var left: Int32
  private(set) var right: Int32

  init(_ kind: Kind) throws {
    switch kind {
    case .unix:
      var ends: [Int32] = [-1, -1]
      let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
      try retryingInterrupts("socketpair") { socketpair(AF_UNIX, type, 0, &ends) }
      (left, right) = (ends[0], ends[1])
    case .tcp:
      let listeners = try Listening.sockets(
        on: .tcp(host: "127.0.0.1", port: 0), count: 1, options: .init(deferAccept: false))
      let listener = Descriptor(owning: listeners[0])
      let address = try SocketAddress.resolve(
        Endpoint(parsing: Listening.localAddress(of: listener.number)))
      switch SystemCalls.connect(to: address) {
      case .connected(let number), .inProgress(let number): left = number
      case .busy, .failed: throw SystemError.last("connect")
      }
      try waitUntilReady(listener.number, POLLIN)
      guard case .connection(let number, _) = SystemCalls.accept(from: listener.number) else {
        _ = Glibc.close(left)
        throw SystemError.last("accept4")
      }
      right = number
      try waitUntilReady(left, POLLOUT)
    }
  }

  /// Gives the left end to the caller.
  func takeLeft() -> Int32 {
    defer { left = -1 }
    return left
  }

  func closeRight() {
    if right >= 0 { _ = Glibc.close(right) }
    right = -1
  }

  deinit {
    if left >= 0 { _ = Glibc.close(left) }
    closeRight()
  }
}

/// Waits, at most 10 s, until poll(2) reports one of `events`.
func waitUntilReady(_ descriptor: Int32, _ events: Int32) throws {
  var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
  let count = try retryingInterrupts("poll") { poll(&entry, 1, 10_000) }
  guard count == 1 else { throw SystemError(call: "poll", code: ETIMEDOUT) }
}

/// Sends all of `text`, which must fit the socket's buffer.
func sendAll(_ descriptor: Int32, _ text: String) {
  let bytes = Array(text.utf8)
  #expect(bytes.withUnsafeBytes { SystemCalls.send(descriptor, $0) } == .bytes(bytes.count))
}

/// True when the number names an open descriptor that has not been taken by anybody else: one of this inode.
func isOpen(_ descriptor: Int32, inode: UInt64) -> Bool {
  inodeNumber(of: descriptor) == inode
}

/// The inode behind a descriptor; nil when it is closed.
func inodeNumber(of descriptor: Int32) -> UInt64? {
  var status = stat()
  return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : nil
}
