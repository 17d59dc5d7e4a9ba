/// Judges from what `inspect` shows after a step whether the unit has been started anew, so that a failed boot is
/// noticed when the process manager knows of it, and not when nothing has answered for minutes.
public struct StartWatch: Sendable {
  public enum Verdict: Hashable, Sendable {
    /// Not yet, or not to be seen.
    case waiting
    /// It runs, started since the step, by this main process (nil: the process manager knows of none).
    case started(process: Int32?)
    /// It has died since the step and the process manager tries again, or has done so.
    case retrying(reason: String)
    /// It doesn't run and won't.
    case failed(reason: String)
  }

  private let step: RestartStep
  private let before: UnitStatus
  /// The latest run that is not the one from before.
  private var newRun: String?
  private var fewestRestarts: Int?
  private var hasDied = false

  /// - Parameters:
  ///   - step: `start`, `restart` or `reload`.
  ///   - before: the unit as it was right before the step.
  public init(_ step: RestartStep, before: UnitStatus) {
    precondition(step != .stop, "nothing starts after a stop")
    self.step = step
    self.before = before
    fewestRestarts = before.automaticRestarts
  }

  /// Takes in what was seen, in order. Once a unit has died no verdict is `started` again: the process manager may
  /// bring it up again and again.
  public mutating func judge(_ status: UnitStatus) -> Verdict {
    // What runs while it is still to be restarted is not the run that was ordered.
    if step == .restart, status.state == .running, status.hasPendingOrder { return .waiting }
    let mayBeNextTry = newRun == nil && before.state == .failing
    let isNew = noteRun(status)
    if isNew { noteRestarts(status, mayBeNextTry: mayBeNextTry) }
    switch status.state {
    case .unobservable, .stopping:
      return .waiting
    case .missing:
      return .failed(reason: status.description)
    case .stopped, .fatal:
      return status.hasPendingOrder ? .waiting : .failed(reason: status.description)
    case .failing:
      // What was failing before may wait for the order to reach it.
      if !isNew, status.hasPendingOrder { return .waiting }
      hasDied = true
      return .retrying(reason: status.description)
    case .starting, .running:
      if hasDied { return .retrying(reason: "it has died and was started again; \(status.description)") }
      guard status.state == .running else { return .waiting }
      return judgeRunning(status, isNew: isNew)
    }
  }

  private func judgeRunning(_ status: UnitStatus, isNew: Bool) -> Verdict {
    switch step {
    case .reload:
      if isNew {
        return .retrying(reason: "its main process has ended and is another one; \(status.description)")
      }
      let areReplaced = !status.workers.isEmpty && Set(status.workers).isDisjoint(with: before.workers)
      return areReplaced ? .started(process: status.process) : .waiting
    case .restart where !isNew && status.run != nil:
      return .failed(reason: "it was not restarted, the order was dropped; \(status.description)")
    case .restart, .start, .stop:
      return .started(process: status.process)
    }
  }

  /// True when the run is not the one from before. One more is a sign of death, unless the process manager counts and
  /// says that somebody's order started it.
  private mutating func noteRun(_ status: UnitStatus) -> Bool {
    guard let run = status.run else { return newRun != nil }
    guard run != before.run else { return false }
    if let newRun, newRun != run, status.automaticRestarts != 0 { hasDied = true }
    newRun = run
    return true
  }

  /// The count starts at 0 again when somebody starts the unit, so it is a sign of death if it has grown, and if it
  /// is smaller than before but not 0. The next try that a failing unit waits for anyway is counted, though its death
  /// was before the step: systemd makes one of it and the order if they meet.
  private mutating func noteRestarts(_ status: UnitStatus, mayBeNextTry: Bool) {
    guard let count = status.automaticRestarts, var fewest = fewestRestarts else { return }
    if mayBeNextTry, count == fewest + 1 { fewest = count }
    if count > fewest || (count > 0 && count < fewest) { hasDied = true }
    fewestRestarts = min(fewest, count)
  }
}
