import Glibc
import JSON
import SystemCalls
import UpstreamPool

extension JSON {
  /// Seconds as a number with milliseconds.
  static func seconds(milliseconds: Int64) -> JSON { .number(Double(milliseconds) / 1000) }

  static func text(_ text: String?) -> JSON { text.map { .string($0) } ?? .null }
}

/// Counts by traffic class, as an object with their sum.
func inFlightDocument(_ counts: [Int]) -> JSON {
  var object: JSONObject = ["total": .integer(counts.reduce(0, +))]
  for (traffic, count) in zip(TrafficClass.allCases, counts) { object.append(traffic.name, .integer(count)) }
  return .object(object)
}

extension TrafficClass {
  /// The word in documents and metrics.
  var name: String {
    switch self {
    case .ordinary: "ordinary"
    case .upload: "upload"
    case .download: "download"
    case .eventStream: "event_stream"
    case .tunnel: "tunnel"
    case .probe: "probe"
    }
  }
}

extension Upstream {
  func inFlight(_ traffic: TrafficClass) -> Int { statistics.reduce(0) { $0 + $1.inFlight(traffic) } }

  /// The sum over all loops of something that each counts.
  func total(_ count: (UpstreamStatistics) -> Int) -> Int { statistics.reduce(0) { $0 + count($1) } }

  func failures(_ failure: UpstreamFailure) -> Int { total { $0.count(of: failure) } }
}

extension ControlPlane {
  /// Everything at once: `GET /v1/status`.
  var statusDocument: JSON {
    let now = now
    let settings = site.settings
    return [
      "version": .string(Version.number), "pid": .integer(Int(getpid())),
      "started": .string(time(of: startedAt)), "uptime": .seconds(milliseconds: now - startedAt),
      "stopping": .boolean(isStopping), "event_loops": .integer(site.loops),
      "listen": .array(settings.listen.map { .string($0.description) }),
      "reloads": ["done": .integer(reloads), "refused": .integer(refusedReloads)],
      "client_connections": [
        "open": .integer(census.clientCount), "total": .integer(census.connections),
        "refused": .integer(census.refusedConnections),
      ],
      "requests": [
        "in_flight": inFlightDocument(inFlightByClass),
        "ended": .integer(EndReason.all.reduce(0) { $0 + census.count(of: $1) }),
        "outcomes": .object(outcomes),
      ],
      "pools": .array(site.pools.map(document)),
    ]
  }

  /// The wall-clock time of a moment on the monotonic clock, as if the system's clock had not been set since the start.
  func time(of moment: Int64) -> String {
    Timestamp(milliseconds: startedTime.milliseconds + moment - startedAt).description
  }

  var inFlightByClass: [Int] {
    TrafficClass.allCases.map { traffic in upstreams.reduce(0) { $0 + $1.upstream.inFlight(traffic) } }
  }

  /// Those that have happened.
  private var outcomes: JSONObject {
    EndReason.all.reduce(into: JSONObject()) { object, reason in
      let count = census.count(of: reason)
      if count > 0 { object.append(reason.name, .integer(count)) }
    }
  }

  private func document(_ pool: Pool) -> JSON {
    let figures = pool.line.figures
    return [
      "name": .string(pool.name),
      "hold": [
        "waiting": .integer(figures.waiting), "waiting_bytes": .integer(figures.waitingBytes),
        "admitted": .integer(figures.admitted), "gave_up": .integer(figures.gaveUp),
        "refused": .integer(figures.refused), "longest": .seconds(milliseconds: figures.longest),
      ],
      "upstreams": .array(pool.upstreams.map { document($0, of: pool) }),
    ]
  }

  /// One upstream: `GET /v1/upstreams/POOL/NAME`.
  func document(_ upstream: Upstream, of pool: Pool) -> JSON {
    let settings = upstream.settings
    let state = upstream.state
    let now = now
    let failures = UpstreamFailure.allCases.map { ($0.name, upstream.failures($0)) }
    return [
      "pool": .string(pool.name), "name": .string(settings.name),
      "address": .string(settings.endpoint.description),
      "administrative": .string(state.administrative.name),
      "administrative_since": .string(time(of: upstream.administrativeSince)),
      "administrative_for": .seconds(milliseconds: now - upstream.administrativeSince),
      "reason": .text(upstream.administrativeReason),
      "operational": .string(state.operational.name),
      "operational_since": .string(time(of: upstream.operationalSince)),
      "operational_for": .seconds(milliseconds: now - upstream.operationalSince),
      "eligible": .boolean(state.isEligible), "backup": .boolean(settings.backup),
      "weight": .integer(upstream.weight), "configured_weight": .integer(settings.weight),
      "share": .integer(upstream.share),
      "max_connections": settings.maximumConnections.map { .integer($0) } ?? .null,
      "pid": upstream.incarnation.map { .integer(Int($0.process)) } ?? .null,
      "in_flight": inFlightDocument(TrafficClass.allCases.map(upstream.inFlight)),
      "requests": .integer(upstream.total { $0.requests.current }),
      "responses": .object(
        Upstream.statusClasses.reduce(into: JSONObject()) { object, hundreds in
          object.append("\(hundreds)xx", .integer(upstream.total { $0.answers(hundreds: hundreds) }))
        }),
      "connects": .integer(upstream.total { $0.connects.current }),
      "reuses": .integer(upstream.total { $0.reuses.current }),
      "retries": .integer(upstream.total { $0.retries.current }),
      "failures": .object(
        failures.reduce(into: ["total": .integer(failures.reduce(0) { $0 + $1.1 })]) {
          $0.append($1.0, .integer($1.1))
        }),
      "transitions": .integer(upstream.transitions),
    ]
  }
}

extension Upstream {
  /// The first digits of the statuses that answers have.
  static let statusClasses = 1...5
}

extension UpstreamFailure {
  /// The word in documents and metrics.
  var name: String { String(EndReason.upstreamFailed(self).name.dropFirst("upstream_".count)) }
}

extension AdministrativeState {
  var name: String { "\(self)" }
}

extension OperationalState {
  var name: String { "\(self)" }
}

extension Census {
  /// Client connections accepted since the start, over all workers.
  var connections: Int { workers.reduce(0) { $0 + $1.connections.current } }
  var refusedConnections: Int { workers.reduce(0) { $0 + $1.refusedConnections.current } }
  func count(of reason: EndReason) -> Int { workers.reduce(0) { $0 + $1.count(of: reason) } }
}
