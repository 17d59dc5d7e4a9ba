import Glibc
import SystemCalls
import UpstreamPool
import YAML

extension Configuration {
  /// The effective configuration as a galaxy-lb.yml, every key of it in a fixed order, with the place that decided
  /// each value as a comment behind it. Read again as a file in the working directory it gives the same settings, but
  /// for what only Galaxy's configuration says: where the version on disk stands. Passwords are not shown, and a file
  /// in which one is missing is refused.
  var text: String {
    var writer = ConfigurationWriter(configuration: self)
    writer.write()
    return writer.lines.joined(separator: "\n") + "\n"
  }
}

/// Writes the lines of `Configuration.text`.
struct ConfigurationWriter {
  let configuration: Configuration
  var lines: [String] = []

  var settings: Settings { configuration.settings }

  mutating func write() {
    for file in configuration.galaxyFiles {
      lines.append("# read \(comment(file.value)), named by \(file.origin)")
    }
    list("listen", settings.listen.map { scalar($0.description) })
    line("threads", String(settings.threads))
    writeControl()
    let folder = settings.stateDirectory.map { scalar($0 == "off" ? "./off" : $0) }
    line("state_directory", folder ?? "off")
    line("user", settings.runAs.map { scalar($0.userName) })
    line("group", settings.runAs.map { scalar($0.groupName) })
    writeHooks()
    lines.append("pools:")
    for pool in configuration.pools { write(pool) }
    lines.append("routes:")
    for route in configuration.routes { write(route) }
    lines.append("timeouts:")
    for key in TimeoutKey.all {
      let time = Notation.duration.text(settings.timeouts[keyPath: key.field])
      line(key.name, time, in: "timeouts")
    }
    lines.append("limits:")
    for key in LimitKey.all { line(key.name, text(of: key.field), in: "limits") }
    let proxies = settings.trustedProxies
    list(
      "trusted_proxies",
      proxies.blocks.map { scalar($0.description) } + (proxies.unixPeers ? ["unix"] : []))
    list("identity_headers", settings.identityHeaders.map(scalar))
    lines.append("access_log:")
    line("destination", destination, in: "access_log")
    line("format", settings.accessLog.format.rawValue, in: "access_log")
    line("log_level", settings.logLevel.name)
    line("defer_accept", String(settings.deferAccept))
  }

  private mutating func writeControl() {
    let place: String? =
      switch settings.control {
      case .byDefault: nil
      case .off: "off"
      case .at(let path): scalar(path == "off" ? "./off" : path)
      }
    line("control", place)
    if settings.control == .byDefault {
      let path = ControlPlace.defaultPath(environmentVariables(), user: geteuid())
      lines.append("# control socket by default: \(path.map(comment) ?? "none, there is no folder for it")")
    }
    line("control_group", settings.controlGroup.map { scalar($0.name) })
    line("metrics", settings.metrics.map { scalar($0.description) })
  }

  private mutating func write(_ pool: ConfiguredPool) {
    lines.append("  \(scalar(pool.settings.name)):\(remark(pool.origin))")
    if let manager = pool.processManager { lines.append("    # process manager: \(comment(manager))") }
    if let source = pool.restart.versionSource {
      lines.append("    # version of the code on disk: \(comment(source.description))")
    }
    writeOptions(of: pool)
    lines.append("    upstreams:")
    for (index, (upstream, details)) in zip(pool.settings.upstreams, pool.details).enumerated() {
      lines.append("      - name: \(scalar(upstream.name))\(remark(details.origin))")
      lines.append("        address: \(scalar(upstream.endpoint.description))")
      lines.append("        weight: \(upstream.weight)")
      lines.append("        backup: \(upstream.backup)")
      let limit = upstream.maximumConnections.map(String.init) ?? "none"
      let origin = details.limitOrigin ?? pool.origins["max_connections"] ?? .builtIn
      lines.append("        max_connections: \(limit)\(remark(origin))")
      if pool.restart.services.indices.contains(index) {
        write(pool.restart.services[index], details.serviceOrigins)
      }
    }
  }

  /// What the pool has of `PoolKey.all`, each key below its sections.
  private mutating func writeOptions(of pool: ConfiguredPool) {
    let draft = PoolDraft(pool.settings, restart: RestartDraft(pool))
    var last: [Substring] = []
    for key in PoolKey.all {
      // A section that is off has nothing in it.
      if let section = PoolKey.all.first(where: { key.name.hasPrefix($0.name + ".") }),
        case .section(let isOn) = section.field, !draft[keyPath: isOn]
      {
        continue
      }
      guard let value = text(of: key.field, draft) else { continue }
      let path = key.name.split(separator: ".")
      for depth in path.indices.dropLast() where path[...depth] != last.prefix(depth + 1) {
        let section = path[...depth].joined(separator: ".")
        // Only those that can be off have a place of their own.
        let mark = PoolKey.named(section) == nil ? "" : remark(pool.origins[section] ?? .builtIn)
        lines.append("\(indent(depth))\(path[depth]):\(mark)")
      }
      let origin = pool.origins[key.name] ?? .builtIn
      lines.append("\(indent(path.count - 1))\(path[path.count - 1]): \(value)\(remark(origin))")
      last = path
    }
  }

  /// In front of what a pool has, so many sections deep.
  private func indent(_ depth: Int) -> String { String(repeating: "  ", count: depth + 2) }

  private mutating func write(_ route: Sourced<Route>) {
    lines.append("  - host: \(scalar(route.value.host.text))\(remark(route.origin))")
    lines.append("    path: \(scalar(route.value.pathPrefix.isEmpty ? "/" : route.value.pathPrefix))")
    lines.append("    pool: \(scalar(route.value.pool))")
  }

  /// Nil for what is written elsewhere: with each upstream, or as the keys of a section that is not off.
  private func text(of field: PoolKey.Field, _ pool: PoolDraft) -> String? {
    switch field {
    case .balance: return pool.balance.rawValue
    case .hashOn:
      guard case .hash(let key) = pool.settings.balance else { return "null" }
      return scalar(key.text)
    case .maximumConnections: return nil
    case .boolean(let path): return String(pool[keyPath: path])
    case .duration(let path, _): return Notation.duration.text(pool[keyPath: path])
    case .optionalDuration(let path, _): return pool[keyPath: path].map(Notation.duration.text) ?? "null"
    case .number(let path, _): return String(pool[keyPath: path])
    case .size(let path, _): return Notation.size.text(Int64(pool[keyPath: path]))
    case .path(let path): return scalar(pool[keyPath: path])
    case .statuses(let path):
      let statuses = pool[keyPath: path]
      return statuses.count == 1 ? "\(statuses.lowerBound)" : "\(statuses.lowerBound)-\(statuses.upperBound)"
    case .upstreams(let path, _):
      switch pool[keyPath: path] {
      case .number(let number): return String(number)
      case .percent(let part): return "\(part)%"
      }
    case .shares(let path): return "[\(pool[keyPath: path].map(String.init).joined(separator: ", "))]"
    case .section(let path): return pool[keyPath: path] ? nil : "off"
    }
  }

  private func text(of field: LimitKey.Field) -> String {
    switch field {
    case .bytes(let path): Notation.size.text(Int64(settings.limits[keyPath: path]))
    case .number(let path): String(settings.limits[keyPath: path])
    case .optionalBytes(let path): settings.limits[keyPath: path].map(Notation.size.text) ?? "none"
    }
  }

  private var destination: String {
    switch settings.accessLog.destination {
    case .off: "off"
    case .standardError: "stderr"
    case .file(let path): scalar(path.contains("/") ? path : "./" + path)
    }
  }

  private mutating func line(_ key: String, _ value: String?, in section: String? = nil) {
    let origin = configuration.origin(of: section.map { "\($0).\(key)" } ?? key)
    lines.append("\(section == nil ? "" : "  ")\(key): \(value ?? "null")\(remark(origin))")
  }

  private mutating func list(_ key: String, _ values: [String]) {
    let origin = remark(configuration.origin(of: key))
    lines.append("\(key):\(values.isEmpty ? " []" : "")\(origin)")
    lines += values.map { "  - \($0)" }
  }

  func remark(_ origin: Origin) -> String { "  # \(comment(origin.description))" }

  /// Text of others in a comment, which ends where a line ends.
  func comment(_ text: String) -> String {
    var line = LogLine(prefix: "")
    line.append(message: text)
    return String(decoding: line.bytes, as: UTF8.self)
  }
}

/// `text` as a YAML scalar that every reader takes for a string: plain if that is beyond doubt, else quoted.
func scalar(_ text: String) -> String {
  let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
  let isPlain =
    text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: "/._-:@".utf8.contains(byte)
      }
    } && !text.hasSuffix(":") && !words.contains(text.lowercased())
  if isPlain, let first = text.utf8.first, first == UInt8(ascii: "/") || first >= 0x41 { return text }
  var quoted = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": quoted += "\\\(scalar)"
    case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value):
      let digits = String(scalar.value, radix: 16)
      quoted += "\\x" + String(repeating: "0", count: 2 - digits.utf8.count) + digits
    default: quoted.unicodeScalars.append(scalar)
    }
  }
  return quoted + "\""
}
