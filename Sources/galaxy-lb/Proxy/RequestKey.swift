import HTTP1
import SystemCalls
import UpstreamPool

/// What `balance: hash` tells the requests of a pool apart by, with names as the bytes that they are compared with.
enum RequestKey: Equatable, Sendable {
  case clientAddress
  /// In lower case.
  case header([UInt8])
  case cookie([UInt8])

  /// Nil for an algorithm that doesn't hash.
  init?(_ algorithm: BalancingAlgorithm) {
    guard case .hash(let key) = algorithm else { return nil }
    switch key {
    case .clientAddress: self = .clientAddress
    case .header(let name): self = .header(Array(name.utf8))
    case .cookie(let name): self = .cookie(Array(name.utf8))
    }
  }

  /// The hash of this request's key, nil when it has none: no such field or cookie, an empty one, or a client of whom no
  /// address is known.
  func hash(
    _ head: RequestHead, _ bytes: Span<UInt8>, from peer: Peer, trusting proxies: TrustedProxies
  ) -> UInt64? {
    switch self {
    case .header(let name): head.value(ofFieldNamed: name, in: bytes).flatMap { hash(bytes, $0) }
    case .cookie(let name): head.value(ofCookieNamed: name, in: bytes).flatMap { hash(bytes, $0) }
    case .clientAddress: hashOfClient(head, bytes, from: peer, trusting: proxies)
    }
  }

  /// The client is the peer, unless that is a trusted proxy: then it is the last one in X-Forwarded-For (or, without
  /// that, in Forwarded) that is no trusted proxy. What stands in front of it is only what that client says.
  private func hashOfClient(
    _ head: RequestHead, _ bytes: Span<UInt8>, from peer: Peer, trusting proxies: TrustedProxies
  ) -> UInt64? {
    guard proxies.includes(peer) else { return peer.address.map(hash) }
    var client: Client?
    func take(_ element: Range<Int>) -> Bool {
      let next = Client(bytes, element)
      client = next
      if case .address(let address) = next { return proxies.includes(address) }
      return false
    }
    head.forEachElementFromLast(of: .xForwardedFor, in: bytes, take)
    if client == nil {
      var standard = ForwardedElements()
      for value in head.values(of: .forwarded) { standard.read(bytes, value) }
      for element in standard.clients.reversed() where !take(element) { break }
    }
    switch client {
    case nil: return peer.address.map(hash)
    case .address(let address): return hash(address)
    case .other(let name): return hash(bytes, name)
    }
  }

  /// Whom an element of X-Forwarded-For names.
  private enum Client {
    case address(IPAddress)
    /// `unknown`, or a name that a proxy has made up.
    case other(Range<Int>)

    init(_ bytes: Span<UInt8>, _ element: Range<Int>) {
      self = Self.address(bytes, element).map(Self.address) ?? .other(element)
    }

    /// An address as it is; some proxies put brackets around it, or its port behind it, which changes with every
    /// connection.
    private static func address(_ bytes: Span<UInt8>, _ element: Range<Int>) -> IPAddress? {
      if let address = read(bytes, element) { return address }
      if bytes[element.lowerBound] == 0x5B {
        guard let bracket = element.first(where: { bytes[$0] == 0x5D }) else { return nil }
        return read(bytes, element.lowerBound + 1..<bracket)
      }
      guard let colon = element.first(where: { bytes[$0] == 0x3A }) else { return nil }
      return read(bytes, element.lowerBound..<colon)
    }

    private static func read(_ bytes: Span<UInt8>, _ range: Range<Int>) -> IPAddress? {
      bytes.extracting(range).withUnsafeBytes { IPAddress(text: $0) }
    }
  }

  private func hash(_ address: IPAddress) -> UInt64 {
    var hash = KeyHash()
    hash.add(address.high)
    hash.add(address.low)
    return hash.value
  }

  private func hash(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt64? {
    guard !range.isEmpty else { return nil }
    var hash = KeyHash()
    for index in range { hash.add(bytes[index]) }
    return hash.value
  }
}
