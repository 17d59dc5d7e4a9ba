import SystemCalls

/// Why a `bind` is no address that a proxy could connect to.
enum BindProblem: Error {
  case inheritedDescriptor
  case pathWithoutScheme(String)
  case anyPort
  case malformed(Endpoint.Malformed)
}

extension BindProblem: CustomStringConvertible {
  var description: String {
    switch self {
    case .inheritedDescriptor:
      "the address of an inherited descriptor is not known here, expected HOST:PORT or unix:PATH"
    case .pathWithoutScheme(let path): "gunicorn takes this for a host name, expected unix:\(path)"
    case .anyPort: "port 0 is another one after every start, expected a port from 1 to 65535"
    case .malformed(let malformed): "\(malformed)"
    }
  }
}

extension Endpoint {
  /// Where to connect to when gunicorn is told to bind to `text`, by the rules of gunicorn's `parse_address`: a
  /// host without a port means port 8000, and `tcp://` may stand before it.
  ///
  /// - Parameter folder: what a relative path of a socket is relative to.
  init(gunicornBind text: String, in folder: String) throws(BindProblem) {
    if text.hasPrefix("fd://") { throw .inheritedDescriptor }
    if text.hasPrefix("/") { throw .pathWithoutScheme(text) }
    do throws(Malformed) {
      self = try text.hasPrefix("unix:") ? Self.socket(text, in: folder) : Self.address(text)
    } catch {
      throw .malformed(error)
    }
    guard case .tcp(let host, let port) = self else { return }
    guard port != 0 else { throw .anyPort }
    // What is bound to every address is reached through loopback.
    switch host {
    case "", "0.0.0.0": self = .tcp(host: "127.0.0.1", port: port)
    case "::": self = .tcp(host: "::1", port: port)
    default: break
    }
  }

  private static func socket(_ text: String, in folder: String) throws(Malformed) -> Endpoint {
    var path = text.dropFirst("unix:".count)
    if path.hasPrefix("//") { path = path.dropFirst(2) }
    guard !path.isEmpty else { throw .emptyPath }
    return try Endpoint(parsing: "unix:" + join(folder, String(path)))
  }

  private static func address(_ text: String) throws(Malformed) -> Endpoint {
    guard !text.isEmpty else { throw .empty }
    let address = text.hasPrefix("tcp://") ? String(text.dropFirst("tcp://".count)) : text
    let hasPort = address.hasPrefix("[") ? !address.hasSuffix("]") : address.contains(":")
    return try Endpoint(parsing: hasPort ? address : address + ":8000")
  }
}
