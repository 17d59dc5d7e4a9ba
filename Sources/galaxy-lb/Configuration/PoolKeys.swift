import UpstreamPool

/// The words of `balance`.
enum BalanceWord: String, Sendable, CaseIterable {
  case leastConnections = "least-connections"
  case roundRobin = "round-robin"
  case randomTwo = "random-two"
  case hash

  init(_ algorithm: BalancingAlgorithm) {
    switch algorithm {
    case .leastConnections: self = .leastConnections
    case .roundRobin: self = .roundRobin
    case .randomTwo: self = .randomTwo
    case .hash: self = .hash
    }
  }
}

/// A pool while what decides its settings is still being put together.
struct PoolDraft {
  var settings: PoolSettings
  var balance: BalanceWord
  /// What is hashed, if something is.
  var hashOn = HashKey.clientAddress
  /// Of each upstream that has no limit of its own.
  var maximumConnections: Int?

  init(_ settings: PoolSettings) {
    self.settings = settings
    balance = BalanceWord(settings.balance)
  }
}

/// One key that galaxy-lb.yml has for all pools, at its top level, and for each pool.
struct PoolKey: Sendable {
  enum Field: Sendable {
    case balance
    case hashOn
    case maximumConnections
    case boolean(any WritableKeyPath<PoolSettings, Bool> & Sendable)
    /// Milliseconds.
    case duration(any WritableKeyPath<PoolSettings, Int64> & Sendable, ClosedRange<Int64>)
    case number(any WritableKeyPath<PoolSettings, Int> & Sendable, ClosedRange<Int>)
    /// Bytes.
    case size(any WritableKeyPath<PoolSettings, Int> & Sendable, ClosedRange<Int64>)
    case path(any WritableKeyPath<PoolSettings, String> & Sendable)
    case statuses(any WritableKeyPath<PoolSettings, ClosedRange<Int>> & Sendable)
  }

  /// With its section in front: `health.interval`.
  let name: String
  let field: Field

  static let all = [
    PoolKey(name: "balance", field: .balance),
    PoolKey(name: "hash_on", field: .hashOn),
    PoolKey(name: "slow_start", field: .duration(\.slowStart, 0...3_600_000)),
    PoolKey(name: "max_connections", field: .maximumConnections),
    PoolKey(name: "health.probe", field: .boolean(\.health.isProbed)),
    PoolKey(name: "health.path", field: .path(\.healthPath)),
    PoolKey(name: "health.expected_status", field: .statuses(\.health.expectedStatus)),
    PoolKey(name: "health.interval", field: .duration(\.health.interval, 100...3_600_000)),
    PoolKey(name: "health.interval_when_down", field: .duration(\.health.intervalWhenDown, 50...3_600_000)),
    PoolKey(name: "health.timeout", field: .duration(\.health.timeout, 10...600_000)),
    PoolKey(name: "health.rise", field: .number(\.health.rise, 1...100)),
    PoolKey(name: "health.fall", field: .number(\.health.fall, 1...100)),
    PoolKey(name: "hold.time", field: .duration(\.hold.time, 0...3_600_000)),
    PoolKey(name: "hold.requests", field: .number(\.hold.maximumRequests, 0...1_000_000)),
    PoolKey(name: "hold.bytes", field: .size(\.hold.maximumBytes, 65_536...(1 << 40))),
  ]

  /// The keys and sections as they stand in a mapping, each once.
  static let sections = all.map(\.section).reduce(into: [String]()) { sections, name in
    if !sections.contains(name) { sections.append(name) }
  }

  static let maximumConnections = 1...1_000_000
  /// Final statuses (RFC 9110 15).
  static let statuses = 200...599

  /// What stands in front of the dot, or the whole name.
  var section: String { String(name.prefix { $0 != "." }) }

  /// The name inside its section; nil when it is in none.
  var nameInSection: String? {
    section == name ? nil : String(name.dropFirst(section.count + 1))
  }
}

extension HashKey {
  /// Reads the value of `hash_on`.
  init?(_ text: String) {
    let words = text.split(separator: " ")
    switch (words.first, words.count) {
    case ("client-address", 1): self = .clientAddress
    case ("header", 2) where isToken(String(words[1])): self = .header(words[1].lowercased())
    // The name of a cookie is a token, too (RFC 6265 4.1.1), but its case matters.
    case ("cookie", 2) where isToken(String(words[1])): self = .cookie(String(words[1]))
    default: return nil
    }
  }

  /// What reads as this key.
  var text: String {
    switch self {
    case .clientAddress: "client-address"
    case .header(let name): "header \(name)"
    case .cookie(let name): "cookie \(name)"
    }
  }
}
