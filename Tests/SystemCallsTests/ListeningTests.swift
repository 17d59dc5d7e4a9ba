import Glibc
import Testing

@testable import SystemCalls

/// A folder of its own for a test's sockets.
private final class SocketFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/galaxy-lb-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  deinit {
    for name in names(inFolder: path) { unlink("\(path)/\(name)") }
    rmdir(path)
  }
}

/// Listening sockets that close with this.
private final class Listeners {
  let numbers: [Int32]

  init(_ endpoint: Endpoint, count: Int = 1, deferAccept: Bool = false) throws {
    numbers = try Listening.sockets(on: endpoint, count: count, options: .init(deferAccept: deferAccept))
  }

  init(owning numbers: [Int32]) { self.numbers = numbers }

  func address() throws -> SocketAddress { try #require(SocketAddress(localAddressOf: numbers[0])) }

  deinit { for number in numbers { _ = close(number) } }
}

private func option(_ socket: Int32, _ level: Int32, _ name: Int32) -> Int32 {
  var value: Int32 = -1
  var length = socklen_t(MemoryLayout<Int32>.size)
  return getsockopt(socket, level, name, &value, &length) == 0 ? value : -1
}

private func socket(_ family: Int32, _ type: __socket_type) throws -> Descriptor {
  Descriptor(
    owning: try retryingInterrupts("socket") {
      Glibc.socket(family, Int32(type.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    })
}

/// Accepts one connection within a bound; the caller owns the descriptor.
private func acceptPatiently(_ listener: Int32) throws -> (Int32, Peer)? {
  var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
  try retryingInterrupts("poll") { poll(&entry, 1, 10_000) }
  guard case .connection(let number, let peer) = SystemCalls.accept(from: listener) else { return nil }
  return (number, peer)
}

@Suite struct ListeningTests {
  // MARK: TCP

  @Test func eachLoopHasItsOwnSocketOnOnePort() throws {
    let listeners = try Listeners(.tcp(host: "127.0.0.1", port: 0), count: 3)
    let addresses = Set(listeners.numbers.map { Listening.localAddress(of: $0) })
    #expect(listeners.numbers.count == 3 && addresses.count == 1)
    #expect(!addresses.contains("127.0.0.1:0"))
    for number in listeners.numbers {
      #expect(option(number, SOL_SOCKET, SO_ACCEPTCONN) == 1)
      #expect(option(number, Int32(IPPROTO_TCP), TCP_NODELAY) == 1)
      #expect(option(number, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT) == 0)
      #expect(fcntl(number, F_GETFL, 0) & O_NONBLOCK != 0)
      #expect(fcntl(number, F_GETFD, 0) & FD_CLOEXEC != 0)
    }
  }

  @Test func deferredAcceptIsASetting() throws {
    let listeners = try Listeners(.tcp(host: "127.0.0.1", port: 0), deferAccept: true)
    #expect(option(listeners.numbers[0], Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT) > 0)
  }

  /// Guards against two proxies that share a port without knowing it, as SO_REUSEPORT would let them.
  @Test func aPortThatIsTakenIsNoticed() throws {
    let first = try Listeners(.tcp(host: "127.0.0.1", port: 0))
    let endpoint = try Endpoint(parsing: Listening.localAddress(of: first.numbers[0]))
    #expect(throws: SystemError(call: "bind", code: EADDRINUSE)) { try Listeners(endpoint) }
    guard case .tcp(_, let port) = endpoint else { return }
    #expect(throws: SystemError(call: "bind", code: EADDRINUSE)) { try Listeners(.tcp(host: "", port: port)) }
  }

  @Test func anEmptyHostIsEveryAddress() throws {
    let listeners = try Listeners(.tcp(host: "", port: 0))
    let port = try #require(
      UInt16(Listening.localAddress(of: listeners.numbers[0]).split(separator: ":").last!))
    guard case .inProgress(let number) = connect(to: SocketAddress(IPAddress(ipv4: 0x7F00_0001), port: port))
    else {
      Issue.record("no connection over IPv4")
      return
    }
    let client = Descriptor(owning: number)
    let (connection, peer) = try #require(try acceptPatiently(listeners.numbers[0]))
    #expect(peer.address == IPAddress("127.0.0.1") && peer.port > 0)
    #expect(fcntl(connection, F_GETFL, 0) & O_NONBLOCK != 0)
    #expect(fcntl(connection, F_GETFD, 0) & FD_CLOEXEC != 0)
    _ = close(connection)
    #expect(pendingError(of: client.number) == 0)
  }

  @Test func anUnknownAddressIsAnError() {
    // TEST-NET-1 (RFC 5737) is nobody's own address.
    #expect(throws: SystemError(call: "bind", code: EADDRNOTAVAIL)) {
      try Listeners(.tcp(host: "192.0.2.1", port: 0))
    }
  }

  // MARK: Unix

  @Test func aUnixSocketIsForItsUserAndGroup() throws {
    let folder = try SocketFolder()
    let path = "\(folder.path)/s"
    let listeners = try Listeners(.unix(path: path), count: 3)
    var status = stat()
    #expect(lstat(path, &status) == 0 && status.st_mode & 0o7777 == 0o660)
    #expect(FileStatus(of: path)?.isSocket == true)
    #expect(Listening.localAddress(of: listeners.numbers[0]) == "unix:\(path)")
    // All are the same socket.
    let inodes = listeners.numbers.map { number in
      var status = stat()
      return fstat(number, &status) == 0 ? status.st_ino : 0
    }
    #expect(listeners.numbers.count == 3 && Set(inodes).count == 1)
    for number in listeners.numbers {
      #expect(fcntl(number, F_GETFL, 0) & O_NONBLOCK != 0)
      #expect(fcntl(number, F_GETFD, 0) & FD_CLOEXEC != 0)
    }
  }

  @Test func aStaleSocketIsReplaced() throws {
    let folder = try SocketFolder()
    let path = "\(folder.path)/s"
    do { _ = try Listeners(.unix(path: path)) }
    let stale = try #require(FileStatus(of: path))
    #expect(stale.isSocket)
    let listeners = try Listeners(.unix(path: path))
    guard case .connected(let number) = connect(to: try listeners.address()) else {
      Issue.record("nobody listens")
      return
    }
    _ = close(number)
  }

  @Test func aLiveSocketIsLeftAlone() throws {
    let folder = try SocketFolder()
    let path = "\(folder.path)/s"
    let first = try Listeners(.unix(path: path))
    let inode = FileStatus(of: path)?.inode
    #expect(throws: SystemError(call: "bind", code: EADDRINUSE)) { try Listeners(.unix(path: path)) }
    #expect(FileStatus(of: path)?.inode == inode)
    // It is as busy as it was: what asked whether it lives is gone.
    guard case .connection(let number, let peer) = SystemCalls.accept(from: first.numbers[0]) else {
      Issue.record("nobody asked")
      return
    }
    #expect(peer.address == nil && peer.port == 0)
    var byte: UInt8 = 0
    #expect(withUnsafeMutableBytes(of: &byte) { receive(number, into: $0) } == .end)
    _ = close(number)
  }

  @Test func whatIsNoSocketIsLeftAlone() throws {
    let folder = try SocketFolder()
    let path = "\(folder.path)/file"
    let file = Descriptor(
      owning: try retryingInterrupts("open") { open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600) })
    #expect(throws: SystemError(call: "bind", code: EADDRINUSE)) { try Listeners(.unix(path: path)) }
    #expect(FileStatus(of: path)?.isRegularFile == true && file.number >= 0)
    // A link to a socket is not followed either.
    let link = "\(folder.path)/link"
    do { _ = try Listeners(.unix(path: "\(folder.path)/stale")) }
    #expect(symlink("\(folder.path)/stale", link) == 0)
    #expect(throws: SystemError(call: "bind", code: EADDRINUSE)) { try Listeners(.unix(path: link)) }
    #expect(FileStatus(of: "\(folder.path)/stale")?.isSocket == true)
  }

  @Test func aSocketOfAnotherKindIsLeftAlone() throws {
    let folder = try SocketFolder()
    let path = "\(folder.path)/s"
    let datagram = try socket(AF_UNIX, SOCK_DGRAM)
    let number = datagram.number
    try retryingInterrupts("bind") { SocketAddress(unixPath: path).withPointer { bind(number, $0, $1) } }
    #expect(throws: SystemError(call: "connect", code: EPROTOTYPE)) { try Listeners(.unix(path: path)) }
    #expect(FileStatus(of: path)?.isSocket == true)
  }

  @Test func aMissingFolderIsAnError() {
    #expect(throws: SystemError(call: "bind", code: ENOENT)) {
      try Listeners(.unix(path: "/nowhere-at-all/galaxy-lb/s"))
    }
  }

  /// connect(2): a full backlog of a unix socket is told from a missing one.
  @Test func aFullBacklogIsBusy() throws {
    let folder = try SocketFolder()
    let address = SocketAddress(unixPath: "\(folder.path)/s")
    let listener = try socket(AF_UNIX, SOCK_STREAM)
    let number = listener.number
    try retryingInterrupts("bind") { address.withPointer { bind(number, $0, $1) } }
    try retryingInterrupts("listen") { listen(number, 1) }
    var waiting: [Int32] = []
    defer { for number in waiting { _ = close(number) } }
    var isBusy = false
    while !isBusy, waiting.count < 16 {
      switch connect(to: address) {
      case .connected(let number): waiting.append(number)
      case .busy: isBusy = true
      case .inProgress(let number):
        waiting.append(number)
        Issue.record("in progress")
      case .failed(let error): throw error
      }
    }
    #expect(isBusy)
    guard
      case .failed(SystemError(call: "connect", code: ENOENT)) = connect(
        to: SocketAddress(unixPath: "/nowhere/s"))
    else {
      Issue.record("a missing socket is something else")
      return
    }
  }

  // MARK: Inherited

  private static let this = "\(getpid())"

  @Test(
    arguments: [
      (this, "1", 3..<4), (this, "3", 3..<6), (this, "0", 3..<3), (this, "-1", 3..<3), (this, nil, 3..<3),
      (this, "", 3..<3), (this, "x", 3..<3), (this, "1 ", 3..<3), (nil, "1", 3..<3), ("1", "1", 3..<3),
      ("", "1", 3..<3),
      // Guards against a sum that overflows.
      (this, "2147483647", 3..<3), (this, "99999999999", 3..<3),
    ] as [(String?, String?, Range<Int32>)])
  func passedSocketsAreThoseForThisProcess(_ process: String?, _ count: String?, _ expected: Range<Int32>) {
    #expect(Listening.passedSockets(process: process, count: count) == expected)
  }

  @Test func listeningSocketsAreTakenOver() throws {
    let listener = try socket(AF_INET, SOCK_STREAM)
    let number = listener.number
    try retryingInterrupts("bind") {
      SocketAddress(IPAddress(ipv4: 0x7F00_0001), port: 0).withPointer { bind(number, $0, $1) }
    }
    try retryingInterrupts("listen") { listen(number, 1) }
    try retryingInterrupts("fcntl") { fcntl(number, F_SETFD, 0) }
    #expect(try Listening.takeOver(number..<number + 1) == [number])
    #expect(fcntl(number, F_GETFL, 0) & O_NONBLOCK != 0)
    #expect(fcntl(number, F_GETFD, 0) & FD_CLOEXEC != 0)
    #expect(try Listening.takeOver(3..<3).isEmpty)
  }

  @Test func whatIsNoListeningStreamSocketIsRefused() throws {
    let connected = try socket(AF_INET, SOCK_STREAM)
    let plain = connected.number
    #expect(throws: SystemError(call: "getsockopt", code: ENOTCONN)) {
      try Listening.takeOver(plain..<plain + 1)
    }
    let file = Descriptor(owning: try retryingInterrupts("open") { open("/dev/null", O_RDONLY | O_CLOEXEC) })
    let null = file.number
    #expect(throws: SystemError(call: "getsockopt", code: ENOTSOCK)) {
      try Listening.takeOver(null..<null + 1)
    }
    // One of packets listens too, but can't be read as a stream.
    let folder = try SocketFolder()
    let packets = try socket(AF_UNIX, SOCK_SEQPACKET)
    let number = packets.number
    try retryingInterrupts("bind") {
      SocketAddress(unixPath: "\(folder.path)/p").withPointer { bind(number, $0, $1) }
    }
    try retryingInterrupts("listen") { listen(number, 1) }
    #expect(throws: SystemError(call: "getsockopt", code: EPROTOTYPE)) {
      try Listening.takeOver(number..<number + 1)
    }
  }

  @Test func aDuplicateIsTheSameSocket() throws {
    let listeners = try Listeners(.tcp(host: "127.0.0.1", port: 0))
    let copy = Listeners(owning: [try Listening.duplicate(listeners.numbers[0])])
    #expect(copy.numbers[0] != listeners.numbers[0])
    #expect(try "\(copy.address())" == "\(listeners.address())")
    #expect(fcntl(copy.numbers[0], F_GETFD, 0) & FD_CLOEXEC != 0)
  }

  @Test func thoseWhoWaitToBeAcceptedAreCounted() throws {
    let listeners = try Listeners(.tcp(host: "127.0.0.1", port: 0))
    let listener = listeners.numbers[0]
    #expect(waitingConnections(on: listener) == 0)
    var clients: [Int32] = []
    defer { for client in clients { _ = close(client) } }
    for count in 1...3 {
      guard case .inProgress(let client) = connect(to: try listeners.address()) else {
        throw SystemError.last("connect")
      }
      clients.append(client)
      var entry = pollfd(fd: client, events: Int16(POLLOUT), revents: 0)
      #expect(poll(&entry, 1, 10_000) == 1)
      #expect(waitingConnections(on: listener) == count)
    }
    guard case .connection(let accepted, _) = accept(from: listener) else {
      throw SystemError.last("accept4")
    }
    defer { _ = close(accepted) }
    #expect(waitingConnections(on: listener) == 2)
    #expect(waitingConnections(on: accepted) == nil)
  }

  @Test func ofAUnixSocketItIsNotKnownWhoWaits() throws {
    let folder = try SocketFolder()
    let listeners = try Listeners(.unix(path: "\(folder.path)/s"))
    #expect(waitingConnections(on: listeners.numbers[0]) == nil)
  }
}
