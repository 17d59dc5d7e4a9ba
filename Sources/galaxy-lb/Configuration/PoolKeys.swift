import GravityRestart
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
  var restart: RestartDraft

  init(_ settings: PoolSettings, restart: RestartDraft = RestartDraft()) {
    self.settings = settings
    self.restart = restart
    balance = BalanceWord(settings.balance)
  }
}

/// The rules of a pool's restart while they are still being put together.
struct RestartDraft: Hashable, Sendable {
  /// All of them but probation.
  var policy = RestartPolicy()
  var probation = ProbationRule()
  var hasProbation = true
  /// Milliseconds that one readiness probe may take.
  var probeTimeout: Int64 = 5_000
  /// Milliseconds from the order to restart until it is ready, of each upstream that has none of its own; nil for
  /// Gravity's.
  var timeout: Int64?

  init() {}

  init(_ pool: ConfiguredPool) {
    policy = pool.restart.policy
    probation = policy.probation ?? probation
    hasProbation = policy.probation != nil
    probeTimeout = pool.restart.probeTimeout
    timeout = pool.restartTimeout
  }

  var toleratedLatency: Int {
    get { Int(probation.toleratedLatency) }
    set { probation.toleratedLatency = Int64(newValue) }
  }
}

/// One key that galaxy-lb.yml has for all pools, at its top level, and for each pool.
struct PoolKey: Sendable {
  enum Field: Sendable {
    case balance
    case hashOn
    case maximumConnections
    case boolean(any WritableKeyPath<PoolDraft, Bool> & Sendable)
    /// Milliseconds.
    case duration(any WritableKeyPath<PoolDraft, Int64> & Sendable, ClosedRange<Int64>)
    /// Milliseconds; nil when nobody says any.
    case optionalDuration(any WritableKeyPath<PoolDraft, Int64?> & Sendable, ClosedRange<Int64>)
    case number(any WritableKeyPath<PoolDraft, Int> & Sendable, ClosedRange<Int>)
    /// Bytes.
    case size(any WritableKeyPath<PoolDraft, Int> & Sendable, ClosedRange<Int64>)
    case path(any WritableKeyPath<PoolDraft, String> & Sendable)
    case statuses(any WritableKeyPath<PoolDraft, ClosedRange<Int>> & Sendable)
    /// A number of upstreams in this range, or a part of them.
    case upstreams(any WritableKeyPath<PoolDraft, UpstreamQuantity> & Sendable, ClosedRange<Int>)
    /// Per cent, rising.
    case shares(any WritableKeyPath<PoolDraft, [Int]> & Sendable)
    /// A section that can be `off`; what is in it has keys of its own.
    case section(any WritableKeyPath<PoolDraft, Bool> & Sendable)
  }

  /// With its sections in front: `health.interval`, `restart.drain.upload`.
  let name: String
  let field: Field

  static let all =
    [
      PoolKey(name: "balance", field: .balance),
      PoolKey(name: "hash_on", field: .hashOn),
      PoolKey(name: "slow_start", field: .duration(\.settings.slowStart, 0...hour)),
      PoolKey(name: "max_connections", field: .maximumConnections),
      PoolKey(name: "health.probe", field: .boolean(\.settings.health.isProbed)),
      PoolKey(name: "health.path", field: .path(\.settings.healthPath)),
      PoolKey(name: "health.expected_status", field: .statuses(\.settings.health.expectedStatus)),
      PoolKey(name: "health.interval", field: .duration(\.settings.health.interval, 100...hour)),
      PoolKey(
        name: "health.interval_when_down", field: .duration(\.settings.health.intervalWhenDown, 50...hour)),
      PoolKey(name: "health.timeout", field: .duration(\.settings.health.timeout, 10...600_000)),
      PoolKey(name: "health.rise", field: .number(\.settings.health.rise, 1...100)),
      PoolKey(name: "health.fall", field: .number(\.settings.health.fall, 1...100)),
      PoolKey(name: "hold.time", field: .duration(\.settings.hold.time, 0...hour)),
      PoolKey(name: "hold.requests", field: .number(\.settings.hold.maximumRequests, 0...1_000_000)),
      PoolKey(name: "hold.bytes", field: .size(\.settings.hold.maximumBytes, 65_536...(1 << 40))),
    ] + restart

  private static let restart = [
    PoolKey(
      name: "restart.max_unavailable",
      field: .upstreams(\.restart.policy.maximumUnavailable, 1...UpstreamSet.capacity)),
    PoolKey(
      name: "restart.min_available",
      field: .upstreams(\.restart.policy.minimumAvailable, 0...UpstreamSet.capacity)),
    PoolKey(name: "restart.capacity_wait", field: .duration(\.restart.policy.capacityWait, 0...day)),
    PoolKey(
      name: "restart.preflight_timeout", field: .duration(\.restart.policy.preflightTimeout, 1000...hour)),
    PoolKey(name: "restart.timeout", field: .optionalDuration(\.restart.timeout, restartTimeout)),
    PoolKey(name: "restart.drain.ordinary", field: .duration(\.restart.policy.budgets.ordinary, 0...day)),
    PoolKey(name: "restart.drain.upload", field: .duration(\.restart.policy.budgets.upload, 0...day)),
    PoolKey(name: "restart.drain.download", field: .duration(\.restart.policy.budgets.download, 0...day)),
    PoolKey(
      name: "restart.drain.event_stream", field: .duration(\.restart.policy.budgets.eventStream, 0...day)),
    PoolKey(name: "restart.drain.tunnel", field: .duration(\.restart.policy.budgets.tunnel, 0...day)),
    PoolKey(
      name: "restart.drain.tunnel_closing", field: .duration(\.restart.policy.budgets.tunnelClosing, 0...day)),
    PoolKey(name: "restart.ready.successes", field: .number(\.restart.policy.readiness.successes, 1...100)),
    PoolKey(
      name: "restart.ready.interval", field: .duration(\.restart.policy.readiness.interval, 10...60_000)),
    PoolKey(name: "restart.ready.timeout", field: .duration(\.restart.probeTimeout, 10...600_000)),
    PoolKey(name: "restart.probation", field: .section(\.restart.hasProbation)),
    PoolKey(name: "restart.probation.shares", field: .shares(\.restart.probation.shares)),
    PoolKey(name: "restart.probation.duration", field: .duration(\.restart.probation.duration, 0...hour)),
    PoolKey(
      name: "restart.probation.longest_duration",
      field: .duration(\.restart.probation.longestDuration, 0...hour)),
    PoolKey(
      name: "restart.probation.minimum_requests",
      field: .number(\.restart.probation.minimumRequests, 1...1_000_000)),
    PoolKey(
      name: "restart.probation.tolerated_errors", field: .number(\.restart.probation.toleratedErrors, 0...100)
    ),
    PoolKey(
      name: "restart.probation.tolerated_latency", field: .number(\.restart.toleratedLatency, 100...10_000)),
    PoolKey(
      name: "restart.probation.latency_margin", field: .duration(\.restart.probation.latencyMargin, 0...hour)
    ),
  ]

  private static let hour: Int64 = 3_600_000
  private static let day = 24 * hour

  /// Milliseconds from the order to restart until the upstream is ready.
  static let restartTimeout = 1000...day

  static func named(_ name: String) -> PoolKey? { all.first { $0.name == name } }

  /// The keys and sections that stand in the mapping of a section, each once.
  static func names(in section: String) -> [String] {
    all.filter { $0.name.hasPrefix(section + ".") }.reduce(into: [String]()) { names, key in
      let name = String(key.name.dropFirst(section.utf8.count + 1).prefix { $0 != "." })
      if !names.contains(name) { names.append(name) }
    }
  }

  /// The keys and sections as they stand in a mapping, each once.
  static let sections = all.map(\.section).reduce(into: [String]()) { sections, name in
    if !sections.contains(name) { sections.append(name) }
  }

  static let maximumConnections = 1...1_000_000
  /// Final statuses (RFC 9110 15).
  static let statuses = 200...599

  /// What stands in front of the dot, or the whole name.
  var section: String { String(name.prefix { $0 != "." }) }

  /// The name inside its section (`interval`, `drain.upload`); nil when it is in none.
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
