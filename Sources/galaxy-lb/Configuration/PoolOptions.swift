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
  /// How its upstreams are restarted.
  let service: ServiceSetting?
}

/// Reads a key or a section of `PoolKey.all`.
///
/// - Parameters:
///   - name: `balance`, `health` or `restart.drain`.
///   - owner: whose it is, for messages: `pools.main.` or nothing.
///   - others: keys of the section that are read elsewhere.
func readPoolOptions(
  _ name: String, _ node: Node, of owner: String = "", besides others: [String] = [],
  into diagnostics: inout Diagnostics
) -> [PoolOption] {
  var options: [PoolOption] = []
  if let key = PoolKey.named(name) {
    guard let option = key.read(node, of: owner, into: &diagnostics) else { return [] }
    options.append(option)
    // A section that is off has nothing in it.
    if case .scalar = node.content { return options }
  }
  let names = PoolKey.names(in: name)
  guard !names.isEmpty,
    let mapping = node.mapping(owner + name, known: names + others, into: &diagnostics)
  else { return options }
  for part in names {
    guard let value = mapping[part], !value.isNull else { continue }
    options += readPoolOptions("\(name).\(part)", value, of: owner, into: &diagnostics)
  }
  return options
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
      return option(node, node.boolean(key, into: &diagnostics)) { $0[keyPath: path] = $1 }
    case .duration(let path, let allowed):
      let time = node.quantity(key, .duration, in: allowed, into: &diagnostics)
      return option(node, time) { $0[keyPath: path] = $1 }
    case .optionalDuration(let path, let allowed):
      let time = node.quantity(key, .duration, in: allowed, into: &diagnostics)
      return option(node, time) { $0[keyPath: path] = $1 }
    case .number(let path, let allowed):
      let number = node.integer(key, in: allowed, into: &diagnostics)
      return option(node, number) { $0[keyPath: path] = $1 }
    case .size(let path, let allowed):
      let size = node.quantity(key, .size, in: allowed, into: &diagnostics)
      return option(node, size) { $0[keyPath: path] = Int($1) }
    case .path(let path):
      let text = node.converted(key, expecting: pathRule, into: &diagnostics) {
        isPath($0, withQuery: true) ? $0 : nil
      }
      return option(node, text) { $0[keyPath: path] = $1 }
    case .statuses(let path):
      let expected = "a status such as 200, or a range such as 200-299, from 200 to 599"
      let statuses = node.converted(key, expecting: expected, into: &diagnostics, by: statusRange)
      return option(node, statuses) { $0[keyPath: path] = $1 }
    case .upstreams(let path, let allowed):
      let quantity = node.upstreamQuantity(key, in: allowed, into: &diagnostics)
      return option(node, quantity) { $0[keyPath: path] = $1 }
    case .shares(let path):
      return option(node, node.shares(key, into: &diagnostics)) { $0[keyPath: path] = $1 }
    case .section(let path):
      return option(node, node.isSectionOn(key, into: &diagnostics)) { $0[keyPath: path] = $1 }
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
      let adjustments = adjustments.filter { $0.name == name }
      let own = pools[index].options + adjustments.flatMap(\.options)
      pools[index].apply(poolOptions, own, into: &diagnostics)
      pools[index].service = pools[index].service ?? adjustments.compactMap(\.service).last
      pools[index].resolveServices(into: &diagnostics)
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
    var draft = PoolDraft(settings, restart: RestartDraft(self))
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
    restart.policy = draft.restart.policy
    restart.policy.probation = draft.restart.hasProbation ? draft.restart.probation : nil
    restart.probeTimeout = draft.restart.probeTimeout
    restartTimeout = draft.restart.timeout
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
