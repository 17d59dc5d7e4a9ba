import EventLoop
import HTTP1
import Synchronization
import SystemCalls
import UpstreamPool

/// The configuration in force, compiled for the loops: immutable, shared, and swapped as a whole by a reload.
final class Site: Sendable {
  let settings: Settings
  /// The number of event loops, which no reload changes.
  let loops: Int
  let pools: [Pool]
  let routes: RouteTable
  let requestLimits: HeadLimits
  let responseLimits: HeadLimits
  let classifier: FieldNameClassifier

  /// Looks all upstream addresses up.
  ///
  /// - Parameters:
  ///   - previous: the configuration before a reload. Pools that have not changed are taken over; of the others what
  ///     is known about upstreams that keep their name and address.
  init(_ settings: Settings, replacing previous: Site? = nil, log: Log) throws(ResolutionFailure) {
    self.settings = settings
    loops = previous?.loops ?? settings.threads
    var pools: [Pool] = []
    for pool in settings.pools {
      if let known = previous?.pools.first(where: { $0.settings == pool }) {
        pools.append(known)
      } else {
        pools.append(try Self.makePool(pool, loops: loops, replacing: previous, log: log))
      }
    }
    self.pools = pools
    (routes, requestLimits, responseLimits, classifier) = Self.compile(settings, pools)
  }

  /// The same site, for one loop to look things up in: with memory of its own, because each look counts references; see
  /// `LocalUpstream`.
  init(forOneLoop shared: Site) {
    var settings = shared.settings
    settings.trustedProxies.blocks = settings.trustedProxies.blocks.map { $0 }
    self.settings = settings
    loops = shared.loops
    pools = shared.pools
    (routes, requestLimits, responseLimits, classifier) = Self.compile(settings, pools)
  }

  private static func compile(
    _ settings: Settings, _ pools: [Pool]
  ) -> (RouteTable, HeadLimits, HeadLimits, FieldNameClassifier) {
    let limits = settings.limits
    return (
      RouteTable(settings.routes, poolNames: pools.map(\.name)),
      HeadLimits(line: limits.requestLine, head: limits.requestHead, fields: limits.fields),
      HeadLimits(line: limits.responseHead, head: limits.responseHead, fields: limits.fields),
      FieldNameClassifier(identityNames: settings.identityHeaders.map { Array($0.utf8) })
    )
  }

  private static func makePool(
    _ settings: PoolSettings, loops: Int, replacing previous: Site?, log: Log
  ) throws(ResolutionFailure) -> Pool {
    let owner = WeakPool()
    var upstreams: [Upstream] = []
    for (index, upstream) in settings.upstreams.enumerated() {
      let address = try SocketAddress.resolve(upstream.endpoint)
      upstreams.append(
        Upstream(
          upstream, health: settings.health, index: index, address: address, loops: loops,
          now: EventLoop.monotonicMilliseconds(),
          replacing: previous?.upstream(like: upstream, preferring: settings.name)
        ) { upstream, event in
          log.note(event, of: upstream, in: settings.name)
          if upstream.state.isEligible { owner.pool?.admitWaiting() }
        })
    }
    let pool = Pool(settings, upstreams: upstreams)
    owner.pool = pool
    return pool
  }

  /// The upstream with this name and address, in the pool of that name if there is one, else in any.
  private func upstream(like wanted: UpstreamSettings, preferring pool: String) -> Upstream? {
    let same = pools.flatMap { candidate in
      candidate.upstreams.filter {
        $0.settings.name == wanted.name && $0.settings.endpoint == wanted.endpoint
      }
      .map { (pool: candidate.name, upstream: $0) }
    }
    return (same.first { $0.pool == pool } ?? same.first)?.upstream
  }
}

/// A pool that its own upstreams refer to without keeping it.
private final class WeakPool: Sendable {
  private struct Reference {
    weak var pool: Pool?
  }

  private let reference = Mutex(Reference())

  var pool: Pool? {
    get { reference.withLock { $0.pool } }
    set { reference.withLock { $0.pool = newValue } }
  }
}

extension Log {
  /// Writes down what has happened to an upstream.
  fileprivate func note(_ event: UpstreamEvent, of upstream: Upstream, in pool: String) {
    let name = upstream.settings.name
    switch event {
    case .operational(.up): notice("upstream is up", ["pool": pool, "upstream": name])
    case .operational(.down): warning("upstream is down", ["pool": pool, "upstream": name])
    case .operational(.starting): info("upstream is starting", ["pool": pool, "upstream": name])
    case .socketRemoved: info("the upstream's socket was removed", ["pool": pool, "upstream": name])
    case .socketMade: info("the upstream's socket was made", ["pool": pool, "upstream": name])
    case .administrative(let state):
      notice("upstream state set", ["pool": pool, "upstream": name, "state": "\(state)"])
    case .incarnation(let incarnation):
      notice("upstream was restarted", ["pool": pool, "upstream": name, "pid": incarnation.process])
    }
  }
}
