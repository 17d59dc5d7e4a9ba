import YAML

/// Turns the routes as they are written into the table that requests are looked up in, most specific first.
///
/// Without any route a single pool gets everything, and Galaxies with distinct url prefixes are told apart by
/// these. Everything else has to be written: an ambiguity is an error, never a guess.
func resolvedRoutes(
  _ written: [Sourced<Route>], pools: [ConfiguredPool], into diagnostics: inout Diagnostics
) -> [Sourced<Route>] {
  guard !pools.isEmpty else { return written }
  let routes = written.isEmpty ? automaticRoutes(pools, into: &diagnostics) : written
  if !written.isEmpty { checkRoutes(written, pools: pools, into: &diagnostics) }
  return routes.sorted { $0.value.precedes($1.value) }
}

extension Route {
  /// The order of the table: an exact host before a wildcard, the longer wildcard before the shorter, any host
  /// last; then the longer path prefix first. What is left is in the order of the text, so that the same routes
  /// always make the same table.
  func precedes(_ other: Route) -> Bool {
    if host.rank != other.host.rank { return host.rank < other.host.rank }
    if host.text.utf8.count != other.host.text.utf8.count {
      return host.text.utf8.count > other.host.text.utf8.count
    }
    if host.text != other.host.text { return host.text < other.host.text }
    if pathPrefix.utf8.count != other.pathPrefix.utf8.count {
      return pathPrefix.utf8.count > other.pathPrefix.utf8.count
    }
    return pathPrefix < other.pathPrefix
  }
}

extension Route.Host {
  /// The host as galaxy-lb.yml has it.
  var text: String {
    switch self {
    case .any: "*"
    case .exactly(let host): host
    case .endingIn(let suffix): "*" + suffix
    }
  }

  fileprivate var rank: Int {
    switch self {
    case .exactly: 0
    case .endingIn: 1
    case .any: 2
    }
  }
}

private func automaticRoutes(
  _ pools: [ConfiguredPool], into diagnostics: inout Diagnostics
) -> [Sourced<Route>] {
  if pools.count == 1 { return [Sourced(Route(pool: pools[0].settings.name), from: .builtIn)] }
  var takenBy: [String: ConfiguredPool] = [:]
  var routes: [Sourced<Route>] = []
  for pool in pools {
    let name = pool.settings.name
    guard let prefix = pool.urlPrefix else {
      diagnostics.error(
        "pool '\(name)' is one of several (\(names(pools))), expected 'routes' in galaxy-lb.yml that say which "
          + "requests are for it", at: pool.origin)
      continue
    }
    if let other = takenBy[prefix] {
      diagnostics.error(
        "pools '\(other.settings.name)' (\(other.origin)) and '\(name)' have the same url prefix "
          + "'\(prefix.isEmpty ? "/" : prefix)', expected different ones or 'routes' in galaxy-lb.yml",
        at: pool.origin)
      continue
    }
    takenBy[prefix] = pool
    routes.append(Sourced(Route(pathPrefix: prefix, pool: name), from: pool.origin))
  }
  return routes
}

private func checkRoutes(
  _ routes: [Sourced<Route>], pools: [ConfiguredPool], into diagnostics: inout Diagnostics
) {
  struct Key: Hashable {
    let host: Route.Host
    let pathPrefix: String
  }
  var takenBy: [Key: Sourced<Route>] = [:]
  var reached: Set<String> = []
  for route in routes {
    let key = Key(host: route.value.host, pathPrefix: route.value.pathPrefix)
    if let first = takenBy[key] {
      diagnostics.error(
        "routes: host '\(key.host.text)' and path '\(key.pathPrefix.isEmpty ? "/" : key.pathPrefix)' are already "
          + "routed to pool '\(first.value.pool)' at \(first.origin)", at: route.origin)
    } else {
      takenBy[key] = route
    }
    reached.insert(route.value.pool)
    guard let pool = pools.first(where: { $0.settings.name == route.value.pool }) else {
      let known = pools.map(\.settings.name)
      diagnostics.error(
        "routes: found the pool '\(route.value.pool)', expected one of \(names(pools))", at: route.origin,
        nearest: nearest(route.value.pool, in: known))
      continue
    }
    checkPrefix(route, of: pool, into: &diagnostics)
  }
  for pool in pools where !reached.contains(pool.settings.name) {
    diagnostics.error(
      "pool '\(pool.settings.name)' has no route, expected one in 'routes' of galaxy-lb.yml", at: pool.origin)
  }
}

/// Galaxy answers only below its own url prefix. A route that goes elsewhere never gets anything but 404.
private func checkPrefix(
  _ route: Sourced<Route>, of pool: ConfiguredPool, into diagnostics: inout Diagnostics
) {
  let prefix = route.value.pathPrefix
  guard let own = pool.urlPrefix, !own.isEmpty, !(prefix + "/").hasPrefix(own + "/"),
    !(own + "/").hasPrefix(prefix + "/")
  else { return }
  diagnostics.warning(
    "routes: pool '\(pool.settings.name)' answers only below its galaxy_url_prefix '\(own)', not below '\(prefix)'",
    at: route.origin)
}

private func names(_ pools: [ConfiguredPool]) -> String {
  pools.map { "'\($0.settings.name)'" }.joined(separator: ", ")
}
