import UpstreamPool
import YAML

/// What galaxy-lb.yml says for one `PoolKey`, for all pools or for one.
struct PoolOption: Sendable {
  /// The key's name.
  let key: String
  let origin: Origin
  let apply: @Sendable (inout PoolDraft) -> Void
}

/// What galaxy-lb.yml says about a pool whose upstreams are described elsewhere, by Galaxy's configuration or on the
/// command line.
struct PoolAdjustment: Sendable {
  let name: String
  let origin: Origin
  let options: [PoolOption]
}

/// Reads one of `PoolKey.sections`.
///
/// - Parameters:
///   - section: the key, `balance` or `health`.
///   - owner: whose it is, for messages: `pools.main.` or nothing.
func readPoolOptions(
  _ section: String, _ node: Node, of owner: String = "", into diagnostics: inout Diagnostics
) -> [PoolOption] {
  let keys = PoolKey.all.filter { $0.section == section }
  if let key = keys.first, key.nameInSection == nil {
    return [key.read(node, of: owner, into: &diagnostics)].compactMap { $0 }
  }
  let names = keys.compactMap(\.nameInSection)
  guard let mapping = node.mapping(owner + section, known: names, into: &diagnostics) else { return [] }
  return zip(keys, names).compactMap { key, name in
    guard let value = mapping[name], !value.isNull else { return nil }
    return key.read(value, of: owner, into: &diagnostics)
  }
}

extension PoolKey {
  fileprivate func read(
    _ node: Node, of owner: String, into diagnostics: inout Diagnostics
  ) -> PoolOption? {
    let key = owner + name
    switch field {
    case .balance:
      let word = node.choice(key, of: BalanceWord.self, into: &diagnostics)
      return option(node, word) { $0.balance = $1 }
    case .hashOn:
      return option(node, node.hashKey(key, into: &diagnostics)) { $0.hashOn = $1 }
    case .maximumConnections:
      let limit = node.connectionLimit(key, into: &diagnostics)
      return option(node, limit) { $0.maximumConnections = $1.number }
    case .boolean(let path):
      return option(node, node.boolean(key, into: &diagnostics)) { $0.settings[keyPath: path] = $1 }
    case .duration(let path, let allowed):
      let time = node.quantity(key, .duration, in: allowed, into: &diagnostics)
      return option(node, time) { $0.settings[keyPath: path] = $1 }
    case .number(let path, let allowed):
      let number = node.integer(key, in: allowed, into: &diagnostics)
      return option(node, number) { $0.settings[keyPath: path] = $1 }
    case .size(let path, let allowed):
      let size = node.quantity(key, .size, in: allowed, into: &diagnostics)
      return option(node, size) { $0.settings[keyPath: path] = Int($1) }
    case .path(let path):
      let text = node.converted(key, expecting: pathRule, into: &diagnostics) {
        isPath($0, withQuery: true) ? $0 : nil
      }
      return option(node, text) { $0.settings[keyPath: path] = $1 }
    case .statuses(let path):
      let expected = "a status such as 200, or a range such as 200-299, from 200 to 599"
      let statuses = node.converted(key, expecting: expected, into: &diagnostics, by: statusRange)
      return option(node, statuses) { $0.settings[keyPath: path] = $1 }
    }
  }

  private func option<Value: Sendable>(
    _ node: Node, _ value: Value?, _ set: @escaping @Sendable (inout PoolDraft, Value) -> Void
  ) -> PoolOption? {
    value.map { value in PoolOption(key: name, origin: node.origin) { set(&$0, value) } }
  }
}

/// A number of connections, or `none`.
struct ConnectionLimit: Sendable {
  let number: Int?
}

extension Node {
  /// The value of `max_connections`.
  func connectionLimit(_ key: String, into diagnostics: inout Diagnostics) -> ConnectionLimit? {
    if case .scalar(let scalar) = content, scalar.text == "none" { return ConnectionLimit(number: nil) }
    let allowed = PoolKey.maximumConnections
    if case .scalar(let scalar) = content, case .integer(let number) = scalar.value, allowed.contains(number)
    {
      return ConnectionLimit(number: number)
    }
    mismatch(key, "\(wholeNumber(in: allowed)) or none", into: &diagnostics)
    return nil
  }

  /// The value of `hash_on`.
  fileprivate func hashKey(_ key: String, into diagnostics: inout Diagnostics) -> HashKey? {
    guard case .scalar(let scalar) = content, let first = scalar.text.split(separator: " ").first else {
      mismatch(key, hashRule, into: &diagnostics)
      return nil
    }
    if let hashKey = HashKey(scalar.text) { return hashKey }
    let words = ["client-address", "header", "cookie"]
    let near = words.contains(String(first)) ? nil : YAML.nearest(String(first), in: words)
    diagnostics.error(
      "\(key): found \(found), expected \(hashRule)", at: origin,
      nearest: near.map { $0 + scalar.text.dropFirst(first.count) })
    return nil
  }
}

private let hashRule = "client-address, header NAME or cookie NAME"

private func statusRange(_ text: String) -> ClosedRange<Int>? {
  let bounds = text.split(separator: "-", omittingEmptySubsequences: false).map { part in
    part.utf8.count == 3 && part.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(part) : nil
  }
  guard (1...2).contains(bounds.count), let least = bounds[0], let most = bounds[bounds.count - 1],
    least <= most, PoolKey.statuses.contains(least), PoolKey.statuses.contains(most)
  else { return nil }
  return least...most
}

// MARK: Putting together

extension Configuration {
  /// Gives every pool what the file says for all pools, and then what it says for that one.
  mutating func applyPoolOptions(into diagnostics: inout Diagnostics) {
    for index in pools.indices {
      let name = pools[index].settings.name
      let own = pools[index].options + adjustments.filter { $0.name == name }.flatMap(\.options)
      pools[index].apply(poolOptions, own, into: &diagnostics)
    }
    let hashes = pools.contains { BalanceWord($0.settings.balance) == .hash }
    if !hashes, let option = poolOptions.last(where: { $0.key == "hash_on" }) {
      diagnostics.warning("hash_on: no pool has 'balance: hash', so it changes nothing", at: option.origin)
    }
  }

  /// Reports adjustments of pools that are nowhere.
  func checkAdjustments(into diagnostics: inout Diagnostics) {
    let known = pools.map(\.settings.name)
    for adjustment in adjustments where !known.contains(adjustment.name) {
      diagnostics.error(
        "pools.\(adjustment.name): no upstreams, expected at least one under 'upstreams', or the name of a pool that "
          + "is described elsewhere", at: adjustment.origin, nearest: nearest(adjustment.name, in: known))
    }
  }
}

extension ConfiguredPool {
  fileprivate mutating func apply(
    _ common: [PoolOption], _ own: [PoolOption], into diagnostics: inout Diagnostics
  ) {
    var draft = PoolDraft(settings)
    for option in common + own {
      option.apply(&draft)
      origins[option.key] = option.origin
    }
    settings = draft.settings
    settings.balance =
      switch draft.balance {
      case .leastConnections: .leastConnections
      case .roundRobin: .roundRobin
      case .randomTwo: .randomTwo
      case .hash: .hash(draft.hashOn)
      }
    for index in settings.upstreams.indices where details[index].limitOrigin == nil {
      settings.upstreams[index].maximumConnections = draft.maximumConnections
    }
    if draft.balance != .hash, let option = own.last(where: { $0.key == "hash_on" }) {
      diagnostics.warning(
        "pools.\(settings.name).hash_on: changes nothing with 'balance: \(draft.balance.rawValue)', only with "
          + "'balance: hash'", at: option.origin)
    }
  }
}
