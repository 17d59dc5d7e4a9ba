/// One upstream on probation: the step that it is in, and what traffic has shown there.
struct ProbationWatch: Hashable, Sendable {
  /// When the first step began.
  let began: Int64
  /// Who is on probation; nil when it can't be told.
  let incarnation: ServerIncarnation?
  private var step = 0
  private var stepBegan: Int64
  private var own = TrafficSample()
  private var others = TrafficSample()

  init(began: Int64, incarnation: ServerIncarnation?) {
    self.began = began
    self.incarnation = incarnation
    stepBegan = began
  }

  enum Verdict: Hashable {
    case undecided
    /// The next step begins, with this share.
    case raise(share: Int)
    case passed
    case failed(UpstreamFault)
  }

  mutating func note(own: TrafficSample, others: TrafficSample) {
    self.own = own
    self.others = others
  }

  mutating func judge(at now: Int64, _ rule: ProbationRule) -> Verdict {
    switch rule.verdict(own: own, others: others, elapsed: now - stepBegan) {
    case .undecided: return .undecided
    case .failed(let finding): return .failed(.worseThanOthers(finding))
    case .passed:
      step += 1
      guard step < rule.shares.count else { return .passed }
      stepBegan = now
      own = TrafficSample()
      others = TrafficSample()
      return .raise(share: rule.shares[step])
    }
  }

  func deadline(_ rule: ProbationRule) -> Int64 { stepBegan + rule.longestDuration }
}
