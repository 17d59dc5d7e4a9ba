import GravityRestart
import JSON

/// The lines that `POST /v1/restart` tells a restart in.
struct RestartLines {
  let run: RestartRun
  /// When it began, which is its name as well.
  let name: String

  /// The first line.
  func begun(attached: Bool) -> JSON {
    [
      "event": "begun", "run": .string(name), "attached": .boolean(attached),
      "dry_run": .boolean(run.isDryRun),
      "pools": .array(
        run.subjects.indices.map { pool in
          let subject = run.subjects[pool]
          let plan = run.plan(of: pool)
          return [
            "pool": .string(subject.pool), "approach": .string(plan.approach.explanation),
            "upstreams": .array(
              plan.order.map { number in
                let service = subject.restart.services[number]
                return [
                  "name": .string(subject.upstreams[number].name), "manager": .text(service.manager?.keyword),
                  "unit": .string(service.unit),
                ]
              }),
          ]
        }),
    ]
  }

  func preflight(_ pool: Int, _ upstream: Int, _ facts: PreflightFacts, notes: [String]) -> JSON {
    [
      "event": "preflight", "pool": .string(run.subjects[pool].pool), "upstream": name(pool, upstream),
      "unit": .string(facts.unit.word), "answers": .boolean(facts.answers),
      "version_running": .text(facts.versionRunning), "version_on_disk": .text(facts.versionOnDisk),
      "notes": .array(notes.map { .string($0) }),
    ]
  }

  /// An upstream has come into a phase.
  func phase(_ pool: Int, _ upstream: Int, _ phase: UpstreamPhase, now: Int64) -> JSON {
    var line = event("phase", pool, upstream, phase)
    if let entry = run.underWay.first(where: { $0.pool == pool && $0.upstream == upstream }) {
      append(entry, now: now, to: &line)
    } else {
      line.append("elapsed", .seconds(milliseconds: 0))
      line.append("timeout", .null)
      line.append("in_flight", .object(WorkInFlight().document))
    }
    if case .failed(let fault) = phase { line.append("reason", .string("\(fault)")) }
    return .object(line)
  }

  /// How far an upstream is in its phase.
  func progress(_ entry: RestartRun.UnderWay, now: Int64) -> JSON {
    var line = event("progress", entry.pool, entry.upstream, entry.phase)
    append(entry, now: now, to: &line)
    return .object(line)
  }

  func message(_ level: RestartRun.Level, _ text: String) -> JSON {
    ["event": "message", "level": .string(level.rawValue), "text": .string(text)]
  }

  func hook(_ hook: RestartReport.Hook) -> JSON {
    [
      "event": "hook", "hook": .string(hook.name.rawValue), "ok": .boolean(hook.failure == nil),
      "output": .string(hook.output),
    ]
  }

  /// The last line.
  func finished(_ report: RestartReport, document: JSON, file: String?) -> JSON {
    [
      "event": "finished", "result": .string(report.result.rawValue),
      "exit_status": .integer(Int(report.exitStatus)), "message": .string(report.message),
      "problems": .array(report.problems.map { .string($0) }), "report_file": .text(file), "report": document,
    ]
  }

  private func name(_ pool: Int, _ upstream: Int) -> JSON {
    .string(run.subjects[pool].upstreams[upstream].name)
  }

  private func event(_ event: String, _ pool: Int, _ upstream: Int, _ phase: UpstreamPhase) -> JSONObject {
    [
      "event": .string(event), "pool": .string(run.subjects[pool].pool), "upstream": name(pool, upstream),
      "phase": .string(phase.word),
    ]
  }

  private func append(_ entry: RestartRun.UnderWay, now: Int64, to line: inout JSONObject) {
    line.append("elapsed", .seconds(milliseconds: now - entry.since))
    line.append("timeout", entry.allowed.map { .seconds(milliseconds: $0) } ?? .null)
    line.append("in_flight", .object(entry.inFlight.document))
  }
}

extension WorkInFlight {
  /// By class, with their sum.
  var document: JSONObject {
    var object: JSONObject = ["total": .integer(total)]
    for kind in DrainClass.allCases { object.append(kind.trafficClass.name, .integer(self[kind])) }
    return object
  }
}

extension UpstreamPhase {
  /// The word in documents and logs.
  var word: String {
    switch self {
    case .waiting: "waiting"
    case .draining: "draining"
    case .restarting: "restarting"
    case .awaitingReadiness: "awaiting_readiness"
    case .probation: "probation"
    case .completed: "completed"
    case .failed: "failed"
    }
  }
}

extension PreflightFacts.Unit {
  fileprivate var word: String {
    switch self {
    case .running: "running"
    case .stopped: "stopped"
    case .failed: "failed"
    case .unknown: "unknown"
    case .managerUnreachable: "unreachable"
    case .forbidden: "forbidden"
    }
  }
}
