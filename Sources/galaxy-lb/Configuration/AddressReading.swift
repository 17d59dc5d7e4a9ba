import SystemCalls
import YAML

/// What an address is for; not every one suits both.
enum AddressRole: Sendable {
  case listener
  case upstream
}

extension Endpoint {
  /// Reads an address that somebody wrote at `origin`, and reports what is wrong with it.
  ///
  /// - Parameter folder: what a relative path of a unix socket is relative to; nil for the working directory.
  init?(
    reading text: String, as role: AddressRole, in folder: String? = nil, at origin: Origin,
    into diagnostics: inout Diagnostics
  ) {
    do throws(Malformed) {
      var endpoint = try Endpoint(parsing: text)
      if case .unix(let path) = endpoint, let folder {
        let resolved = resolve(path, in: folder)
        guard resolved.utf8.count <= Self.longestUnixPath else { throw .pathTooLong(resolved.utf8.count) }
        endpoint = .unix(path: resolved)
      }
      if role == .upstream, case .tcp(let host, let port) = endpoint {
        if host.isEmpty {
          diagnostics.error("'\(text)': an upstream needs a host (expected HOST:PORT)", at: origin)
          return nil
        }
        if port == 0 {
          diagnostics.error("'\(text)': an upstream needs a port from 1 to 65535", at: origin)
          return nil
        }
      }
      self = endpoint
    } catch {
      diagnostics.error("'\(text)': \(error)", at: origin)
      return nil
    }
  }

  /// True when both are the same socket. Names other than localhost are compared as they are written, without
  /// asking the resolver.
  func isSame(as other: Endpoint) -> Bool {
    switch (self, other) {
    case (.unix(let left), .unix(let right)): left == right
    case (.tcp(let left, let port), .tcp(let right, let otherPort)):
      port == otherPort && port != 0 && Self.isSameHost(left, right)
    default: false
    }
  }

  /// True when a connection to `upstream` would end at this listener: the proxy would talk to itself.
  func takesConnections(to upstream: Endpoint) -> Bool {
    if isSame(as: upstream) { return true }
    guard case .tcp(let host, let port) = self, case .tcp(let target, port) = upstream else { return false }
    return Self.everyAddress.contains(host) && Self.thisMachine.contains(target.lowercased())
  }

  private static let everyAddress: Set = ["", "0.0.0.0", "::"]
  private static let thisMachine: Set = ["localhost", "127.0.0.1", "::1", "0.0.0.0", "::"]

  private static func isSameHost(_ left: String, _ right: String) -> Bool {
    let left = left.lowercased()
    let right = right.lowercased()
    if left == "localhost" || right == "localhost" {
      let loopback = ["localhost", "127.0.0.1", "::1"]
      return loopback.contains(left) && loopback.contains(right)
    }
    if let left = IPAddress(left), let right = IPAddress(right) { return left == right }
    return left == right
  }
}

/// The path of a unix socket that somebody wrote at `origin`, with `unix:` in front or not; nil when it can't be
/// one, which is reported.
func socketPath(
  reading text: String, in folder: String? = nil, at origin: Origin, into diagnostics: inout Diagnostics
) -> String? {
  let address = text.hasPrefix("unix:") ? text : "unix:" + text
  let endpoint = Endpoint(reading: address, as: .listener, in: folder, at: origin, into: &diagnostics)
  guard case .unix(let path)? = endpoint else { return nil }
  return path
}

/// `path` as it is from the working directory, when it was written relative to `folder`.
func resolve(_ path: String, in folder: String?) -> String {
  guard let folder, !path.hasPrefix("/"), !folder.isEmpty, folder != "." else { return path }
  return folder.hasSuffix("/") ? folder + path : folder + "/" + path
}

/// The folder of a file, `.` when its path has none.
func folder(of path: String) -> String {
  guard let slash = path.lastIndex(of: "/") else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
