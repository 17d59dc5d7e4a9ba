import CLinux
import Glibc

/// A socket address as the kernel takes it: `sockaddr_un`, `sockaddr_in` or `sockaddr_in6`, with its length.
public struct SocketAddress: @unchecked Sendable {
  // Unchecked because imported C structures carry no conformance; it is plain memory.
  private var storage: sockaddr_storage
  private let length: socklen_t

  /// The address of a unix stream socket. The path must have at most `Endpoint.longestUnixPath` bytes.
  public init(unixPath path: String) {
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    precondition(path.utf8.count <= Endpoint.longestUnixPath)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    self.init(copying: &address, length: socklen_t(MemoryLayout<sockaddr_un>.size))
  }

  /// An IPv4 or IPv6 address and a port.
  public init(_ address: IPAddress, port: UInt16) {
    if address.isIPv4 {
      var four = sockaddr_in()
      four.sin_family = sa_family_t(AF_INET)
      four.sin_port = port.bigEndian
      four.sin_addr.s_addr = UInt32(truncatingIfNeeded: address.low).bigEndian
      self.init(copying: &four, length: socklen_t(MemoryLayout<sockaddr_in>.size))
    } else {
      var six = sockaddr_in6()
      six.sin6_family = sa_family_t(AF_INET6)
      six.sin6_port = port.bigEndian
      withUnsafeMutableBytes(of: &six.sin6_addr) {
        $0.storeBytes(of: address.high.bigEndian, as: UInt64.self)
        $0.storeBytes(of: address.low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      self.init(copying: &six, length: socklen_t(MemoryLayout<sockaddr_in6>.size))
    }
  }

  private init<Address>(copying address: inout Address, length: socklen_t) {
    storage = sockaddr_storage()
    self.length = length
    withUnsafeMutableBytes(of: &storage) { target in
      withUnsafeBytes(of: &address) { target.copyMemory(from: $0) }
    }
  }

  /// Looks the endpoint up (getaddrinfo(3), which may block and ask the resolver). Of several answers IPv4 comes
  /// first, because gunicorn binds names to IPv4.
  public static func resolve(_ endpoint: Endpoint) throws(ResolutionFailure) -> SocketAddress {
    switch endpoint {
    case .unix(let path): return SocketAddress(unixPath: path)
    case .tcp(let host, let port):
      if let address = IPAddress(host) { return SocketAddress(address, port: port) }
      return SocketAddress(try lookUp(host), port: port)
    }
  }

  private static func lookUp(_ host: String) throws(ResolutionFailure) -> IPAddress {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, nil, &hints, &list)
    guard code == 0 else {
      throw ResolutionFailure(host: host, reason: String(cString: gai_strerror(code)))
    }
    defer { freeaddrinfo(list) }
    var first: IPAddress?
    var next = list
    while let entry = next {
      if let (address, _) = SocketAddress.peer(UnsafeRawPointer(entry.pointee.ai_addr)) {
        if address.isIPv4 { return address }
        if first == nil { first = address }
      }
      next = entry.pointee.ai_next
    }
    guard let first else { throw ResolutionFailure(host: host, reason: "no IPv4 or IPv6 address") }
    return first
  }

  /// Where a socket is bound (getsockname(2)); nil when it is no socket.
  init?(localAddressOf socket: Int32) {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket, $0, &length) }
    }
    guard result == 0 else { return nil }
    self.storage = storage
    self.length = length
  }

  /// AF_UNIX, AF_INET or AF_INET6.
  public var family: Int32 { Int32(storage.ss_family) }

  /// Lends the address in the form that bind(2) and connect(2) take.
  public func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    withUnsafePointer(to: storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
    }
  }

  /// The internet address and port behind a kernel-filled `sockaddr`; nil for other families.
  static func peer(_ address: UnsafeRawPointer) -> (address: IPAddress, port: UInt16)? {
    switch Int32(address.loadUnaligned(as: sa_family_t.self)) {
    case AF_INET:
      let four = address.loadUnaligned(as: sockaddr_in.self)
      return (IPAddress(ipv4: UInt32(bigEndian: four.sin_addr.s_addr)), UInt16(bigEndian: four.sin_port))
    case AF_INET6:
      let six = address.loadUnaligned(as: sockaddr_in6.self)
      return (IPAddress(six.sin6_addr), UInt16(bigEndian: six.sin6_port))
    default: return nil
    }
  }
}

extension SocketAddress: CustomStringConvertible {
  /// As `Endpoint` is written.
  public var description: String {
    if family == AF_UNIX {
      return withUnsafeBytes(of: storage) { bytes in
        let path = bytes[MemoryLayout<sa_family_t>.size..<max(MemoryLayout<sa_family_t>.size, Int(length))]
        return "unix:" + String(decoding: path.prefix { $0 != 0 }, as: UTF8.self)
      }
    }
    let peer = withUnsafePointer(to: storage) { Self.peer(UnsafeRawPointer($0)) }
    guard let (address, port) = peer else { return "?" }
    return address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
  }
}

/// A host name that could not be looked up.
public struct ResolutionFailure: Error, Sendable, CustomStringConvertible {
  public let host: String
  public let reason: String

  public var description: String { "cannot look up '\(host)': \(reason)" }
}
