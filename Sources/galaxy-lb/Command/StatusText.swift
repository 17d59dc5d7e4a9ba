import JSON

/// What `--status` shows of the document of `GET /v1/status`.
struct StatusText {
  private let document: JSON
  private let colours: Bool

  init(_ document: JSON, colours: Bool) {
    self.document = document
    self.colours = colours
  }

  var text: String {
    let pools = document["pools"]?.asArray ?? []
    let rows = pools.flatMap { $0["upstreams"]?.asArray ?? [] }.map(UpstreamRow.init)
    var lines = [heading, ""] + table(rows)
    let remarks = pools.compactMap(remark) + rows.compactMap(\.remark)
    if !remarks.isEmpty { lines += [""] + remarks }
    return lines.joined(separator: "\n") + "\n"
  }

  private var heading: String {
    func number(_ path: String...) -> Int {
      path.reduce(document as JSON?) { $0?[$1] }?.asInteger ?? 0
    }
    let uptime = shortDuration(Int64(document["uptime"]?.asNumber ?? 0))
    let isStopping = document["stopping"]?.asBoolean == true ? ", stopping" : ""
    return
      "galaxy-lb \(document["version"]?.asString ?? "?"), pid \(number("pid")), up \(uptime)\(isStopping): "
      + "\(number("client_connections", "open")) client connections, "
      + "\(number("requests", "in_flight", "total")) requests in flight, \(number("requests", "ended")) ended"
  }

  /// A line about the requests of a pool that wait.
  private func remark(_ pool: JSON) -> String? {
    guard let waiting = pool["hold"]?["waiting"]?.asInteger, waiting > 0 else { return nil }
    return "pool \(pool["name"]?.asString ?? "?"): \(waiting) requests wait for an upstream"
  }

  private func table(_ rows: [UpstreamRow]) -> [String] {
    let titles = ["POOL", "UPSTREAM", "ADDRESS", "STATE", "IN FLIGHT", "REQUESTS", "FAILURES", "FOR"]
    let cells = rows.map(\.cells)
    let widths = titles.indices.map { column in
      ([titles] + cells).map { $0[column].count }.max() ?? 0
    }
    func line(_ cells: [String], colour: String?) -> String {
      let padded = cells.indices.map { column in
        let blanks = String(repeating: " ", count: widths[column] - cells[column].count)
        let text = UpstreamRow.numbers.contains(column) ? blanks + cells[column] : cells[column] + blanks
        guard colours, let colour, column == UpstreamRow.state else { return text }
        return "\u{1B}[\(colour)m\(text)\u{1B}[0m"
      }
      var line = padded.joined(separator: "  ")
      while line.hasSuffix(" ") { line.removeLast() }
      return line
    }
    return [line(titles, colour: nil)] + rows.map { line($0.cells, colour: $0.colour) }
  }
}

/// One upstream of the document, for people.
struct UpstreamRow {
  private let upstream: JSON

  init(_ upstream: JSON) { self.upstream = upstream }

  /// Which columns of `cells` are numbers, and which one is the state.
  static let numbers = 4...6
  static let state = 3

  var cells: [String] {
    [
      string("pool"), string("name"), string("address"), stateText, "\(inFlight)",
      "\(upstream["requests"]?.asInteger ?? 0)", "\(upstream["failures"]?["total"]?.asInteger ?? 0)",
      shortDuration(lasting),
    ]
  }

  /// `ready, up, weight 2, 3 requests in flight`
  var summary: String {
    let weight = upstream["weight"]?.asInteger ?? 1
    let reason = upstream["reason"]?.asString.map { " (\($0))" } ?? ""
    return "\(string("administrative"))\(reason), \(string("operational")), weight \(weight), "
      + "\(inFlight) \(inFlight == 1 ? "request" : "requests") in flight"
  }

  /// A line about the reason that somebody gave.
  var remark: String? {
    upstream["reason"]?.asString.map {
      "\(string("pool"))/\(string("name")) \(string("administrative")): \($0)"
    }
  }

  /// The terminal's colour of the state (ECMA-48 8.3.117).
  var colour: String {
    switch (string("administrative"), string("operational")) {
    case (_, "down"): "31"
    case ("ready", "up"): "32"
    default: "33"
    }
  }

  private var stateText: String {
    let backup = upstream["backup"]?.asBoolean == true ? " (backup)" : ""
    return "\(string("administrative"))/\(string("operational"))\(backup)"
  }

  private var inFlight: Int { upstream["in_flight"]?["total"]?.asInteger ?? 0 }

  /// Seconds since one of the states changed.
  private var lasting: Int64 {
    let times = ["administrative_for", "operational_for"].compactMap { upstream[$0]?.asNumber }
    return Int64(times.min() ?? 0)
  }

  private func string(_ name: String) -> String { upstream[name]?.asString ?? "?" }
}

/// Seconds in two units at most, as systemctl writes them: `3h 12min`, `5min 3s`, `12s`.
func shortDuration(_ seconds: Int64) -> String {
  let units: [(symbol: String, seconds: Int64)] = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)]
  guard let first = units.firstIndex(where: { seconds >= $0.seconds }) else { return "0s" }
  let whole = "\(seconds / units[first].seconds)\(units[first].symbol)"
  guard first + 1 < units.count else { return whole }
  let rest = seconds % units[first].seconds / units[first + 1].seconds
  return rest == 0 ? whole : "\(whole) \(rest)\(units[first + 1].symbol)"
}
