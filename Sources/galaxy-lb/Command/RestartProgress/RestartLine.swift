import JSON

/// What the proxy tells about a restart, a line at a time. Texts are printable; members and events that are not known
/// are passed over.
enum RestartLine: Equatable {
  case begun(Begun)
  case preflight(Preflight)
  /// An upstream has got to another phase.
  case phase(Progress)
  /// How far an upstream is in its phase.
  case progress(Progress)
  case message(level: String, text: String)
  case hook(name: String, succeeded: Bool, output: [String])
  /// The last one, as a whole.
  case finished(RestartEnd)
  case unknown

  struct Begun: Equatable {
    struct Pool: Equatable {
      var name: String
      var approach: String
      /// `POOL/UPSTREAM`, in the order of the restart.
      var upstreams: [String]
    }

    /// True when somebody else has begun the restart.
    var isAttached: Bool
    /// True when nothing is touched.
    var isRehearsal: Bool
    var pools: [Pool]
    /// What restarts each upstream and what that calls it, such as `supervisor main:gunicorn0`, by `POOL/UPSTREAM`.
    var units: [String: String]
  }

  struct Preflight: Equatable {
    /// `POOL/UPSTREAM`
    var upstream: String
    /// The state of its unit.
    var unit: String
    var answers: Bool
    var versionRunning: String?
    var versionOnDisk: String?
    var notes: [String]

    /// True when it could be restarted as it is.
    var isAsUsual: Bool { unit == "running" && answers }
  }

  struct Progress: Equatable {
    /// `POOL/UPSTREAM`
    var upstream: String
    var phase: RestartPhase
    /// In this phase.
    var elapsed: Duration
    /// How long the phase may take; nil for no limit.
    var timeout: Duration?
    /// Nil when the line does not tell.
    var inFlight: WorkCount?
    /// Why it failed.
    var reason: String?
  }

  init(_ json: JSON) {
    func text(_ name: String, of json: JSON) -> String? { json[name]?.asString.map(printable) }
    func upstream() -> String { "\(text("pool", of: json) ?? "?")/\(text("upstream", of: json) ?? "?")" }
    func duration(_ name: String) -> Duration? {
      json[name]?.asNumber.map { .milliseconds(Int64(min(max(0, $0), 1e9) * 1000)) }
    }
    func progress() -> Progress? {
      guard let phase = json["phase"]?.asString.flatMap(RestartPhase.init) else { return nil }
      return Progress(
        upstream: upstream(), phase: phase, elapsed: duration("elapsed") ?? .zero,
        timeout: duration("timeout"),
        inFlight: json["in_flight"]?.asObject.map { WorkCount(.object($0), as: "in flight") },
        reason: text("reason", of: json))
    }
    switch json["event"]?.asString {
    case "begun": self = .begun(Begun(json))
    case "preflight":
      self = .preflight(
        Preflight(
          upstream: upstream(), unit: text("unit", of: json) ?? "unknown",
          answers: json["answers"]?.asBoolean ?? false, versionRunning: text("version_running", of: json),
          versionOnDisk: text("version_on_disk", of: json),
          notes: (json["notes"]?.asArray ?? []).compactMap { $0.asString.map(printable) }))
    case "phase": self = progress().map(Self.phase) ?? .unknown
    case "progress": self = progress().map(Self.progress) ?? .unknown
    case "message":
      self = .message(level: text("level", of: json) ?? "notice", text: text("text", of: json) ?? "")
    case "hook":
      self = .hook(
        name: text("hook", of: json) ?? "?", succeeded: json["ok"]?.asBoolean ?? false,
        output: printableLines(json["output"]?.asString ?? ""))
    case "finished": self = .finished(RestartEnd(json))
    default: self = .unknown
    }
  }
}

extension RestartLine.Begun {
  fileprivate init(_ json: JSON) {
    isAttached = json["attached"]?.asBoolean ?? false
    isRehearsal = json["dry_run"]?.asBoolean ?? false
    pools = []
    units = [:]
    for pool in json["pools"]?.asArray ?? [] {
      let name = printable(pool["pool"]?.asString ?? "?")
      var upstreams: [String] = []
      for upstream in pool["upstreams"]?.asArray ?? [] {
        let fullName = "\(name)/\(printable(upstream["name"]?.asString ?? "?"))"
        upstreams.append(fullName)
        let words = [upstream["manager"], upstream["unit"]].compactMap { $0?.asString.map(printable) }
        units[fullName] = words.joined(separator: " ")
      }
      let approach = printable(pool["approach"]?.asString ?? "")
      pools.append(RestartLine.Begun.Pool(name: name, approach: approach, upstreams: upstreams))
    }
  }
}

/// How far an upstream is, by the names that the proxy gives the phases.
enum RestartPhase: String, CaseIterable {
  case waiting
  case draining
  case restarting
  case awaitingReadiness = "awaiting_readiness"
  case probation
  case completed
  case failed

  /// In words.
  var words: String { self == .awaitingReadiness ? "awaiting readiness" : rawValue }

  /// True while something is done to the upstream.
  var isUnderWay: Bool {
    switch self {
    case .draining, .restarting, .awaitingReadiness, .probation: true
    case .waiting, .completed, .failed: false
    }
  }
}
