import SystemCalls

/// One `galaxy-lb --graceful`, from the first look to the report: all pools are looked at before anything is touched,
/// then one after the other is restarted, with the hooks around.
///
/// Confined to the thread that calls it; `look` drives it, every 20 ms or so, until there is a report.
public final class RestartRun {
  public let subjects: [RestartSubject]
  public let isDryRun: Bool
  /// Set with the end.
  public private(set) var report: RestartReport?

  private let hooks: RestartHooks
  private let notes: StoppedUnits
  private let tell: (News) -> Void
  private let plans: [RestartPlan]
  private var stage = Stage.rehearsing
  /// By pool.
  private var rehearsals: [PoolRun] = []
  /// By pool, those that were begun; the last one goes on.
  private var runs: [PoolRun] = []
  private let hookWork = BackgroundWork<RestartReport.Hook>()
  private var hookCancellation: Cancellation?
  private var hookResults: [RestartReport.Hook] = []
  private var unplaced: [RequestFailure] = []
  private var unplacedCount = 0
  private var isAborted = false

  private enum Stage: Equatable {
    case rehearsing
    case before
    case restarting
    /// The hooks, when all is restarted, or when it has halted.
    case after
    case onHalt(message: String, problems: [String])
  }

  /// What is told while it goes on. Pools and upstreams by their number.
  public enum News {
    case preflight(pool: Int, upstream: Int, PreflightFacts, notes: [String])
    case phase(pool: Int, upstream: Int, UpstreamPhase)
    case message(Level, String)
    case hook(RestartReport.Hook)
    case finished(RestartReport)
  }

  /// How much a message matters.
  public enum Level: String, Hashable, Sendable {
    case notice
    case warning
    case error
  }

  /// - Parameters:
  ///   - subjects: at least one.
  ///   - notes: where it is noted which units are stopped.
  ///   - tell: called on the thread that drives the restart.
  public init(
    _ subjects: [RestartSubject], isDryRun: Bool, hooks: RestartHooks, notes: StoppedUnits,
    tell: @escaping (News) -> Void
  ) throws(RestartPlanError) {
    precondition(!subjects.isEmpty)
    self.subjects = subjects
    self.isDryRun = isDryRun
    self.hooks = hooks
    self.notes = notes
    self.tell = tell
    var plans: [RestartPlan] = []
    for subject in subjects { plans.append(try subject.plan(isDryRun: isDryRun)) }
    self.plans = plans
  }

  /// The plan of a pool, as it was when the restart was asked for.
  public func plan(of pool: Int) -> RestartPlan { plans[pool] }

  /// True while nothing would be left half done if the process ended.
  public var isAtSafePoint: Bool {
    guard report == nil, stage == .restarting, let run = runs.last, run.outcome == nil else { return true }
    return !run.subject.upstreams.indices.contains { run.machine.phase(of: $0) == .restarting }
  }

  /// An upstream that is neither waiting nor through.
  public struct UnderWay {
    public var pool: Int
    public var upstream: Int
    public var phase: UpstreamPhase
    /// In milliseconds of the monotonic clock.
    public var since: Int64
    /// Milliseconds that the phase may take; nil for no bound.
    public var allowed: Int64?
    public var inFlight: WorkInFlight
  }

  /// Those that something is done with now.
  public var underWay: [UnderWay] {
    guard let run = runs.last, run.outcome == nil else { return [] }
    return run.subject.upstreams.indices.compactMap { upstream in
      let phase = run.machine.phase(of: upstream)
      guard phase.isUnderWay else { return nil }
      return UnderWay(
        pool: runs.count - 1, upstream: upstream, phase: phase, since: run.phaseBegan[upstream] ?? 0,
        allowed: run.timeAllowed(upstream), inFlight: run.workInFlight(upstream))
    }
  }

  // MARK: What drives it

  /// Does what is due.
  public func look(now: Int64) {
    guard report == nil else { return }
    switch stage {
    case .rehearsing: rehearse(now)
    case .before, .after, .onHalt: for hook in hookWork.take() { hookEnded(hook, now) }
    case .restarting: restart(now)
    }
  }

  /// Stops at the next safe point.
  public func abort(now: Int64) {
    guard !isAborted, report == nil else { return }
    isAborted = true
    tell(.message(.notice, "aborting at the next safe point"))
    switch stage {
    case .rehearsing: for run in rehearsals { run.abort(now: now) }
    case .before: hookCancellation?.cancel()
    case .restarting: runs.last?.abort(now: now)
    case .after, .onHalt: break
    }
  }

  /// A user's request failed; `upstream` is nil when it was sent to none.
  public func requestFailed(pool: Int, upstream: Int?, _ failure: RequestFailure, now: Int64) {
    guard report == nil else { return }
    if let upstream, pool == runs.count - 1 {
      runs[pool].requestFailed(upstream, failure, now: now)
    } else {
      unplacedCount += 1
      if unplaced.count < UpstreamReport.keptFailures { unplaced.append(failure) }
    }
  }

  /// So many more failed than could be told one by one.
  public func moreRequestsFailed(_ count: Int) { unplacedCount += count }

  private func makeRun(_ pool: Int, isDryRun: Bool, now: Int64) -> PoolRun? {
    do throws(RestartPlanError) {
      return try PoolRun(subjects[pool], isDryRun: isDryRun, notes: notes, now: now) { [unowned self] in
        note($0, pool, isRehearsal: isDryRun)
      }
    } catch {
      // The names were good when the restart was asked for, and can only have gone since.
      finish(runs.isEmpty ? .refused : .halted, "\(error)", ["\(error)"])
      return nil
    }
  }

  private func note(_ news: PoolRun.News, _ pool: Int, isRehearsal: Bool) {
    switch news {
    case .preflight(let upstream, let facts, let notes):
      // The second look of the restart itself is only worth a word when it finds something.
      if isRehearsal { tell(.preflight(pool: pool, upstream: upstream, facts, notes: notes)) }
    case .remark(let text): tell(.message(.warning, text))
    // It is in the plan, which everybody knows.
    case .progress(.approach): break
    case .progress(.phase(let upstream, let phase)):
      tell(.phase(pool: pool, upstream: upstream, phase))
    case .progress(.waitingForCapacity(let available, let needed)):
      tell(
        .message(
          .warning,
          "\(subjects[pool].pool): waiting, \(available) upstreams are eligible and \(needed) must stay"))
    case .progress(.stopping(.aborted)): break
    case .progress(.stopping(.halted(let reason))):
      tell(.message(.error, "\(subjects[pool].pool): halting: \(plans[pool].describe(reason))"))
    case .progress(.misplaced(let event)):
      tell(.message(.error, "\(subjects[pool].pool): an event that can't be: \(event)"))
    }
  }

  // MARK: Stages

  private func rehearse(_ now: Int64) {
    if rehearsals.isEmpty {
      for pool in subjects.indices {
        guard let run = makeRun(pool, isDryRun: true, now: now) else { return }
        rehearsals.append(run)
      }
    }
    for run in rehearsals { run.look(now: now) }
    let results = rehearsals.compactMap(\.outcome?.result)
    guard results.count == rehearsals.count else { return }
    let problems = rehearsals.flatMap(Self.problems)
    if isAborted {
      finish(.aborted, "aborted before anything was touched")
    } else if !problems.isEmpty {
      let count = problems.count == 1 ? "a problem" : "\(problems.count) problems"
      finish(.refused, "preflight found \(count), nothing was touched", problems)
    } else if isDryRun {
      finish(.rehearsed, "nothing speaks against the restart")
    } else if let command = hooks.before {
      stage = .before
      begin(.before, command, reason: nil)
    } else {
      stage = .restarting
      restart(now)
    }
  }

  private static func problems(_ run: PoolRun) -> [String] {
    guard case .refused(let problems) = run.outcome?.result else { return [] }
    return problems.map { "\(run.subject.pool)/\(run.machine.plan.describe($0))" }
  }

  /// Begins with the pool whose turn it is.
  private func restartNext(_ now: Int64) {
    guard let run = makeRun(runs.count, isDryRun: false, now: now) else { return }
    runs.append(run)
    restart(now)
  }

  private func restart(_ now: Int64) {
    guard let run = runs.last else { return restartNext(now) }
    // It may have ended since the last look, by an abort.
    run.look(now: now)
    guard let outcome = run.outcome else { return }
    let name = run.subject.pool
    switch outcome.result {
    case .completed where runs.count < subjects.count && !isAborted: restartNext(now)
    case .completed where runs.count < subjects.count: finish(.aborted, "aborted after pool \(name)")
    case .completed, .rehearsed: completed()
    case .stopped(.aborted): finish(.aborted, "aborted; what was not restarted serves as before")
    case .stopped(.halted(let reason)):
      halt("\(name): \(run.machine.plan.describe(reason))", [])
    case .refused where runs.count == 1:
      finish(.refused, "preflight found problems, nothing was touched", Self.problems(run))
    case .refused: halt("\(name) was not restarted", Self.problems(run))
    }
  }

  private func completed() {
    guard let command = hooks.after else { return finish(.completed, completedMessage) }
    stage = .after
    begin(.after, command, reason: nil)
  }

  private var completedMessage: String {
    let count = runs.reduce(0) { $0 + $1.machine.plan.order.count }
    return count == 1 ? "1 upstream was restarted" : "all \(count) upstreams were restarted"
  }

  private func halt(_ message: String, _ problems: [String]) {
    guard let command = hooks.onHalt else { return finish(.halted, message, problems) }
    stage = .onHalt(message: message, problems: problems)
    begin(.onHalt, command, reason: message)
  }

  // MARK: Hooks

  private func begin(_ hook: RestartHook, _ command: RestartCommand, reason: String?) {
    let command = HookCommand(
      hook: hook, command: command, pools: subjects.map(\.pool), reason: reason, timeout: hooks.timeout)
    do throws(SystemError) {
      let cancellation = try Cancellation()
      hookCancellation = cancellation
      try hookWork.start { [hookWork] in hookWork.post(command.run(cancellation)) }
    } catch {
      hookWork.post(RestartReport.Hook(name: hook, failure: "\(error)", output: "", duration: 0))
    }
  }

  private func hookEnded(_ hook: RestartReport.Hook, _ now: Int64) {
    hookResults.append(hook)
    tell(.hook(hook))
    switch stage {
    case .rehearsing, .restarting: break
    case .before where isAborted: finish(.aborted, "aborted before anything was touched")
    case .before:
      if let failure = hook.failure {
        finish(.refused, "the hook before the restart failed, nothing was touched", [failure])
      } else {
        stage = .restarting
        restart(now)
      }
    case .after:
      finish(
        .completed, completedMessage + (hook.failure.map { ", but \($0)" } ?? ""),
        hook.failure.map { [$0] } ?? [])
    case .onHalt(let message, let problems): finish(.halted, message, problems)
    }
  }

  // MARK: The end

  private func finish(_ result: RestartReport.Result, _ message: String, _ problems: [String] = []) {
    var report = RestartReport(result: result, message: message, problems: problems)
    let told = runs.isEmpty ? rehearsals : runs
    report.pools = told.compactMap { run in
      run.outcome.map { outcome in
        let names = run.subject.upstreams.map(\.name)
        return RestartReport.Pool(
          name: run.subject.pool, outcome: outcome,
          services: Dictionary(uniqueKeysWithValues: zip(names, run.subject.restart.services)),
          outputs: Dictionary(uniqueKeysWithValues: run.outputs.map { (names[$0.key], $0.value) }))
      }
    }
    report.hooks = hookResults
    report.unplacedFailures = unplaced
    report.unplacedFailureCount = unplacedCount
    self.report = report
    tell(.finished(report))
  }
}
