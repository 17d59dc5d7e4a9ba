import SystemCalls
import UpstreamPool
import YAML

/// Reads `pools`: a mapping of a name to `upstreams` and what else is known of a pool, or, without `upstreams`, of one
/// that is described elsewhere.
///
/// - Parameter folder: what relative paths of unix sockets are relative to.
func readPools(
  _ node: Node, in folder: String, into diagnostics: inout Diagnostics
) -> (pools: [ConfiguredPool], adjustments: [PoolAdjustment]) {
  var pools: [ConfiguredPool] = []
  var adjustments: [PoolAdjustment] = []
  for entry in node.mapping("pools", into: &diagnostics)?.entries ?? [] {
    let name = entry.key.text
    let origin = Origin.text(entry.keyPosition)
    guard isName(name) else {
      diagnostics.error("pools: found the name '\(name)', expected \(nameRule)", at: origin)
      continue
    }
    let key = "pools.\(name)"
    let known = ["upstreams", "service"] + PoolKey.sections
    guard let mapping = entry.value.mapping(key, known: known, into: &diagnostics) else { continue }
    let options = PoolKey.sections.flatMap { section -> [PoolOption] in
      guard let value = mapping[section], !value.isNull else { return [] }
      let hooks = section == "restart" ? rejectHooks(value, of: key, into: &diagnostics) : []
      return readPoolOptions(section, value, of: key + ".", besides: hooks, into: &diagnostics)
    }
    let service = mapping["service"].flatMap { node in
      node.isNull ? nil : ServiceSetting(node, "\(key).service", in: folder, into: &diagnostics)
    }
    if let list = mapping["upstreams"], !list.isNull {
      var pool = readPool(name, list, at: origin, in: folder, into: &diagnostics)
      pool.options = options
      pool.service = service
      pools.append(pool)
    } else {
      adjustments.append(PoolAdjustment(name: name, origin: origin, options: options, service: service))
    }
  }
  return (pools, adjustments)
}

/// The pool that `--upstream` makes.
func commandLinePool(_ upstreams: [Endpoint]) -> ConfiguredPool {
  let origin = Origin.option(Option.upstream.spelling)
  var pool = ConfiguredPool(
    settings: PoolSettings(
      name: "default", upstreams: upstreams.map { UpstreamSettings(name: $0.derivedName, endpoint: $0) }),
    origin: origin,
    details: upstreams.map { _ in UpstreamDetails(origin: origin, nameIsDerived: true) })
  pool.separateDerivedNames()
  return pool
}

let nameRule = "1 to 64 letters, digits and . _ - : @"

private func readPool(
  _ name: String, _ list: Node, at origin: Origin, in folder: String, into diagnostics: inout Diagnostics
) -> ConfiguredPool {
  let key = "pools.\(name).upstreams"
  var pool = ConfiguredPool(settings: PoolSettings(name: name, upstreams: []), origin: origin, details: [])
  let elements = list.oneOrMore(key, expecting: "a list of upstreams", into: &diagnostics)
  if elements?.isEmpty == true {
    diagnostics.error("\(key): no upstreams, expected at least one", at: list.origin)
  }
  for element in elements ?? [] {
    let reader = UpstreamReader(key: key, folder: folder)
    guard let (upstream, details) = reader.read(element, into: &diagnostics) else { continue }
    pool.settings.upstreams.append(upstream)
    pool.details.append(details)
  }
  pool.separateDerivedNames()
  return pool
}

/// Reads one upstream: an address, or a mapping with `address`, `name`, `weight`, `backup`, `max_connections` and
/// `service`.
private struct UpstreamReader {
  let key: String
  let folder: String

  func read(
    _ node: Node, into diagnostics: inout Diagnostics
  ) -> (UpstreamSettings, UpstreamDetails)? {
    if case .scalar = node.content {
      guard let endpoint = address(node, into: &diagnostics) else { return nil }
      return (
        UpstreamSettings(name: endpoint.derivedName, endpoint: endpoint),
        UpstreamDetails(origin: node.origin, nameIsDerived: true)
      )
    }
    let known = ["address", "name", "weight", "backup", "max_connections", "service"]
    guard let mapping = node.mapping(key, known: known, into: &diagnostics) else { return nil }
    let endpoint = mapping["address"].flatMap { address($0, into: &diagnostics) }
    if mapping["address"] == nil {
      diagnostics.error("\(key): an upstream without 'address'", at: node.origin)
    }
    var upstream = UpstreamSettings(
      name: endpoint?.derivedName ?? "", endpoint: endpoint ?? .unix(path: ""))
    var details = UpstreamDetails(origin: node.origin, nameIsDerived: true)
    if let value = mapping["name"], !value.isNull,
      let name = value.text("\(key).name", expecting: nameRule, into: &diagnostics)
    {
      upstream.name = name
      details.nameIsDerived = false
      if !isName(name) { value.mismatch("\(key).name", nameRule, into: &diagnostics) }
    }
    if let value = mapping["weight"], !value.isNull,
      let weight = value.integer("\(key).weight", in: 1...1000, into: &diagnostics)
    {
      upstream.weight = weight
    }
    if let value = mapping["backup"], !value.isNull,
      let backup = value.boolean("\(key).backup", into: &diagnostics)
    {
      upstream.backup = backup
    }
    if let value = mapping["max_connections"], !value.isNull,
      let limit = value.connectionLimit("\(key).max_connections", into: &diagnostics)
    {
      upstream.maximumConnections = limit.number
      details.limitOrigin = value.origin
    }
    if let value = mapping["service"], !value.isNull {
      details.service = ServiceSetting(value, "\(key).service", in: folder, into: &diagnostics)
    }
    return endpoint == nil ? nil : (upstream, details)
  }

  private func address(_ node: Node, into diagnostics: inout Diagnostics) -> Endpoint? {
    let expected = "an address (unix:PATH or HOST:PORT)"
    return node.text(key, expecting: expected, into: &diagnostics).flatMap {
      Endpoint(reading: $0, as: .upstream, in: folder, at: node.origin, into: &diagnostics)
    }
  }
}

extension ConfiguredPool {
  /// Gives upstreams whose derived names are equal longer ones, by the folders in front of their sockets:
  /// `unix:/a/g.sock` and `unix:/b/g.sock` become `a-g` and `b-g`.
  mutating func separateDerivedNames() {
    var depth = 1
    while depth < 32 {
      let upstreams = settings.upstreams
      let equal = upstreams.indices.filter { index in
        details[index].nameIsDerived
          && upstreams.contains {
            $0.name == upstreams[index].name && $0.endpoint != upstreams[index].endpoint
          }
      }
      guard !equal.isEmpty else { return }
      depth += 1
      for index in equal {
        settings.upstreams[index].name = settings.upstreams[index].endpoint.derivedName(folders: depth - 1)
      }
    }
  }
}
