import HTTP1
import SystemCalls
import UpstreamPool

/// The configuration in force, compiled for the loops: immutable, shared, and swapped as a whole by a reload.
final class Site: Sendable {
  let settings: Settings
  let pools: [Pool]
  let routes: RouteTable
  let requestLimits: HeadLimits
  let responseLimits: HeadLimits
  let classifier: FieldNameClassifier

  /// Looks all upstream addresses up.
  ///
  /// - Parameters:
  ///   - previous: the configuration before a reload. Pools that have not changed are taken over, with what is
  ///     known about their upstreams.
  init(_ settings: Settings, replacing previous: Site? = nil, log: Log) throws(ResolutionFailure) {
    self.settings = settings
    var pools: [Pool] = []
    for pool in settings.pools {
      if let known = previous?.pools.first(where: { $0.settings == pool }) {
        pools.append(known)
      } else {
        pools.append(try Self.makePool(pool, log: log))
      }
    }
    self.pools = pools
    routes = RouteTable(settings.routes, poolNames: pools.map(\.name))
    let limits = settings.limits
    requestLimits = HeadLimits(line: limits.requestLine, head: limits.requestHead, fields: limits.fields)
    responseLimits = HeadLimits(line: limits.responseHead, head: limits.responseHead, fields: limits.fields)
    classifier = FieldNameClassifier(identityNames: settings.identityHeaders.map { Array($0.utf8) })
  }

  private static func makePool(_ settings: PoolSettings, log: Log) throws(ResolutionFailure) -> Pool {
    var upstreams: [Upstream] = []
    for (index, upstream) in settings.upstreams.enumerated() {
      let address = try SocketAddress.resolve(upstream.endpoint)
      upstreams.append(
        Upstream(upstream, index: index, address: address) { upstream, state in
          switch state {
          case .up:
            log.notice("upstream is back", ["pool": settings.name, "upstream": upstream.settings.name])
          case .down:
            log.warning("upstream is down", ["pool": settings.name, "upstream": upstream.settings.name])
          case .starting:
            log.debug("upstream is tried", ["pool": settings.name, "upstream": upstream.settings.name])
          }
        })
    }
    return Pool(settings, upstreams: upstreams)
  }
}
