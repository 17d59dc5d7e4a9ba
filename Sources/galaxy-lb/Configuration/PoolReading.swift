import SystemCalls
import UpstreamPool
import YAML

/// Reads `pools`: a mapping of a name to `upstreams` and `health_path`.
///
/// - Parameter folder: what relative paths of unix sockets are relative to.
func readPools(_ node: Node, in folder: String, into diagnostics: inout Diagnostics) -> [ConfiguredPool] {
  guard let pools = node.mapping("pools", into: &diagnostics) else { return [] }
  return pools.entries.compactMap { entry in
    let name = entry.key.text
    guard isName(name) else {
      diagnostics.error(
        "pools: found the name '\(name)', expected \(nameRule)", at: .text(entry.keyPosition))
      return nil
    }
    return readPool(name, entry.value, at: .text(entry.keyPosition), in: folder, into: &diagnostics)
  }
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
  _ name: String, _ node: Node, at origin: Origin, in folder: String, into diagnostics: inout Diagnostics
) -> ConfiguredPool? {
  let key = "pools.\(name)"
  guard let mapping = node.mapping(key, known: ["upstreams", "health_path"], into: &diagnostics) else {
    return nil
  }
  var pool = ConfiguredPool(settings: PoolSettings(name: name, upstreams: []), origin: origin, details: [])
  if let value = mapping["health_path"], !value.isNull,
    let path = value.text("\(key).health_path", expecting: pathRule, into: &diagnostics)
  {
    if isPath(path, withQuery: true) {
      pool.settings.healthPath = path
    } else {
      value.mismatch("\(key).health_path", pathRule, into: &diagnostics)
    }
  }
  let list = mapping["upstreams"]
  let elements =
    list?.oneOrMore("\(key).upstreams", expecting: "a list of upstreams", into: &diagnostics) ?? []
  if elements.isEmpty, list == nil || list?.isNull == true || isEmptyList(list) {
    diagnostics.error("\(key): no upstreams, expected at least one under 'upstreams'", at: origin)
  }
  for element in elements {
    let reader = UpstreamReader(key: "\(key).upstreams", folder: folder)
    guard let (upstream, details) = reader.read(element, into: &diagnostics) else { continue }
    pool.settings.upstreams.append(upstream)
    pool.details.append(details)
  }
  pool.separateDerivedNames()
  return pool
}

private func isEmptyList(_ node: Node?) -> Bool {
  if case .sequence(let elements)? = node?.content { elements.isEmpty } else { false }
}

/// Reads one upstream: an address, or a mapping with `address`, `name`, `weight` and `backup`.
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
    let known = ["address", "name", "weight", "backup"]
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
