import Glibc
import SystemCalls
import UpstreamPool
import YAML

extension Configuration {
  /// The effective configuration as a galaxy-lb.yml, every key of it in a fixed order, with the place that decided
  /// each value as a comment behind it. Read again as a file in the working directory it gives the same settings.
  var text: String {
    var writer = ConfigurationWriter(configuration: self)
    writer.write()
    return writer.lines.joined(separator: "\n") + "\n"
  }
}

private struct ConfigurationWriter {
  let configuration: Configuration
  var lines: [String] = []

  private var settings: Settings { configuration.settings }

  mutating func write() {
    for file in configuration.galaxyFiles {
      lines.append("# read \(comment(file.value)), named by \(file.origin)")
    }
    list("listen", settings.listen.map { scalar($0.description) })
    line("threads", String(settings.threads))
    writeControl()
    line("user", settings.runAs.map { scalar($0.userName) })
    line("group", settings.runAs.map { scalar($0.groupName) })
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
    var section = ""
    for key in PoolKey.all {
      guard let value = text(of: key.field, pool.settings) else { continue }
      let remark = remark(pool.origins[key.name] ?? .builtIn)
      if let name = key.nameInSection {
        if key.section != section { lines.append("    \(key.section):") }
        lines.append("      \(name): \(value)\(remark)")
      } else {
        lines.append("    \(key.name): \(value)\(remark)")
      }
      section = key.section
    }
    lines.append("    upstreams:")
    for (upstream, details) in zip(pool.settings.upstreams, pool.details) {
      lines.append("      - name: \(scalar(upstream.name))\(remark(details.origin))")
      if let service = details.service { lines.append("        # service: \(comment(service))") }
      lines.append("        address: \(scalar(upstream.endpoint.description))")
      lines.append("        weight: \(upstream.weight)")
      lines.append("        backup: \(upstream.backup)")
      let limit = upstream.maximumConnections.map(String.init) ?? "none"
      let origin = details.limitOrigin ?? pool.origins["max_connections"] ?? .builtIn
      lines.append("        max_connections: \(limit)\(remark(origin))")
    }
  }

  private mutating func write(_ route: Sourced<Route>) {
    lines.append("  - host: \(scalar(route.value.host.text))\(remark(route.origin))")
    lines.append("    path: \(scalar(route.value.pathPrefix.isEmpty ? "/" : route.value.pathPrefix))")
    lines.append("    pool: \(scalar(route.value.pool))")
  }

  /// Nil for what is written with each upstream.
  private func text(of field: PoolKey.Field, _ pool: PoolSettings) -> String? {
    switch field {
    case .balance: return BalanceWord(pool.balance).rawValue
    case .hashOn:
      guard case .hash(let key) = pool.balance else { return "null" }
      return scalar(key.text)
    case .maximumConnections: return nil
    case .boolean(let path): return String(pool[keyPath: path])
    case .duration(let path, _): return Notation.duration.text(pool[keyPath: path])
    case .number(let path, _): return String(pool[keyPath: path])
    case .size(let path, _): return Notation.size.text(Int64(pool[keyPath: path]))
    case .path(let path): return scalar(pool[keyPath: path])
    case .statuses(let path):
      let statuses = pool[keyPath: path]
      return statuses.count == 1 ? "\(statuses.lowerBound)" : "\(statuses.lowerBound)-\(statuses.upperBound)"
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

  private func remark(_ origin: Origin) -> String { "  # \(comment(origin.description))" }

  /// Text of others in a comment, which ends where a line ends.
  private func comment(_ text: String) -> String {
    var line = LogLine(prefix: "")
    line.append(message: text)
    return String(decoding: line.bytes, as: UTF8.self)
  }
}

/// `text` as a YAML scalar that every reader takes for a string: plain if that is beyond doubt, else quoted.
private func scalar(_ text: String) -> String {
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
