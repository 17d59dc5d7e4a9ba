import EventLoop
import Glibc
import UpstreamPool
import YAML

/// What the control socket sees and changes of the running proxy. Confined to the main thread.
final class ControlPlane {
  /// The configuration in force.
  var site: Site
  let census: Census
  /// How often a reload was done, and how often one was refused because of what it found.
  var reloads = 0
  var refusedReloads = 0
  /// True from the stop signal on.
  var isStopping = false
  /// Milliseconds of the monotonic clock.
  let startedAt: Int64
  /// The same moment on the system's clock.
  let startedTime: Timestamp
  let log: Log
  /// Called with the requests that users have lost, while it is set, and with how many more there were: a few hundred
  /// are told at a time.
  var onLostRequests: (([LostRequest], _ leftOut: Int) -> Void)? {
    didSet { census.lostRequests.isWatched = onLostRequests != nil }
  }
  /// The graceful restarts; set once, before anything is served.
  var restart: GracefulRestart!
  private let tellWorkers: (WorkerMessage) -> Void
  private let reloadConfiguration: () -> Bool

  /// - Parameters:
  ///   - tellWorkers: sends a message to every worker.
  ///   - reload: reads the configuration again; false when it can't be used.
  init(
    site: Site, census: Census, log: Log, tellWorkers: @escaping (WorkerMessage) -> Void,
    reload: @escaping () -> Bool
  ) {
    self.site = site
    self.census = census
    self.log = log
    self.tellWorkers = tellWorkers
    reloadConfiguration = reload
    startedAt = EventLoop.monotonicMilliseconds()
    startedTime = .now()
  }

  /// Requests were lost, on some loop.
  func takeLostRequests() {
    let (requests, leftOut) = census.lostRequests.takeAll()
    if !requests.isEmpty { onLostRequests?(requests, leftOut) }
  }

  /// Now, in milliseconds of the monotonic clock.
  var now: Int64 { EventLoop.monotonicMilliseconds() }

  /// All upstreams, in the order of the configuration.
  var upstreams: [(pool: Pool, upstream: Upstream)] {
    site.pools.flatMap { pool in pool.upstreams.map { (pool, $0) } }
  }

  /// The upstream of this name, or who there is instead.
  func upstream(_ name: String, in poolName: String) throws(ControlFailure) -> (
    pool: Pool, upstream: Upstream
  ) {
    guard let pool = site.pools.first(where: { $0.name == poolName }) else {
      throw Self.unknown("pool", poolName, "", among: site.pools.map(\.name))
    }
    guard let upstream = pool.upstreams.first(where: { $0.settings.name == name }) else {
      throw Self.unknown(
        "upstream", name, " in pool '\(poolName)'", among: pool.upstreams.map(\.settings.name))
    }
    return (pool, upstream)
  }

  private static func unknown(
    _ what: String, _ name: String, _ place: String, among names: [String]
  ) -> ControlFailure {
    let hint = nearest(name, in: names).map { " (did you mean '\($0)'?)" } ?? ""
    return ControlFailure(404, "no \(what) '\(name)'\(place)\(hint)")
  }

  /// Sets what is wanted of an upstream. When it takes no new work any more, its idle connections go at once.
  ///
  /// - Returns: what every loop passes when no choice that was made before can bring it work any more.
  @discardableResult
  func set(_ state: AdministrativeState, reason: String?, for upstream: Upstream, of pool: Pool)
    -> TurnBarrier
  {
    upstream.setAdministrative(state, reason: reason, now: now)
    guard state != .ready else { return TurnBarrier(loops: 0) }
    let barrier = TurnBarrier(loops: site.loops)
    tellWorkers(.closeKept(upstream, barrier))
    return barrier
  }

  // What follows reaches all that counts as work of the upstream, also what began before a reload of the
  // configuration.

  /// Ends the event streams of an upstream, each after the event that is under way: browsers come back for the next one.
  /// So ends what turns into one later.
  func endEventStreams(of upstream: Upstream, in pool: Pool) {
    log.info("event streams end", ["pool": pool.name, "upstream": upstream.settings.name])
    tellWorkers(.endEventStreams(upstream))
  }

  /// Closes the WebSockets of an upstream: both ends get a Close frame with code 1001, and may take their time to answer
  /// it. So ends a handshake that is under way.
  func closeTunnels(of upstream: Upstream, in pool: Pool) {
    log.info("tunnels are closed", ["pool": pool.name, "upstream": upstream.settings.name])
    tellWorkers(.closeTunnels(upstream))
  }

  /// Ends all that an upstream still has to do of this class. Whose answer has not begun gets an error, 504, or 503 when
  /// the request had not come to its end; other answers are cut so that the client sees it. What was not sent yet
  /// goes elsewhere.
  func cut(_ traffic: TrafficClass, of upstream: Upstream, in pool: Pool) {
    log.notice(
      "requests are cut", ["pool": pool.name, "upstream": upstream.settings.name, "class": traffic.name])
    tellWorkers(.cutTraffic(traffic, upstream))
  }

  func setWeight(_ weight: Int, of upstream: Upstream, in pool: Pool) {
    upstream.weight = weight
    log.notice(
      "upstream weight set", ["pool": pool.name, "upstream": upstream.settings.name, "weight": weight])
  }

  /// Gives it a part of its share, in per cent, 1 to 100, until it is given all of it again.
  func setShare(_ share: Int, of upstream: Upstream, in pool: Pool) {
    upstream.share = share
    log.info(
      "upstream share set", ["pool": pool.name, "upstream": upstream.settings.name, "share": upstream.share])
  }

  /// Reads the configuration again, as SIGHUP does. False when what was found can't be used.
  func reload() -> Bool { reloadConfiguration() }
}
