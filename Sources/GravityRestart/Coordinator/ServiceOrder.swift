import SystemCalls

/// Carries out the order to restart one upstream, and watches what becomes of it. Blocks; belongs on a thread of its
/// own.
struct ServiceOrder: Sendable {
  var target: RestartTarget
  var service: UpstreamService
  /// True when the workers are replaced and the master stays.
  var isReload: Bool
  /// True when nothing is there to be stopped.
  var isDown: Bool
  /// Where it is noted that a unit is stopped and has to be started.
  var notes: StoppedUnits

  /// What is told while it goes on.
  enum News: Sendable {
    /// The workers that a reload replaces take no more connections, as far as that can be waited for.
    case handedOver
    /// A new process was started, or the old workers are gone. The main process, where it is known.
    case done(process: Int32?)
    case refused(String)
    case died(ProcessFailure)
    /// What a command printed.
    case output(String)
    /// Something that people should know, and that changes nothing.
    case remark(String)
  }

  /// A look at a unit that takes longer than this is given up; the next one may do better.
  private static let lookTime = Duration.seconds(10)
  /// So that the one who asked for the restart gives it up first.
  private static let slack = Duration.seconds(1)
  /// For a stop beyond the restart time-out.
  private static let patienceWithStop = Duration.seconds(600)
  private static let lookInterval = Duration.milliseconds(100)
  /// While it runs and may still die: a look can cost a process.
  private static let watchInterval = Duration.milliseconds(500)
  /// From the first new worker until the old ones are not waited for any longer: each is told to end at once, and looks
  /// for that ten times a second.
  private static let handoverTime = Duration.seconds(3)
  private static let handoverInterval = Duration.milliseconds(20)
  /// So many looks in a row that fail while a unit is watched are worth a word.
  private static let remarkableFailures = 5

  /// Posts what happens until it is cancelled, the restart time-out has passed, or nothing more can be learnt.
  func run(_ cancellation: Cancellation, post: (News) -> Void) {
    let limit = WaitLimit(
      until: .after(.milliseconds(service.restartTimeout) + Self.slack), cancellation: cancellation)
    do throws(ProcessManagerError) {
      let driver = try driver(within: limit)
      // What is stopped is also started, however long the stop takes: given up in between it would stay down.
      let isOneOrder = steps(of: driver).count == 1
      let patience = WaitLimit(until: .after(.milliseconds(service.restartTimeout) + Self.patienceWithStop))
      let (step, before, handover) = try give(driver, within: isOneOrder ? limit : patience, post)
      if let handover { awaitHandover(handover, within: limit, post) }
      watch(driver, StartWatch(step, before: before), before, within: limit, post)
    } catch {
      post(.refused("\(error)"))
      if !error.output.isEmpty { post(.output(error.output)) }
    }
  }

  /// A HUP goes to the master, even if it is a process manager that has started it.
  private func driver(within limit: WaitLimit) throws(ProcessManagerError) -> any ProcessManagerDriver {
    guard let manager = service.manager else {
      throw ProcessManagerError(
        .refused, "nothing is known that restarts it", advice: "name its service in the configuration")
    }
    let driver = manager.driver
    guard isReload else { return driver }
    // It is found once: when old workers have ended nobody may be known who listens, or there may be no pid file for a
    // moment.
    let status = try driver.inspect(target, within: limit.atMost(Self.lookTime))
    if let process = status.process { return SignalDriver(process: process) }
    return driver.restartSteps.contains(.reload) ? driver : SignalDriver(.listener)
  }

  /// What is down is started, where that is another command than the one that restarts it.
  private func steps(of driver: any ProcessManagerDriver) -> [RestartStep] {
    if isDown, case .command(_, start: _?, _) = service.manager { return [.start] }
    return driver.restartSteps
  }

  /// Gives the orders. Answers the last one, how the unit was right before it, and who is to be seen replaced.
  private func give(
    _ driver: any ProcessManagerDriver, within limit: WaitLimit, _ post: (News) -> Void
  ) throws(ProcessManagerError) -> (RestartStep, UnitStatus, WorkerHandover?) {
    var steps = steps(of: driver)[...]
    let last = steps.removeLast()
    for step in steps {
      if step == .stop { notes.add(target).map { post(.remark($0)) } }
      try perform(step, driver, within: limit, post)
      if step == .stop { try awaitStop(driver, within: limit) }
    }
    let isStopped = last == .start
    let before =
      try isStopped
      ? lookPatiently(driver, within: limit) : driver.inspect(target, within: limit.atMost(Self.lookTime))
    let handover = last == .reload ? WorkerHandover(before, at: target.endpoint) : nil
    do throws(ProcessManagerError) {
      try perform(last, driver, within: limit, post)
    } catch {
      // It is down because it can't be started, and not because nobody has come to it: a later proxy is not to try.
      if error.kind == .startFailed { notes.remove(target) }
      throw error
    }
    notes.remove(target)
    return (last, before, handover)
  }

  /// Until the old workers take no more connections, or there is no reason to wait for that.
  private func awaitHandover(_ handover: WorkerHandover, within limit: WaitLimit, _ post: (News) -> Void) {
    var limit = limit
    var hasBegun = false
    while handover.masterRuns, !handover.isDone {
      if !hasBegun, handover.hasBegun {
        hasBegun = true
        limit = limit.atMost(Self.handoverTime)
      }
      guard rest(Self.handoverInterval, within: limit) else { break }
    }
    post(.handedOver)
  }

  private func perform(
    _ step: RestartStep, _ driver: any ProcessManagerDriver, within limit: WaitLimit, _ post: (News) -> Void
  ) throws(ProcessManagerError) {
    let output = try driver.perform(step, on: target, within: limit)
    if !output.isEmpty { post(.output(output)) }
  }

  private func awaitStop(_ driver: any ProcessManagerDriver, within limit: WaitLimit)
    throws(ProcessManagerError)
  {
    while true {
      let status = try lookPatiently(driver, within: limit)
      switch status.state {
      case .stopped, .fatal, .missing, .unobservable: return
      case .starting, .running, .stopping, .failing: break
      }
      guard rest(Self.lookInterval, within: limit) else {
        throw ProcessManagerError(
          .timedOut, "\(target.unit) was told to stop and did not: \(status.description)",
          advice: "look at its log; its process manager kills it when its stop time-out has passed")
      }
    }
  }

  /// A look that is repeated while the process manager does not answer: what it was told to stop has to be started.
  private func lookPatiently(_ driver: any ProcessManagerDriver, within limit: WaitLimit)
    throws(ProcessManagerError) -> UnitStatus
  {
    while true {
      do throws(ProcessManagerError) {
        return try driver.inspect(target, within: limit.atMost(Self.lookTime))
      } catch {
        let mayAnswer = error.kind == .timedOut || error.kind == .unreachable
        guard mayAnswer, rest(Self.lookInterval, within: limit) else { throw error }
      }
    }
  }

  private func watch(
    _ driver: any ProcessManagerDriver, _ watch: StartWatch, _ before: UnitStatus, within limit: WaitLimit,
    _ post: (News) -> Void
  ) {
    var watch = watch
    var isDone = false
    var failures = 0
    repeat {
      do throws(ProcessManagerError) {
        let status = try driver.inspect(target, within: limit.atMost(Self.lookTime))
        failures = 0
        if status.state == .unobservable {
          post(.done(process: nil))
          return
        }
        let verdict = watch.judge(status)
        if case .failed(let reason) = verdict { return post(.died(failure(status.state, reason))) }
        if case .retrying(let reason) = verdict { return post(.died(.backOff(reason))) }
        if !isDone, hasStarted(verdict, status, before) {
          isDone = true
          post(.done(process: status.process))
        }
      } catch {
        if error.kind == .cancelled { return }
        failures += 1
        if failures == Self.remarkableFailures { post(.remark("\(target.upstream): \(error)")) }
      }
    } while rest(isDone ? Self.watchInterval : Self.lookInterval, within: limit)
  }

  /// It answers as soon as it can, whether or not its process manager takes it for running yet (supervisor's
  /// `startsecs`).
  private func hasStarted(_ verdict: StartWatch.Verdict, _ status: UnitStatus, _ before: UnitStatus) -> Bool {
    if case .started = verdict { return true }
    return status.state == .starting && status.process != nil && status.run != before.run
  }

  private func failure(_ state: UnitState, _ reason: String) -> ProcessFailure {
    state == .fatal ? .fatal(reason) : .exited(reason)
  }

  /// False when the limit has come.
  private func rest(_ time: Duration, within limit: WaitLimit) -> Bool {
    let end = try? pause(time, within: limit)
    return end != .cancelled && !limit.deadline.hasPassed
  }
}
