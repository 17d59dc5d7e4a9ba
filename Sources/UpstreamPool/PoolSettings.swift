import SystemCalls

/// One upstream as configured: where it listens and how much it takes.
public struct UpstreamSettings: Hashable, Sendable {
  /// The name that status, log and control verbs use; unique within its pool.
  public var name: String
  /// Where its gunicorn listens.
  public var endpoint: Endpoint
  /// Its share of the traffic beside the others of the pool, 1 to 1000.
  public var weight: Int
  /// True when it gets traffic only while no other upstream of the pool is eligible.
  public var backup: Bool
  /// So many requests at a time; more wait in the proxy, where they can still go elsewhere. Nil for no limit.
  public var maximumConnections: Int?

  public init(
    name: String, endpoint: Endpoint, weight: Int = 1, backup: Bool = false, maximumConnections: Int? = nil
  ) {
    self.name = name
    self.endpoint = endpoint
    self.weight = weight
    self.backup = backup
    self.maximumConnections = maximumConnections
  }
}

/// One pool as configured: upstreams that serve the same Galaxy.
public struct PoolSettings: Hashable, Sendable {
  /// The name, unique in the process: Gravity's instance name, or the key in galaxy-lb.yml.
  public var name: String
  public var upstreams: [UpstreamSettings]
  public var balance = BalancingAlgorithm.leastConnections
  /// Milliseconds over which an upstream that came back gets its full share; 0 for at once.
  public var slowStart: Int64 = 0
  /// The path that a health probe asks for, Galaxy's `{prefix}/api/version`.
  public var healthPath: String
  public var health = HealthSettings()
  public var hold = HoldSettings()

  public init(name: String, upstreams: [UpstreamSettings], healthPath: String = "/api/version") {
    self.name = name
    self.upstreams = upstreams
    self.healthPath = healthPath
  }
}

/// How the upstream of a request is chosen.
public enum BalancingAlgorithm: Hashable, Sendable {
  /// The fewest requests in flight for its weight; ties take turns.
  case leastConnections
  /// In turn, by weight, smoothly.
  case roundRobin
  /// The better of two that are drawn by weight (Mitzenmacher 2001).
  case randomTwo
  /// The same key to the same upstream, as long as that has no more than its share.
  case hash(HashKey)
}

/// What of a request is hashed.
public enum HashKey: Hashable, Sendable {
  case clientAddress
  /// A field by its lower-case name.
  case header(String)
  /// A cookie by its name (RFC 6265 4.2).
  case cookie(String)
}

/// How the proxy finds out whether an upstream works. Durations in milliseconds.
public struct HealthSettings: Hashable, Sendable {
  /// Whether the proxy asks by requests of its own for `PoolSettings.healthPath`. Without, only traffic tells.
  public var isProbed = false
  /// Statuses that are a good answer to a probe.
  public var expectedStatus = 200...299
  /// Between two probes of an upstream that is up; give or take a fifth.
  public var interval: Int64 = 2_000
  /// Between two probes of one that is not up.
  public var intervalWhenDown: Int64 = 250
  /// Until a probe has failed.
  public var timeout: Int64 = 5_000
  /// So many good answers in a row bring it up.
  public var rise = 1
  /// So many failures in a row, of probes or of traffic, take it down. A refused connection does so alone.
  public var fall = 2

  public init() {}
}

/// Requests that wait while no upstream is eligible but one is expected back.
public struct HoldSettings: Hashable, Sendable {
  /// Milliseconds that a request waits at most, and that an upstream may be down and still be expected back. 0 holds
  /// none.
  public var time: Int64 = 0
  /// So many at a time, over all loops.
  public var maximumRequests = 10_000
  /// So many bytes of their heads, and of what came with these.
  public var maximumBytes = 64 * 1024 * 1024

  public init() {}
}
