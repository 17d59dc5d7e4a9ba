import EventLoop
import GravityRestart
import JSON
import SystemCalls

/// The graceful restarts of this proxy, one at a time: begins them, drives them on the main loop, tells those who watch,
/// and keeps the reports.
final class GracefulRestart: Timed {
  private unowned let plane: ControlPlane
  private let loop: EventLoop
  private let log: Log
  /// What a restart came to at last, also when it ends while the proxy stops.
  private let onEnd: () -> Void
  private var current: Current?
  private var watchers: [RestartProgressStream] = []
  private let keptOut = KeptOutUpstreams()
  /// Milliseconds that upstreams were away in the last restart, by pool.
  private var absences: [String: Int64] = [:]
  private var lastReport: JSON?
  /// What writes the report; one for each restart, as an earlier one may still hang.
  private var files = BackgroundWork<Result<String, SystemError>>()

  /// The restart that goes on.
  private struct Current {
    var run: RestartRun
    var lines: RestartLines
    var began: Timestamp
    /// What a watcher who comes later has missed.
    var told: [JSON] = []
    /// When each upstream under way was told of last, and with what in flight.
    var progress: [String: (time: Int64, work: WorkInFlight)] = [:]
    /// The restart is over, and its report is written; until then.
    var keepsUntil: Int64?
  }

  /// Milliseconds.
  private static let lookInterval: Int64 = 20
  private static let progressInterval: Int64 = 1_000
  private static let patienceWithFiles: Int64 = 5_000

  init(_ plane: ControlPlane, on loop: EventLoop, log: Log, onEnd: @escaping () -> Void) {
    self.plane = plane
    self.loop = loop
    self.log = log
    self.onEnd = onEnd
  }

  /// True while a restart goes on.
  var isRunning: Bool { current != nil }

  /// True while the process must not end: a unit is stopped and not yet started, or the report is being written.
  var isBusy: Bool { current.map { $0.keepsUntil != nil || !$0.run.isAtSafePoint } ?? false }

  /// `GET /v1/restart`
  var document: JSON {
    ["state": .string(isRunning ? "running" : "idle"), "last": lastReport ?? .null]
  }

  // MARK: Commands

  /// Begins a restart, or answers a watcher of the one that goes on.
  func begin(_ request: RestartRequest) throws(ControlFailure) -> RestartProgressStream {
    guard !plane.isStopping else { throw ControlFailure(409, "the proxy is stopping") }
    guard current == nil else { return RestartProgressStream(self, isAttached: true) }
    let subjects = try request.subjects(of: plane, keptOut: keptOut, absences: absences)
    let settings = plane.site.settings
    let run: RestartRun
    do throws(RestartPlanError) {
      run = try RestartRun(
        subjects, isDryRun: request.isDryRun, hooks: settings.restartHooks,
        notes: StoppedUnits(folder: settings.stateDirectory)
      ) { [unowned self] in note($0) }
    } catch {
      throw ControlFailure(400, "\(error)")
    }
    let began = Timestamp.now()
    files = BackgroundWork()
    current = Current(run: run, lines: RestartLines(run: run, name: "\(began)"), began: began)
    plane.onLostRequests = { [unowned self] requests, leftOut in noteLost(requests, leftOut) }
    log.notice("restart begun", ["pools": subjects.map(\.pool).joined(separator: " ")])
    loop.setDeadline(of: self, in: 0)
    return RestartProgressStream(self, isAttached: false)
  }

  /// Stops the restart that goes on at the next safe point.
  func abort() throws(ControlFailure) {
    guard let current, current.keepsUntil == nil else {
      throw ControlFailure(409, "no restart is in progress")
    }
    current.run.abort(now: plane.now)
  }

  /// The proxy stops: so does the restart, at the next safe point.
  func stop() { current?.run.abort(now: plane.now) }

  // MARK: What an earlier proxy has left

  /// Starts the units that a proxy has stopped which was then killed before it could start them. Returns at once.
  func startWhatWasLeft() {
    let settings = plane.site.settings
    let notes = StoppedUnits(folder: settings.stateDirectory)
    for entry in notes.left() {
      let place = settings.pools.firstIndex { $0.name == entry.pool }
      let upstream = place.flatMap { place in
        settings.pools[place].upstreams.firstIndex { $0.name == entry.upstream }
      }
      guard let place, let upstream, settings.restarts[place].services[upstream].unit == entry.unit else {
        log.warning(
          "a restart that was interrupted has left a unit stopped that the configuration no longer has",
          ["unit": entry.unit, "pool": entry.pool, "upstream": entry.upstream])
        notes.remove(pool: entry.pool, upstream: entry.upstream)
        continue
      }
      let service = settings.restarts[place].services[upstream]
      let target = RestartTarget(
        unit: entry.unit, pool: entry.pool, upstream: entry.upstream,
        endpoint: settings.pools[place].upstreams[upstream].endpoint)
      start(target, service, notes)
    }
  }

  private func start(_ target: RestartTarget, _ service: UpstreamService, _ notes: StoppedUnits) {
    let log = log
    let limit = WaitLimit(until: .after(.milliseconds(service.restartTimeout)))
    do throws(SystemError) {
      try Thread {
        do throws(ProcessManagerError) {
          guard try notes.start(target, service, within: limit) else { return }
          log.warning(
            "a restart that was interrupted had left a unit stopped; it was started",
            ["unit": target.unit, "pool": target.pool, "upstream": target.upstream])
        } catch {
          log.error(
            "a unit that was left stopped can't be started", ["unit": target.unit, "error": "\(error)"])
        }
      }.detach()
    } catch {
      log.error("a unit that was left stopped can't be started", ["unit": target.unit, "error": error])
    }
  }

  // MARK: Watchers

  func add(_ watcher: RestartProgressStream, isAttached: Bool) {
    guard let current else { return }
    watchers.append(watcher)
    watcher.report(current.lines.begun(attached: isAttached))
    for line in current.told { watcher.report(line) }
  }

  func remove(_ watcher: RestartProgressStream) { watchers.removeAll { $0 === watcher } }

  private func tell(_ line: JSON) {
    current?.told.append(line)
    for watcher in watchers { watcher.report(line) }
  }

  // MARK: Driving

  override func deadlinePassed() {
    guard let current else { return }
    let now = plane.now
    if let until = current.keepsUntil {
      lookAfterFiles(until, now)
    } else {
      current.run.look(now: now)
      tellProgress(now)
    }
    if self.current != nil { loop.setDeadline(of: self, in: Self.lookInterval) }
  }

  private func noteLost(_ requests: [LostRequest], _ leftOut: Int) {
    guard let run = current?.run else { return }
    let now = plane.now
    for request in requests {
      guard let pool = run.subjects.firstIndex(where: { $0.pool == request.pool }) else { continue }
      let upstream = run.subjects[pool].upstreams.firstIndex { $0.name == request.upstream }
      let failure = RequestFailure(request: request.request, reason: request.reason.name)
      run.requestFailed(pool: pool, upstream: upstream, failure, now: now)
    }
    run.moreRequestsFailed(leftOut)
  }

  private func tellProgress(_ now: Int64) {
    guard let run = current?.run, let lines = current?.lines else { return }
    for entry in run.underWay {
      let key = "\(entry.pool)/\(entry.upstream)"
      if let before = current?.progress[key], before.work == entry.inFlight,
        now - before.time < Self.progressInterval
      {
        continue
      }
      current?.progress[key] = (now, entry.inFlight)
      let line = lines.progress(entry, now: now)
      for watcher in watchers { watcher.report(line) }
    }
  }

  private func note(_ news: RestartRun.News) {
    guard let lines = current?.lines else { return }
    let now = plane.now
    switch news {
    case .preflight(let pool, let upstream, let facts, let notes):
      tell(lines.preflight(pool, upstream, facts, notes: notes))
    case .phase(let pool, let upstream, let phase):
      let subject = lines.run.subjects[pool]
      let name = subject.upstreams[upstream].name
      if case .failed(let fault) = phase {
        log.error(
          "restart", ["pool": subject.pool, "upstream": name, "phase": phase.word, "reason": "\(fault)"])
      } else {
        log.notice("restart", ["pool": subject.pool, "upstream": name, "phase": phase.word])
      }
      tell(lines.phase(pool, upstream, phase, now: now))
    case .message(let level, let text):
      switch level {
      case .notice: log.notice("restart", ["message": text])
      case .warning: log.warning("restart", ["message": text])
      case .error: log.error("restart", ["message": text])
      }
      tell(lines.message(level, text))
    case .hook(let hook):
      log.notice("restart hook", ["hook": hook.name.rawValue, "result": hook.failure ?? "ok"])
      tell(lines.hook(hook))
    case .finished(let report): keep(report)
    }
  }

  // MARK: The end

  private func keep(_ report: RestartReport) {
    guard let current else { return }
    remember(report)
    let document = RestartReportDocument(report: report, began: current.began, ended: .now())
    let json = document.json
    lastReport = json
    guard let folder = plane.site.settings.stateDirectory.map(ReportFolder.init) else {
      return finish(report, json, file: nil)
    }
    self.current?.keepsUntil = plane.now + Self.patienceWithFiles
    let (name, text) = (current.began, document.text)
    do throws(SystemError) {
      try files.start { [files] in
        let kept: Result<String, SystemError>
        do throws(SystemError) {
          kept = .success(try folder.keep(name, text: text, document: json))
        } catch {
          kept = .failure(error)
        }
        files.post(kept)
      }
    } catch {
      files.post(.failure(error))
    }
  }

  private func lookAfterFiles(_ until: Int64, _ now: Int64) {
    guard let report = current?.run.report, let json = lastReport else { return }
    switch files.take().last {
    case .success(let path): finish(report, json, file: path)
    case .failure(let error): finishUnkept(report, json, "\(error)")
    case nil where now >= until: finishUnkept(report, json, "the file system does not answer")
    case nil: break
    }
  }

  private func finishUnkept(_ report: RestartReport, _ json: JSON, _ reason: String) {
    let folder = plane.site.settings.stateDirectory ?? ""
    note(.message(.warning, "the report could not be kept in \(folder): \(reason)"))
    finish(report, json, file: nil)
  }

  private func finish(_ report: RestartReport, _ json: JSON, file: String?) {
    guard let lines = current?.lines else { return }
    current = nil
    plane.onLostRequests = nil
    let fields: Log.Fields = [
      "result": report.result.rawValue, "exit_status": report.exitStatus, "message": report.message,
    ]
    if report.exitStatus == 0 {
      log.notice("restart ended", fields)
    } else {
      log.error("restart ended", fields)
    }
    let line = lines.finished(report, document: json, file: file)
    let listening = watchers
    watchers = []
    for watcher in listening { watcher.finish(line) }
    onEnd()
  }

  /// How long the upstreams were away, for the next restart's choice.
  private func remember(_ report: RestartReport) {
    for pool in report.pools {
      let times = pool.outcome.upstreams.compactMap { upstream in
        upstream.restartTime.flatMap { restart in upstream.readinessTime.map { restart + $0 } }
      }
      if let longest = times.max() { absences[pool.name] = longest }
    }
  }
}
