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

  public init(name: String, endpoint: Endpoint, weight: Int = 1, backup: Bool = false) {
    self.name = name
    self.endpoint = endpoint
    self.weight = weight
    self.backup = backup
  }
}

/// One pool as configured: upstreams that serve the same Galaxy.
public struct PoolSettings: Hashable, Sendable {
  /// The name, unique in the process: Gravity's instance name, or the key in galaxy-lb.yml.
  public var name: String
  public var upstreams: [UpstreamSettings]
  /// The path that a health probe asks for, Galaxy's `{prefix}/api/version`.
  public var healthPath: String

  public init(name: String, upstreams: [UpstreamSettings], healthPath: String = "/api/version") {
    self.name = name
    self.upstreams = upstreams
    self.healthPath = healthPath
  }
}
