import CLinux
import Glibc

/// Who is at the other end of an accepted connection.
public struct Peer: Sendable {
  /// The internet address; nil for a unix socket.
  public let address: IPAddress?
  /// The port, 0 for a unix socket.
  public let port: UInt16

  public init(address: IPAddress?, port: UInt16) {
    self.address = address
    self.port = port
  }
}

/// How many connections wait to be accepted. Nil where the kernel doesn't tell, as for unix sockets (TCP_INFO, tcp(7)).
public func waitingConnections(on listener: Int32) -> Int? {
  let count = clinux_waiting_connections_of(listener)
  return count < 0 ? nil : Int(count)
}

/// What became of an accept(2).
public enum Accepted {
  /// A connected, non-blocking socket. The caller owns the descriptor.
  case connection(Int32, Peer)
  /// Nobody waits.
  case none
  /// The peer was gone before it was accepted: try again.
  case aborted
  /// The process or the system has no descriptor or memory left (EMFILE, ENFILE, ENOBUFS, ENOMEM).
  case exhausted(SystemError)
  /// Anything else; the listener is unusable.
  case failed(SystemError)
}

/// Takes one connection from a listening socket (accept4(2)), non-blocking and close-on-exec.
public func accept(from listener: Int32) -> Accepted {
  var storage = sockaddr_storage()
  var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
  let number = withUnsafeMutablePointer(to: &storage) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      accept4(listener, $0, &length, nonBlockingStream & ~Int32(SOCK_STREAM.rawValue))
    }
  }
  if number >= 0 {
    let peer = withUnsafePointer(to: &storage) { SocketAddress.peer(UnsafeRawPointer($0)) }
    return .connection(number, Peer(address: peer?.address, port: peer?.port ?? 0))
  }
  let error = SystemError.last("accept4")
  switch error.code {
  case EAGAIN: return .none
  // accept(2): errors that are already pending on the new connection are to be treated like EAGAIN.
  case EINTR, ECONNABORTED, ENETDOWN, EPROTO, ENOPROTOOPT, EHOSTDOWN, EHOSTUNREACH, ENETUNREACH, EPERM:
    return .aborted
  case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted(error)
  default: return .failed(error)
  }
}

/// What became of the start of a non-blocking connect(2).
public enum Connecting {
  /// Connected at once, as unix sockets do. The caller owns the descriptor.
  case connected(Int32)
  /// Under way: writability tells when, `pendingError` what became of it. The caller owns the descriptor.
  case inProgress(Int32)
  /// A unix socket whose backlog is full (EAGAIN, connect(2)): busy, not dead.
  case busy
  /// Refused, missing, or no socket could be had.
  case failed(SystemError)
}

let nonBlockingStream =
  Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)

/// Starts a connection to `address`.
public func connect(to address: SocketAddress) -> Connecting {
  let number = Glibc.socket(address.family, nonBlockingStream, 0)
  guard number >= 0 else { return .failed(.last("socket")) }
  if address.family != AF_UNIX { setOption(number, Int32(IPPROTO_TCP), TCP_NODELAY, 1) }
  while true {
    if address.withPointer({ Glibc.connect(number, $0, $1) }) == 0 { return .connected(number) }
    let error = SystemError.last("connect")
    switch error.code {
    case EINPROGRESS: return .inProgress(number)
    // A signal does not stop a connection attempt (connect(2)); a unix socket blocks for its backlog only.
    case EINTR where address.family != AF_UNIX: return .inProgress(number)
    case EINTR: continue
    case EAGAIN:
      _ = Glibc.close(number)
      return .busy
    default:
      _ = Glibc.close(number)
      return .failed(error)
    }
  }
}

/// The error that an asynchronous operation left on the socket (SO_ERROR), and clears it. 0 means none.
public func pendingError(of socket: Int32) -> Int32 {
  var code: Int32 = 0
  var length = socklen_t(MemoryLayout<Int32>.size)
  guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return errno }
  return code
}

/// What stands in a TCP socket that its peer has not confirmed, and what else it would take.
public struct SendBuffer: Sendable {
  /// Bytes, with what the kernel needs to keep them.
  let size: Int
  let used: Int

  /// As it is with so many bytes more.
  public func holding(_ byteCount: Int) -> SendBuffer { SendBuffer(size: size, used: used + byteCount) }

  /// About how many bytes would be taken now.
  public var room: Int { max(0, size - used) }

  /// Whether poll(2) and epoll(7) call it writable: when a third of it is free.
  public var isWritable: Bool { room >= used / 2 }
}

/// Nil where the kernel doesn't say (SO_MEMINFO, Linux 4.12).
public func sendBuffer(of socket: Int32) -> SendBuffer? {
  var buffer = clinux_send_buffer()
  guard clinux_send_buffer_of(socket, &buffer) == 0 else { return nil }
  return SendBuffer(size: Int(buffer.size), used: Int(buffer.used))
}

/// True when bytes stand in the socket that nobody has read; its peer's end is none.
public func hasInput(_ socket: Int32) -> Bool {
  var count: Int32 = 0
  return clinux_unread_bytes_of(socket, &count) == 0 && count > 0
}

/// Lets poll(2) and epoll(7) tell of input only when so many bytes have come, or the peer's end, or when the socket takes
/// no more (SO_RCVLOWAT, socket(7)). A TCP socket makes room for as many, within the system's limit (tcp_rmem, tcp(7)).
public func setReceiveLowWaterMark(of socket: Int32, _ byteCount: Int) {
  setOption(socket, SOL_SOCKET, SO_RCVLOWAT, Int32(clamping: byteCount))
}

/// Lets a socket hold so many bytes that its peer has not taken, and as much again for what the kernel needs to keep
/// them, within the system's limit (SO_SNDBUF and wmem_max, socket(7)).
public func setSendBuffer(of socket: Int32, _ byteCount: Int) {
  setOption(socket, SOL_SOCKET, SO_SNDBUF, Int32(clamping: byteCount))
}

/// setsockopt(2) with an integer. For options whose failure changes nothing that a user sees.
public func setOption(_ socket: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
  var value = value
  _ = setsockopt(socket, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
}

/// Makes close(2) send a reset instead of a regular end (SO_LINGER of 0 s, socket(7)), so that the peer can't
/// take what it got for complete.
public func resetOnClose(_ socket: Int32) {
  var value = linger(l_onoff: 1, l_linger: 0)
  _ = setsockopt(socket, SOL_SOCKET, SO_LINGER, &value, socklen_t(MemoryLayout<linger>.size))
}

/// Ends the sending direction of a connection (shutdown(2)).
public func endSending(_ socket: Int32) {
  _ = Glibc.shutdown(socket, Int32(SHUT_WR))
}

/// The process behind a connected unix socket, as it was when it called connect(2) or listen(2)
/// (SO_PEERCRED, unix(7)).
public struct PeerCredentials: Hashable, Sendable {
  public let process: Int32
  public let user: UInt32
  public let group: UInt32

  /// Nil when the socket is not a connected unix socket.
  public init?(of socket: Int32) {
    var credentials = clinux_peer_credentials()
    guard clinux_peer_credentials_of(socket, &credentials) == 0, credentials.process > 0 else { return nil }
    process = credentials.process
    user = credentials.user
    group = credentials.group
  }
  /// All groups of the process at the other end, its own one included (SO_PEERGROUPS, Linux 4.13); only that one where
  /// the kernel doesn't tell the others.
  public func groups(of socket: Int32) -> Set<UInt32> {
    var found = [UInt32](repeating: 0, count: 64)
    while true {
      var length = socklen_t(found.count * MemoryLayout<UInt32>.size)
      let result = getsockopt(socket, SOL_SOCKET, Int32(clinux_SO_PEERGROUPS), &found, &length)
      let count = Int(length) / MemoryLayout<UInt32>.size
      if result == 0 { return Set(found.prefix(count)).union([group]) }
      // The length is what there would be.
      guard errno == ERANGE, count > found.count else { return [group] }
      found = [UInt32](repeating: 0, count: count)
    }
  }
}
