import HTTP1

/// The routes in force, each with the place of its pool, most specific first.
struct RouteTable: Sendable {
  private struct Entry: Sendable {
    var host: Host
    var pathPrefix: [UInt8]
    var pool: Int
  }

  private enum Host: Sendable {
    case any
    case exactly([UInt8])
    case endingIn([UInt8])
  }

  private let entries: [Entry]
  /// The pool of every request when the only route asks for nothing.
  private let only: Int?

  /// - Parameters:
  ///   - routes: most specific first; each names a pool of `poolNames`.
  init(_ routes: [Route], poolNames: [String]) {
    entries = routes.compactMap { route in
      guard let pool = poolNames.firstIndex(of: route.pool) else { return nil }
      let host: Host =
        switch route.host {
        case .any: .any
        case .exactly(let name): .exactly(Array(name.utf8))
        case .endingIn(let suffix): .endingIn(Array(suffix.utf8))
        }
      return Entry(host: host, pathPrefix: Array(route.pathPrefix.utf8), pool: pool)
    }
    if let first = entries.first, entries.count == 1, case .any = first.host, first.pathPrefix.isEmpty {
      only = first.pool
    } else {
      only = nil
    }
  }

  /// The place of the pool that serves the request, nil when no route fits.
  func pool(for head: RequestHead, _ bytes: Span<UInt8>) -> Int? {
    if let only { return only }
    let host = head.authority.map { hostWithoutPort(bytes, $0) } ?? 0..<0
    return entries.first { fits($0, bytes, host: host, path: head.path) }?.pool
  }

  private func fits(_ entry: Entry, _ bytes: Span<UInt8>, host: Range<Int>, path: Range<Int>) -> Bool {
    switch entry.host {
    case .any: break
    case .exactly(let name):
      guard matches(bytes, host, name) else { return false }
    case .endingIn(let suffix):
      guard host.count > suffix.count, matches(bytes, host.suffix(suffix.count), suffix) else { return false }
    }
    let prefix = entry.pathPrefix
    guard path.count >= prefix.count else { return false }
    for offset in 0..<prefix.count where bytes[path.lowerBound + offset] != prefix[offset] { return false }
    if prefix.isEmpty || path.count == prefix.count { return true }
    let next = bytes[path.lowerBound + prefix.count]
    return next == 0x2F || next == 0x3F
  }

  /// ASCII case-insensitive (RFC 3986 3.2.2); `lowercase` is in lower case.
  private func matches(_ bytes: Span<UInt8>, _ range: Range<Int>, _ lowercase: [UInt8]) -> Bool {
    guard range.count == lowercase.count else { return false }
    for offset in 0..<range.count {
      let byte = bytes[range.lowerBound + offset]
      let folded = byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte
      if folded != lowercase[offset] { return false }
    }
    return true
  }

  private func hostWithoutPort(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
    var end = range.upperBound
    // An IPv6 literal has colons of its own, and ends in a bracket.
    while end > range.lowerBound, bytes[end - 1] >= 0x30, bytes[end - 1] <= 0x39 { end -= 1 }
    if end > range.lowerBound, bytes[end - 1] == 0x3A { end -= 1 } else { end = range.upperBound }
    // A name may end in the dot of the root (RFC 3986 3.2.2).
    if end > range.lowerBound, bytes[end - 1] == 0x2E { end -= 1 }
    return range.lowerBound..<end
  }
}
