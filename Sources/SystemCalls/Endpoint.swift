import Glibc

/// Where something listens, as an administrator writes it: a path of a unix socket, or a host and a port.
public enum Endpoint: Hashable, Sendable {
  /// A unix stream socket by its path in the file system.
  case unix(path: String)
  /// A host name or address (IPv6 without brackets) and a port. An empty host means every address.
  case tcp(host: String, port: UInt16)

  /// The longest path that fits `sun_path` with its terminating zero (unix(7)).
  public static let longestUnixPath = 107

  /// Why a text is not an endpoint.
  public enum Malformed: Error, Equatable, Sendable {
    case empty
    case emptyPath
    /// The path has so many bytes, more than `longestUnixPath`.
    case pathTooLong(Int)
    case missingPort
    case badPort(String)
    case badHost(String)
  }

  /// Reads `unix:PATH`, `unix://PATH`, `HOST:PORT`, `[IPV6]:PORT` and `:PORT`.
  public init(parsing text: String) throws(Malformed) {
    guard !text.isEmpty else { throw .empty }
    if text.hasPrefix("unix:") {
      var path = text.dropFirst("unix:".count)
      if path.hasPrefix("//") { path = path.dropFirst(2) }
      guard !path.isEmpty else { throw .emptyPath }
      guard path.utf8.count <= Self.longestUnixPath else { throw .pathTooLong(path.utf8.count) }
      self = .unix(path: String(path))
      return
    }
    guard let colon = text.lastIndex(of: ":") else { throw .missingPort }
    var host = text[..<colon]
    let digits = text[text.index(after: colon)...]
    if host.hasPrefix("[") {
      guard host.hasSuffix("]") else { throw .missingPort }
      host = host.dropFirst().dropLast()
      guard let address = IPAddress(String(host)), !address.isIPv4 else { throw .badHost(String(host)) }
    } else if host.contains(":") {
      throw .badHost(String(host))
    }
    guard !digits.isEmpty else { throw .missingPort }
    guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits) else {
      throw .badPort(String(digits))
    }
    let allowed = host.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x3A: true
      default: false
      }
    }
    guard allowed else { throw .badHost(String(host)) }
    self = .tcp(host: String(host), port: port)
  }
}

extension Endpoint: CustomStringConvertible {
  public var description: String {
    switch self {
    case .unix(let path): "unix:\(path)"
    case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
  }
}

extension Endpoint.Malformed: CustomStringConvertible {
  public var description: String {
    switch self {
    case .empty: "the address is empty"
    case .emptyPath: "no path follows 'unix:'"
    case .pathTooLong(let count):
      "the socket's path has \(count) bytes, the system's limit is \(Endpoint.longestUnixPath)"
    case .missingPort: "no port (expected HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH)"
    case .badPort(let text): "'\(text)' is not a port (0 to 65535)"
    case .badHost(let text): "'\(text)' is not a host name or address (IPv6 goes in brackets)"
    }
  }
}
