/// The end of the work of one upstream: what is waited for, ended and cut, and when.
struct UpstreamDrain: Hashable, Sendable {
  let began: Int64
  /// Milliseconds that it takes at most, and then nothing is waited for, ended or cut; nil for a drain by budgets.
  let settlingTime: Int64?
  /// Nil until the first report.
  private(set) var inFlight: WorkInFlight?
  private var tunnelsAreClosing = false
  /// Classes whose budget ran out.
  private var expired: Set<DrainClass> = []
  private var lastCut: Int64?

  init(began: Int64, settlingTime: Int64? = nil) {
    self.began = began
    self.settlingTime = settlingTime
  }

  /// What stands between a drain and a restart.
  enum Standing: Hashable {
    case waiting
    /// Nothing is alive.
    case drained
    /// Time ran out, and this is alive all the same.
    case leftOver(WorkInFlight)
    /// Time ran out without a report.
    case unobserved
    /// What was sent has been read, as far as that can be waited for.
    case settled
  }

  /// What is in flight has changed, or was told first.
  mutating func note(
    _ work: WorkInFlight, at now: Int64, of upstream: Int, in report: inout UpstreamReport,
    into actions: inout [RestartAction]
  ) {
    let before = inFlight ?? WorkInFlight()
    if inFlight == nil { report.waitedFor = work }
    inFlight = work
    if settlingTime != nil { return }
    // A request that was under way can still turn into a stream or a tunnel, after the others were ended.
    if work[.eventStream] > before[.eventStream] { actions.append(.endEventStreams(upstream)) }
    if tunnelsAreClosing, work[.tunnel] > before[.tunnel] { actions.append(.closeTunnels(upstream)) }
    for kind in DrainClass.allCases where expired.contains(kind) && work[kind] > before[kind] {
      report.cut[kind] += work[kind] - before[kind]
      lastCut = now
      actions.append(.cutRemaining(upstream, kind))
    }
  }

  /// Cuts what is over its budget.
  mutating func pass(
    to now: Int64, _ budgets: DrainBudgets, of upstream: Int, in report: inout UpstreamReport,
    into actions: inout [RestartAction]
  ) {
    if settlingTime != nil { return }
    if !tunnelsAreClosing, now >= began + budgets.tunnel {
      tunnelsAreClosing = true
      if let inFlight, inFlight[.tunnel] > 0 { actions.append(.closeTunnels(upstream)) }
    }
    for kind in DrainClass.allCases where now >= began + budgets.cut(kind) {
      guard expired.insert(kind).inserted, let inFlight, inFlight[kind] > 0 else { continue }
      report.cut[kind] += inFlight[kind]
      lastCut = now
      actions.append(.cutRemaining(upstream, kind))
    }
  }

  func standing(at now: Int64, _ budgets: DrainBudgets) -> Standing {
    if let settlingTime {
      // Of streams and tunnels nothing is on its way that could be lost unread.
      let isRead = inFlight.map { $0[.ordinary] + $0[.upload] == 0 } ?? false
      return isRead || now >= began + settlingTime ? .settled : .waiting
    }
    let isOver = now >= end(budgets)
    guard let inFlight else { return isOver ? .unobserved : .waiting }
    if inFlight.total == 0 { return .drained }
    return isOver ? .leftOver(inFlight) : .waiting
  }

  /// When it is over in any case: when everything that is left was cut and had time to end.
  private func end(_ budgets: DrainBudgets) -> Int64 {
    let limit = began + budgets.limit
    guard let inFlight, let lastCut else { return limit }
    let isAllCut = DrainClass.allCases.allSatisfy { inFlight[$0] == 0 || expired.contains($0) }
    return isAllCut ? min(lastCut + budgets.afterLastCut, limit) : limit
  }

  /// When something is due next.
  func deadline(_ budgets: DrainBudgets) -> Int64 {
    if let settlingTime { return began + settlingTime }
    var times = DrainClass.allCases.filter { !expired.contains($0) }.map(budgets.cut)
    if !tunnelsAreClosing { times.append(budgets.tunnel) }
    return times.reduce(end(budgets)) { min($0, began + $1) }
  }
}
