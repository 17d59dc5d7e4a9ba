/// The wait for a restarted upstream: good answers in a row by one new incarnation.
struct ReadinessWatch: Hashable, Sendable {
  /// When the wait began.
  let began: Int64
  /// When the restart time-out runs out.
  let deadline: Int64
  /// Nil while a probe is under way, as when the wait begins.
  private(set) var nextProbe: Int64?
  private(set) var obstacle = ReadinessObstacle.neverAnswered
  private(set) var incarnation: ServerIncarnation?
  private(set) var version: String?
  private var successes = 0

  init(began: Int64, deadline: Int64) {
    self.began = began
    self.deadline = deadline
  }

  /// What an answer came to.
  enum Verdict: Hashable {
    case undecided
    case ready
    case failed(UpstreamFault)
  }

  /// What a good answer has to show.
  struct Expectation: Hashable {
    /// Who must not be the one that answers; nil when it was not known, or may stay.
    let before: ServerIncarnation?
    /// Nil when any version will do.
    let version: String?
    /// The version of processes from before that may still answer behind the same socket; nil when none can.
    let lingering: String?
    /// What it means that `before` answers.
    let obstacle: ReadinessObstacle

    init(_ method: RestartMethod, before: ServerIncarnation?, versionBefore: String?, version: String?) {
      self.version = version
      switch method {
      case .replace: (self.before, lingering, obstacle) = (before, nil, .notANewIncarnation(before))
      case .command: (self.before, lingering, obstacle) = (before, nil, .socketStays)
      case .reload: (self.before, lingering, obstacle) = (nil, nil, .neverAnswered)
      case .handOver: (self.before, lingering, obstacle) = (nil, versionBefore, .neverAnswered)
      }
    }
  }

  /// Notes that a probe goes out.
  mutating func sendProbe() { nextProbe = nil }

  mutating func note(_ answer: ProbeAnswer, at now: Int64, _ expected: Expectation, _ rule: ReadinessRule)
    -> Verdict
  {
    nextProbe = now + rule.interval
    switch answer {
    case .bad(let reason):
      successes = 0
      obstacle = .badAnswer(reason)
      return .undecided
    case .good(let answering, let version):
      if let before = expected.before, answering == nil || answering == before {
        successes = 0
        obstacle = answering == nil ? .notANewIncarnation(nil) : expected.obstacle
        return .undecided
      }
      if let onDisk = expected.version, version != onDisk {
        if let version, version == expected.lingering {
          successes = 0
          obstacle = .oldVersion(version, onDisk: onDisk)
          return .undecided
        }
        // A process never changes the version that it has loaded.
        return .failed(.wrongVersion(running: version, onDisk: onDisk))
      }
      successes = successes > 0 && answering == incarnation ? successes + 1 : 1
      incarnation = answering
      self.version = version
      obstacle = .tooFewAnswers(successes)
      return successes >= rule.successes ? .ready : .undecided
    }
  }
}
