import SystemCalls
import UpstreamPool
import YAML

/// galaxy-lb.yml: reads what it says over the defaults, and reports everything that is wrong with it.
///
/// A key without a value has its default. Relative paths in the file are relative to the file's folder.
struct SettingsFile {
  static let keys = [
    "listen", "threads", "control", "control_group", "metrics", "state_directory", "user", "group", "galaxy",
    "pools",
    "balance", "hash_on", "slow_start", "max_connections", "health", "hold", "restart", "routes", "timeouts",
    "limits",
    "trusted_proxies", "identity_headers", "access_log", "log_level", "defer_accept",
  ]

  /// The configuration as far as this file decides it: its pools and routes are as they are written.
  private(set) var configuration = Configuration()
  private(set) var diagnostics = Diagnostics()
  /// False when the text is no YAML, so that nothing is known of what it should say.
  private(set) var isReadable = false
  private let folder: String

  /// Reads the file at `path`, which `origin` names.
  init(path: String, namedBy origin: Origin) {
    folder = galaxy_lb.folder(of: path)
    if let root = Parser().read(path, namedBy: origin, into: &diagnostics) { read(root) }
  }

  /// Reads the text of a file whose name for positions is `path`.
  init(_ text: String, path: String) {
    folder = galaxy_lb.folder(of: path)
    if let root = Parser().parse(Array(text.utf8), file: path, into: &diagnostics) { read(root) }
  }

  private mutating func read(_ root: Node) {
    isReadable = true
    guard let file = root.mapping("galaxy-lb.yml", known: Self.keys, into: &diagnostics) else { return }
    for entry in file.entries where entry.key.value == .string && !entry.value.isNull {
      let key = entry.key.text
      configuration.origins[key] = entry.value.origin
      read(key, entry.value)
    }
    readAccount(user: file["user"], group: file["group"])
    if configuration.settings.limits.requestLine > configuration.settings.limits.requestHead {
      diagnostics.error(
        "limits.request_line is larger than limits.request_head, which includes it",
        at: configuration.origins["limits.request_line"] ?? configuration.origin(of: "limits.request_head"))
    }
  }

  private mutating func read(_ key: String, _ node: Node) {
    switch key {
    case "listen": readListen(node)
    case "threads":
      if let number = node.integer(key, in: Settings.allowedThreads, into: &diagnostics) {
        configuration.settings.threads = number
      }
    case "control":
      if let text = node.text(key, expecting: "the path of a unix socket, or off", into: &diagnostics),
        let place = ControlPlace(reading: text, in: folder, at: node.origin, into: &diagnostics)
      {
        configuration.settings.control = place
      }
    case "control_group": readControlGroup(node)
    case "metrics":
      if let text = node.text(key, expecting: "an address", into: &diagnostics) {
        configuration.settings.metrics = Endpoint(
          reading: text, as: .listener, in: folder, at: node.origin, into: &diagnostics)
      }
    case "state_directory":
      if let text = node.text(key, expecting: "the path of a folder, or off", into: &diagnostics) {
        configuration.settings.stateDirectory = text == "off" ? nil : resolve(text, in: folder)
      }
    case "galaxy":
      for element in node.oneOrMore(key, expecting: "a path or a list of paths", into: &diagnostics) ?? [] {
        if let path = element.text(key, expecting: "the path of a file", into: &diagnostics) {
          configuration.galaxyFiles.append(Sourced(resolve(path, in: folder), from: element.origin))
        }
      }
    case "pools":
      (configuration.pools, configuration.adjustments) = readPools(node, in: folder, into: &diagnostics)
    case "restart":
      configuration.poolOptions += readPoolOptions(key, node, besides: ["hooks"], into: &diagnostics)
      configuration.settings.restartHooks = readRestartHooks(
        node, in: folder, origins: &configuration.origins, into: &diagnostics)
    case _ where PoolKey.sections.contains(key):
      configuration.poolOptions += readPoolOptions(key, node, into: &diagnostics)
    case "routes": configuration.routes = readRoutes(node, into: &diagnostics)
    case "timeouts": readTimeouts(node)
    case "limits": readLimits(node)
    case "trusted_proxies": readTrustedProxies(node)
    case "identity_headers": readIdentityHeaders(node)
    case "access_log": readAccessLog(node)
    case "log_level":
      if let level = word(key, node, among: LogLevel.names) {
        configuration.settings.logLevel = LogLevel(name: level) ?? configuration.settings.logLevel
      }
    case "defer_accept":
      if let answer = node.boolean(key, into: &diagnostics) { configuration.settings.deferAccept = answer }
    default: break
    }
  }

  private mutating func readListen(_ node: Node) {
    let elements = node.oneOrMore("listen", expecting: "an address or a list of them", into: &diagnostics)
    if elements?.isEmpty == true { node.mismatch("listen", "at least one address", into: &diagnostics) }
    for element in elements ?? [] {
      if let text = element.text("listen", expecting: "an address", into: &diagnostics),
        let endpoint = Endpoint(
          reading: text, as: .listener, in: folder, at: element.origin, into: &diagnostics)
      {
        configuration.settings.listen.append(endpoint)
      }
    }
  }

  private mutating func readControlGroup(_ node: Node) {
    let expected = "the name or the number of a group"
    guard let text = node.text("control_group", expecting: expected, into: &diagnostics) else { return }
    if let group = SystemGroup(text) {
      configuration.settings.controlGroup = group
    } else {
      node.mismatch("control_group", "a group of this system", into: &diagnostics)
    }
  }

  private mutating func readTimeouts(_ node: Node) {
    let keys = TimeoutKey.all.map(\.name)
    guard let mapping = node.mapping("timeouts", known: keys, into: &diagnostics) else { return }
    for key in TimeoutKey.all {
      guard let value = mapping[key.name], !value.isNull else { continue }
      let name = "timeouts.\(key.name)"
      configuration.origins[name] = value.origin
      if let time = value.quantity(name, .duration, in: key.allowed, into: &diagnostics) {
        configuration.settings.timeouts[keyPath: key.field] = time
      }
    }
  }

  private mutating func readLimits(_ node: Node) {
    let keys = LimitKey.all.map(\.name)
    guard let mapping = node.mapping("limits", known: keys, into: &diagnostics) else { return }
    for key in LimitKey.all {
      guard let value = mapping[key.name], !value.isNull else { continue }
      let name = "limits.\(key.name)"
      configuration.origins[name] = value.origin
      switch key.field {
      case .bytes(let field):
        if let size = value.quantity(name, .size, in: key.allowed, into: &diagnostics) {
          configuration.settings.limits[keyPath: field] = Int(size)
        }
      case .number(let field):
        let allowed = Int(key.allowed.lowerBound)...Int(key.allowed.upperBound)
        if let number = value.integer(name, in: allowed, into: &diagnostics) {
          configuration.settings.limits[keyPath: field] = number
        }
      case .optionalBytes(let field):
        if case .scalar(let scalar) = value.content, scalar.text == "none" {
          configuration.settings.limits[keyPath: field] = nil
        } else if let size = value.quantity(
          name, .size, in: key.allowed, orWord: "none", into: &diagnostics)
        {
          configuration.settings.limits[keyPath: field] = size
        }
      }
    }
  }

  private mutating func readTrustedProxies(_ node: Node) {
    let key = "trusted_proxies"
    for element in node.oneOrMore(key, expecting: "an address or a list of them", into: &diagnostics) ?? [] {
      let expected = "an IP address, a block such as 10.0.0.0/8 (no bit set behind the prefix), or unix"
      guard let text = element.text(key, expecting: expected, into: &diagnostics) else { continue }
      if text == "unix" {
        configuration.settings.trustedProxies.unixPeers = true
      } else if let block = AddressBlock(text) {
        configuration.settings.trustedProxies.blocks.append(block)
      } else {
        element.mismatch(key, expected, into: &diagnostics)
      }
    }
  }

  private mutating func readIdentityHeaders(_ node: Node) {
    let key = "identity_headers"
    guard let elements = node.sequence(key, expecting: "a list of header names", into: &diagnostics) else {
      return
    }
    // Without these a request could not be forwarded at all.
    let needed = ["host", "connection", "content-length", "transfer-encoding"]
    configuration.settings.identityHeaders = []
    for element in elements {
      let expected = "the name of a header that says who a user is"
      guard let name = element.text(key, expecting: expected, into: &diagnostics)?.lowercased() else {
        continue
      }
      if isToken(name), !needed.contains(name) {
        configuration.settings.identityHeaders.append(name)
      } else {
        element.mismatch(key, expected, into: &diagnostics)
      }
    }
  }

  private mutating func readAccessLog(_ node: Node) {
    guard case .mapping = node.content else {
      readDestination(node)
      return
    }
    guard
      let mapping = node.mapping("access_log", known: ["destination", "format"], into: &diagnostics)
    else { return }
    if let value = mapping["destination"], !value.isNull { readDestination(value) }
    if let value = mapping["format"], !value.isNull {
      configuration.origins["access_log.format"] = value.origin
      if let format = value.choice(
        "access_log.format", of: AccessLogSettings.Format.self, into: &diagnostics)
      {
        configuration.settings.accessLog.format = format
      }
    }
  }

  private mutating func readDestination(_ node: Node) {
    configuration.origins["access_log.destination"] = node.origin
    // A bare word would be a file in some folder, and is far more likely a misspelling.
    let expected = "off, stderr or the path of a file with at least one /"
    guard let text = node.text("access_log.destination", expecting: expected, into: &diagnostics) else {
      return
    }
    switch text {
    case "off": configuration.settings.accessLog.destination = .off
    case "stderr": configuration.settings.accessLog.destination = .standardError
    case _ where text.contains("/"):
      configuration.settings.accessLog.destination = .file(path: resolve(text, in: folder))
    default:
      diagnostics.error(
        "access_log.destination: found \(node.found), expected \(expected)", at: node.origin,
        nearest: nearest(text, in: ["off", "stderr"]))
    }
  }

  private mutating func readAccount(user: Node?, group: Node?) {
    let expecting = "the name or the number of a"
    var userName: Sourced<String>?
    var groupName: Sourced<String>?
    if let user, !user.isNull {
      userName = user.text("user", expecting: "\(expecting) user", into: &diagnostics).map {
        Sourced($0, from: user.origin)
      }
    }
    if let group, !group.isNull {
      groupName = group.text("group", expecting: "\(expecting) group", into: &diagnostics).map {
        Sourced($0, from: group.origin)
      }
    }
    configuration.settings.runAs = RunAs(user: userName, group: groupName, into: &diagnostics)
  }

  private mutating func word(_ key: String, _ node: Node, among words: [String]) -> String? {
    guard let text = node.text(key, expecting: oneOf(words), into: &diagnostics) else { return nil }
    if words.contains(text) { return text }
    diagnostics.error(
      "\(key): found \(node.found), expected \(oneOf(words))", at: node.origin,
      nearest: nearest(text, in: words))
    return nil
  }
}

/// A token of RFC 9110 5.6.2, which the name of a header is.
func isToken(_ text: String) -> Bool {
  !text.isEmpty
    && text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
      }
    }
}
