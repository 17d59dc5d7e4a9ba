import GravityRestart
import YAML

/// What a `POST /v1/restart` asks for.
struct RestartRequest: Equatable, Sendable {
  /// `POOL/UPSTREAM`, each once; nil for everything that something is known to restart.
  var only: [String]?
  /// Nil as the configuration says.
  var maximumUnavailable: UpstreamQuantity?
  var startsStopped = false
  var allowsVersionSkew = false
  var isDryRun = false

  init(_ body: ControlBody) throws(ControlFailure) {
    try body.expectOnly(["only", "max_unavailable", "start_if_stopped", "allow_version_skew", "dry_run"])
    only = try body.texts("only")
    maximumUnavailable = try body.quantity("max_unavailable")
    startsStopped = try body.boolean("start_if_stopped") ?? false
    allowsVersionSkew = try body.boolean("allow_version_skew") ?? false
    isDryRun = try body.boolean("dry_run") ?? false
  }

  /// The pools that it is about, as they are configured and as they are now.
  ///
  /// - Parameters:
  ///   - absences: milliseconds that upstreams were away in the last restart, by pool.
  func subjects(
    of plane: ControlPlane, keptOut: KeptOutUpstreams, absences: [String: Int64]
  ) throws(ControlFailure) -> [RestartSubject] {
    var chosen: [String: [String]] = [:]
    for name in only ?? [] {
      // Neither name has a slash.
      let parts = name.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else {
        throw ControlFailure(400, "only: found '\(name)', expected POOL/UPSTREAM")
      }
      let (pool, upstream) = try plane.upstream(String(parts[1]), in: String(parts[0]))
      chosen[pool.name, default: []].append(upstream.settings.name)
    }
    let settings = plane.site.settings
    var subjects: [RestartSubject] = []
    for (pool, restart) in zip(settings.pools, settings.restarts) {
      if only != nil, chosen[pool.name] == nil { continue }
      var restart = restart
      restart.policy.startsStopped = startsStopped
      if allowsVersionSkew { restart.policy.readiness.allowsVersionSkew = true }
      if let maximumUnavailable { restart.policy.maximumUnavailable = maximumUnavailable }
      let members = pool.upstreams.map { upstream in
        RestartSubject.Member(
          name: upstream.name,
          probe: VersionProbe(
            endpoint: upstream.endpoint, path: pool.healthPath, expectedStatus: pool.health.expectedStatus))
      }
      subjects.append(
        RestartSubject(
          pool: pool.name, upstreams: members, restart: restart, only: chosen[pool.name],
          holdTime: pool.hold.time, absence: absences[pool.name],
          traffic: PoolTraffic(plane, pool: pool.name, names: members.map(\.name), keptOut: keptOut)))
    }
    // A pool that nothing restarts is left alone, unless there is no other, or somebody wants it restarted.
    let known = subjects.filter { $0.restart.services.contains { $0.manager != nil } }
    return only != nil || known.isEmpty ? subjects : known
  }
}
