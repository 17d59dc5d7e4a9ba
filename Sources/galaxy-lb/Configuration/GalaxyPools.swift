import GravityRestart
import UpstreamPool
import YAML

/// A `GalaxyReader` for this process: its environment, its user, its working directory.
func readGalaxyPools(
  _ named: [Sourced<String>], into diagnostics: inout Diagnostics
) -> (files: [Sourced<String>], pools: [ConfiguredPool]) {
  galaxyPools(named, in: .current(), into: &diagnostics)
}

/// Reads each Galaxy that `named`, or where galaxyctl looks, describes as a pool.
func galaxyPools(
  _ named: [Sourced<String>], in environment: GravityEnvironment, into diagnostics: inout Diagnostics
) -> (files: [Sourced<String>], pools: [ConfiguredPool]) {
  let reader = GravityReader(environment: environment)
  let files = named.isEmpty ? reader.discover() : named
  let instances = reader.instances(of: files, into: &diagnostics)
  // The reader warns of a Galaxy without an enabled gunicorn; there is nothing to send to.
  let pools = instances.filter { !$0.gunicorns.isEmpty }.map(ConfiguredPool.init)
  for pool in pools where !isName(pool.settings.name) {
    diagnostics.error(
      "instance_name: found '\(pool.settings.name)', expected \(nameRule) for the name of a pool",
      at: pool.origin)
  }
  return (files, pools)
}

extension ConfiguredPool {
  /// A Galaxy as a pool with the name of the instance, each of its gunicorns as an upstream.
  fileprivate init(_ galaxy: GalaxyInstance) {
    let services = galaxy.gunicorns.map(\.serviceName)
    let upstreams = galaxy.gunicorns.map { gunicorn in
      let isShared = services.count { $0 == gunicorn.serviceName } > 1
      return UpstreamSettings(
        name: isShared ? "\(gunicorn.serviceName)\(gunicorn.number)" : gunicorn.serviceName,
        endpoint: gunicorn.endpoint)
    }
    let manager = galaxy.processManager.value
    var settings = PoolSettings(
      name: galaxy.name.value, upstreams: upstreams, healthPath: galaxy.healthPath)
    // It is known to be a Galaxy: it answers at that path, and is back soon when it was restarted.
    settings.health.isProbed = true
    settings.hold.time = 30_000
    var restart = PoolRestart(
      services: galaxy.gunicorns.map { gunicorn in
        UpstreamService(
          manager: manager.serviceManager, unit: gunicorn.unit, isPreloaded: gunicorn.preload.value,
          restartTimeout: gunicorn.restartMilliseconds)
      })
    restart.versionSource = galaxy.versionSource
    self.init(
      settings: settings,
      restart: restart,
      origin: galaxy.name.origin.orWhole(galaxy.origin),
      details: galaxy.gunicorns.map { gunicorn in
        UpstreamDetails(
          origin: gunicorn.bind.origin.orWhole(gunicorn.origin),
          serviceOrigins: ServiceOrigins(
            manager: galaxy.processManager.origin.orWhole(galaxy.origin), preload: gunicorn.preload.origin,
            timeout: gunicorn.restartTimeout.origin))
      },
      urlPrefix: galaxy.urlPrefix.value,
      processManager: manager.place)
  }
}

extension GunicornService {
  /// Its `restart_timeout`, within what is allowed here.
  fileprivate var restartMilliseconds: Int64 {
    let allowed = PoolKey.restartTimeout
    return min(max(Int64(restartTimeout.value) * 1000, allowed.lowerBound), allowed.upperBound)
  }
}

extension Origin {
  /// The place of what a value belongs to, for a value that nobody wrote.
  fileprivate func orWhole(_ whole: Origin) -> Origin { self == .builtIn ? whole : self }
}

extension ProcessManager {
  /// What it is and where to reach it, for people.
  fileprivate var place: String {
    switch self {
    case .supervisor(_, let socket): "supervisor at \(socket)"
    case .systemd(let userMode, let folder): "systemd\(userMode ? " of the user" : ""), units in \(folder)"
    }
  }
}
