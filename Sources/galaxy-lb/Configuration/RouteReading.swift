import SystemCalls
import YAML

/// Reads `routes`: a list of mappings with `host`, `path` and `pool`.
func readRoutes(_ node: Node, into diagnostics: inout Diagnostics) -> [Sourced<Route>] {
  let elements = node.sequence("routes", expecting: "a list of routes", into: &diagnostics) ?? []
  return elements.compactMap { readRoute($0, into: &diagnostics) }
}

let pathRule = "a path that starts with / and has no spaces, dot segments or empty segments"

private let hostRule = "a host name such as example.org, *.example.org, an IP address (IPv6 in brackets) or *"

private func readRoute(_ node: Node, into diagnostics: inout Diagnostics) -> Sourced<Route>? {
  guard let mapping = node.mapping("routes", known: ["host", "path", "pool"], into: &diagnostics) else {
    return nil
  }
  var route = Route(pool: "")
  var isGood = true
  if let value = mapping["host"], !value.isNull {
    let host = value.converted("routes.host", expecting: hostRule, into: &diagnostics) { Route.Host($0) }
    if let host { route.host = host } else { isGood = false }
  }
  if let value = mapping["path"], !value.isNull {
    let prefix = value.converted("routes.path", expecting: pathRule, into: &diagnostics) { pathPrefix($0) }
    if let prefix { route.pathPrefix = prefix } else { isGood = false }
  }
  guard let value = mapping["pool"], !value.isNull else {
    diagnostics.error("routes: a route without 'pool'", at: node.origin)
    return nil
  }
  guard let pool = value.text("routes.pool", expecting: "the name of a pool", into: &diagnostics), isGood
  else { return nil }
  route.pool = pool
  return Sourced(route, from: value.origin)
}

extension Route.Host {
  /// Reads `*`, `*.SUFFIX` or a host without port. Nil for anything else.
  init?(_ text: String) {
    var host = text.lowercased()
    if host.hasSuffix("."), host != "*." { host.removeLast() }
    if host == "*" {
      self = .any
    } else if host.hasPrefix("*.") {
      guard isHostName(host.dropFirst(2)) else { return nil }
      self = .endingIn(String(host.dropFirst()))
    } else if host.hasPrefix("["), host.hasSuffix("]") {
      guard let address = IPAddress(String(host.dropFirst().dropLast())), !address.isIPv4 else { return nil }
      self = .exactly("[\(address)]")
    } else {
      guard isHostName(host[...]) else { return nil }
      self = .exactly(host)
    }
  }
}

/// Labels of letters, digits, `-` and `_` (RFC 1123 2.1, and the underscore that local networks use).
private func isHostName(_ text: Substring) -> Bool {
  text.utf8.count <= 253
    && text.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      (1...63).contains(label.utf8.count)
        && label.utf8.allSatisfy { byte in
          switch byte {
          case 0x30...0x39, 0x61...0x7A, 0x2D, 0x5F: true
          default: false
          }
        }
    }
}

/// A path prefix without trailing `/`, empty for `/`; nil when it is none.
private func pathPrefix(_ text: String) -> String? {
  guard isPath(text, withQuery: false) else { return nil }
  return text.hasSuffix("/") ? String(text.dropLast()) : text
}

/// An absolute path in the characters that stand in a request target (RFC 3986 3.3). Requests are compared byte by
/// byte without normalising them, so a prefix with `..` or `//` would never match what it seems to.
func isPath(_ text: String, withQuery: Bool) -> Bool {
  let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
  guard let path = parts.first, path.hasPrefix("/"), withQuery || parts.count == 1 else { return false }
  let visible = text.utf8.allSatisfy { (0x21...0x7E).contains($0) && !"#\"<>\\^`{|}".utf8.contains($0) }
  let segments = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
  return visible && segments.dropLast().allSatisfy { !$0.isEmpty }
    && segments.allSatisfy { $0 != "." && $0 != ".." }
}
