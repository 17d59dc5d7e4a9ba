import GravityRestart
import SystemCalls
import UpstreamPool
import YAML

/// The effective configuration together with the place that decided each part of it.
struct Configuration: Sendable {
  var settings = Settings()
  /// The pools of `settings`, in the same order, with what only the configuration knows of them.
  var pools: [ConfiguredPool] = []
  /// What galaxy-lb.yml says for all pools.
  var poolOptions: [PoolOption] = []
  /// What it says for pools that it doesn't describe itself.
  var adjustments: [PoolAdjustment] = []
  /// The routes of `settings`, in the same order.
  var routes: [Sourced<Route>] = []
  /// Galaxy's configuration files that were read.
  var galaxyFiles: [Sourced<String>] = []
  /// Where a setting came from, by its key in galaxy-lb.yml (`timeouts.connect`). Those that aren't here have
  /// their default.
  var origins: [String: Origin] = [:]

  func origin(of key: String) -> Origin { origins[key] ?? .builtIn }
}

/// A pool with the places that its parts came from.
struct ConfiguredPool: Sendable {
  var settings: PoolSettings
  /// Its services are in the order of `settings.upstreams`.
  var restart: PoolRestart
  var origin: Origin
  /// For each upstream, in the order of `settings.upstreams`.
  var details: [UpstreamDetails]
  /// What galaxy-lb.yml says where it describes this pool.
  var options: [PoolOption] = []
  /// How those of its upstreams are restarted that don't say it themselves; nil when galaxy-lb.yml doesn't say.
  var service: ServiceSetting?
  /// Milliseconds from the order to restart until an upstream is ready, for those that have none of their own; nil
  /// for Gravity's.
  var restartTimeout: Int64?
  /// Where its settings came from, by the name of their `PoolKey`. Those that aren't here have their default.
  var origins: [String: Origin] = [:]
  /// `galaxy_url_prefix` without trailing `/`; nil for a pool that no Galaxy configuration describes.
  var urlPrefix: String?
  /// What restarts the upstreams and where it is, for people; nil when nothing is known to.
  var processManager: String?

  /// - Parameter restart: nil for upstreams that nothing is known to restart.
  init(
    settings: PoolSettings, restart: PoolRestart? = nil, origin: Origin, details: [UpstreamDetails],
    urlPrefix: String? = nil, processManager: String? = nil
  ) {
    self.settings = settings
    self.restart = restart ?? PoolRestart(services: settings.upstreams.map { UpstreamService(unit: $0.name) })
    self.origin = origin
    self.details = details
    self.urlPrefix = urlPrefix
    self.processManager = processManager
  }
}

/// What the configuration knows of an upstream besides how to reach it.
struct UpstreamDetails: Sendable {
  var origin: Origin
  /// True when nobody gave the upstream its name.
  var nameIsDerived = false
  /// Where its own `max_connections` stands; nil when that of the pool holds for it.
  var limitOrigin: Origin?
  /// How it is restarted, where galaxy-lb.yml says it for this one.
  var service: ServiceSetting?
  var serviceOrigins = ServiceOrigins()
}

/// The places that decided how an upstream is restarted.
struct ServiceOrigins: Sendable {
  var manager = Origin.builtIn
  var preload = Origin.builtIn
  var timeout = Origin.builtIn
}
