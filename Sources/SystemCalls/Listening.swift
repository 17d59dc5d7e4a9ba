import CLinux
import Glibc

/// Makes listening sockets and takes over those that were made by systemd.
public enum Listening {
  /// What a TCP listener is made with.
  public struct Options: Sendable {
    /// TCP_DEFER_ACCEPT: a connection is accepted when its first bytes are there (tcp(7)).
    public var deferAccept: Bool

    public init(deferAccept: Bool) { self.deferAccept = deferAccept }
  }

  /// Seconds after which a silent connection is accepted, or dropped, all the same (TCP_DEFER_ACCEPT).
  private static let deferralSeconds: Int32 = 5
  private static let backlog: Int32 = 4096
  private static let unixMode: mode_t = 0o660

  /// Makes `count` sockets on the same address: with SO_REUSEPORT for TCP, so that the kernel spreads connections;
  /// one socket and duplicates of it for a unix path. All are non-blocking. The caller owns the descriptors.
  ///
  /// An empty host is every address, of IPv6 and IPv4 where the system has both. Port 0 is a port that the system
  /// chooses. A unix socket that nobody listens on any more is replaced; its mode is 0660.
  public static func sockets(
    on endpoint: Endpoint, count: Int, options: Options
  ) throws -> [Int32] {
    switch endpoint {
    case .unix(let path): return try unixSockets(path, count: count)
    case .tcp(let host, let port):
      if host.isEmpty { return try socketsOnEveryAddress(port, count: count, options: options) }
      return try tcpSockets(try SocketAddress.resolve(endpoint), count: count, options: options)
    }
  }

  private static func socketsOnEveryAddress(_ port: UInt16, count: Int, options: Options) throws -> [Int32] {
    do {
      return try tcpSockets(
        SocketAddress(IPAddress(high: 0, low: 0), port: port), count: count, options: options)
    } catch {
      // A kernel without IPv6.
      guard error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL else { throw error }
      return try tcpSockets(SocketAddress(IPAddress(ipv4: 0), port: port), count: count, options: options)
    }
  }

  private static func tcpSockets(
    _ address: SocketAddress, count: Int, options: Options
  ) throws(SystemError) -> [Int32] {
    // With SO_REUSEPORT a second proxy of the same user would silently share the port. Without it the address
    // must be free.
    let probe = Descriptor(owning: try bound(address, sharesPort: false))
    guard let actual = SocketAddress(localAddressOf: probe.number) else { throw .last("getsockname") }
    _ = consume probe
    var result: [Int32] = []
    do {
      for _ in 0..<count {
        let number = try bound(actual, sharesPort: true)
        result.append(number)
        setOption(number, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        if options.deferAccept { setOption(number, Int32(IPPROTO_TCP), TCP_DEFER_ACCEPT, deferralSeconds) }
        try retryingInterrupts("listen") { listen(number, backlog) }
      }
    } catch {
      for number in result { _ = close(number) }
      throw error
    }
    return result
  }

  private static func bound(_ address: SocketAddress, sharesPort: Bool) throws(SystemError) -> Int32 {
    let socket = Descriptor(
      owning: try retryingInterrupts("socket") { Glibc.socket(address.family, nonBlockingStream, 0) })
    setOption(socket.number, SOL_SOCKET, SO_REUSEADDR, 1)
    if sharesPort { setOption(socket.number, SOL_SOCKET, Int32(clinux_SO_REUSEPORT), 1) }
    if address.family == AF_INET6 { setOption(socket.number, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
    let number = socket.number
    try retryingInterrupts("bind") { address.withPointer { bind(number, $0, $1) } }
    return socket.release()
  }

  /// Makes one socket on a unix path, as `sockets` does; EADDRINUSE when somebody listens there.
  public static func unixSocket(_ path: String) throws(SystemError) -> Int32 {
    try unixSockets(path, count: 1)[0]
  }

  private static func unixSockets(_ path: String, count: Int) throws(SystemError) -> [Int32] {
    let address = SocketAddress(unixPath: path)
    try removeStaleSocket(path, address)
    let socket = Descriptor(
      owning: try retryingInterrupts("socket") { Glibc.socket(AF_UNIX, nonBlockingStream, 0) })
    let number = socket.number
    // The mode must not be wider at any moment: Linux makes the file with the socket's own, less the umask(2), which
    // belongs to all threads and is left alone.
    try retryingInterrupts("fchmod") { fchmod(number, unixMode) }
    try retryingInterrupts("bind") { address.withPointer { bind(number, $0, $1) } }
    var result: [Int32] = []
    do {
      try retryingInterrupts("chmod") { chmod(path, unixMode) }
      try retryingInterrupts("listen") { listen(number, backlog) }
      for _ in 1..<max(count, 1) { result.append(try duplicate(number)) }
    } catch {
      for number in result { _ = close(number) }
      _ = unlink(path)
      throw error
    }
    result.append(socket.release())
    return result
  }

  /// Removes a socket that nobody listens on. One that somebody listens on stays, and bind(2) will say so.
  private static func removeStaleSocket(_ path: String, _ address: SocketAddress) throws(SystemError) {
    var status = stat()
    guard lstat(path, &status) == 0, clinux_is_socket(status.st_mode) != 0 else { return }
    switch connect(to: address) {
    case .connected(let number), .inProgress(let number): _ = close(number)
    case .busy: break
    case .failed(let error) where error.code == ECONNREFUSED: _ = unlink(path)
    case .failed(let error): throw error
    }
  }

  /// The sockets that systemd passes (sd_listen_fds(3)): none unless `LISTEN_PID` is this process. They are made
  /// non-blocking and close-on-exec; the environment variables are removed. Throws when one is no listening stream
  /// socket.
  public static func inherited() throws(SystemError) -> [Int32] {
    defer { for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { unsetenv(name) } }
    return try takeOver(
      passedSockets(
        process: getenv("LISTEN_PID").map { String(cString: $0) },
        count: getenv("LISTEN_FDS").map { String(cString: $0) }))
  }

  /// The descriptors that the values of `LISTEN_PID` and `LISTEN_FDS` speak of.
  static func passedSockets(process: String?, count: String?) -> Range<Int32> {
    let first: Int32 = 3
    guard let process = process.flatMap({ Int32($0) }), process == getpid(),
      let count = count.flatMap({ Int32($0) }), count > 0, count <= Int32.max - first
    else { return first..<first }
    return first..<first + count
  }

  static func takeOver(_ numbers: Range<Int32>) throws(SystemError) -> [Int32] {
    for number in numbers {
      guard try option(number, SO_ACCEPTCONN) != 0 else {
        throw SystemError(call: "getsockopt", code: ENOTCONN)
      }
      guard try option(number, SO_TYPE) == Int32(SOCK_STREAM.rawValue) else {
        throw SystemError(call: "getsockopt", code: EPROTOTYPE)
      }
      let flags = try retryingInterrupts("fcntl") { fcntl(number, F_GETFL, 0) }
      try retryingInterrupts("fcntl") { fcntl(number, F_SETFL, flags | O_NONBLOCK) }
      try retryingInterrupts("fcntl") { fcntl(number, F_SETFD, FD_CLOEXEC) }
    }
    return Array(numbers)
  }

  private static func option(_ socket: Int32, _ name: Int32) throws(SystemError) -> Int32 {
    var value: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    try retryingInterrupts("getsockopt") { getsockopt(socket, SOL_SOCKET, name, &value, &length) }
    return value
  }

  /// Another descriptor of the same listening socket, for another loop. The caller owns it.
  public static func duplicate(_ socket: Int32) throws(SystemError) -> Int32 {
    try retryingInterrupts("fcntl") { fcntl(socket, F_DUPFD_CLOEXEC, 0) }
  }

  /// Where a socket is bound, as text; for messages.
  public static func localAddress(of socket: Int32) -> String {
    SocketAddress(localAddressOf: socket).map { "\($0)" } ?? "?"
  }
}
