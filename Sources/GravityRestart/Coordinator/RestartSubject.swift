import SystemCalls

/// A pool that is to be restarted: all that a restart has to know of it.
public struct RestartSubject {
  public var pool: String
  /// All upstreams of the pool, in its order.
  public var upstreams: [Member]
  public var restart: PoolRestart
  /// The names of those that are restarted, in their order; nil for all.
  public var only: [String]?
  /// Milliseconds that a request can wait for an upstream.
  public var holdTime: Int64
  /// Milliseconds that an upstream was away in the last restart; nil when it is not known.
  public var absence: Int64?
  public var traffic: any RestartedPool

  /// One upstream of the pool.
  public struct Member: Hashable, Sendable {
    public var name: String
    public var probe: VersionProbe

    public init(name: String, probe: VersionProbe) {
      self.name = name
      self.probe = probe
    }
  }

  /// - Precondition: as many upstreams as services in `restart`, at least one.
  public init(
    pool: String, upstreams: [Member], restart: PoolRestart, only: [String]? = nil, holdTime: Int64,
    absence: Int64? = nil, traffic: any RestartedPool
  ) {
    precondition(!upstreams.isEmpty && upstreams.count == restart.services.count)
    self.pool = pool
    self.upstreams = upstreams
    self.restart = restart
    self.only = only
    self.holdTime = holdTime
    self.absence = absence
    self.traffic = traffic
  }

  /// The pool as it is now, as the restart machine takes it.
  func plan(isDryRun: Bool) throws(RestartPlanError) -> RestartPlan {
    let planned = upstreams.indices.map { number in
      let service = restart.services[number]
      return PlannedUpstream(
        name: upstreams[number].name, method: service.method, isPreloaded: service.isPreloaded,
        restartTimeout: service.restartTimeout,
        standing: traffic.administration(of: number)?.standing ?? .withdrawn,
        liveness: traffic.liveness(of: number))
    }
    return try RestartPlan(
      upstreams: planned, only: only, policy: restart.policy, holdTime: holdTime, absence: absence,
      isDryRun: isDryRun)
  }

  func target(_ upstream: Int, process: Int32?) -> RestartTarget {
    RestartTarget(
      unit: restart.services[upstream].unit, pool: pool, upstream: upstreams[upstream].name,
      endpoint: upstreams[upstream].probe.endpoint, process: process)
  }
}
