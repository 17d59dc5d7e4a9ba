@testable import GravityRestart

/// What must hold in every restart, whatever happens:
///
/// 1. An upstream that serves is taken out only if `min_available` others are eligible, and restarted only while they
///    are; never more than `max_unavailable` are out at a time.
/// 2. An upstream is restarted only with no lease alive, or when all that is left was cut and had time to end, and the
///    report says what was left. Nothing is cut before the budget of its class has run out, and the report says how much was cut; nothing is
///    waited for beyond it.
/// 3. Each upstream is restarted at most once, and only those of the plan are touched.
/// 4. What people withdrew is not touched, until they give it back.
/// 5. A restarted upstream gets traffic only after the last probe was answered well by a process that is not the one
///    from before, with the version on disk unless skew is allowed, and that is not known to be gone; a failed one gets none (but the only one of a pool).
/// 6. When it has ended, nothing drains, everything untouched is what it was, what failed is out, and the result agrees
///    with what happened to each upstream.
/// 7. It ends within `RestartPlan.longestTime`, and says so once (`Simulation.run`).
/// 8. After the word that it stops nothing is begun, and no drain is followed by a restart.
/// 9. Around a reload of the only upstream nothing is ended or cut, and requests are held no longer than its settling and
///    the time after it allow; they are held only where they can wait.
/// 10. Longest hold and downtime in the report are what they were.
struct SimulationInvariants {
  private let plan: RestartPlan
  private var drainBegan: [Int: Int64] = [:]
  /// Those that served when they were taken out.
  private var served: Set<Int> = []
  /// Those that drain, or are held, only around a reload.
  private var settling: Set<Int> = []
  /// When requests are held around a reload that was ordered.
  private var heldSince: [Int: Int64] = [:]
  private(set) var restarts: [Int: Int] = [:]
  private var processBefore: [Int: ServerIncarnation] = [:]
  private var goodAnswer: [Int: (incarnation: ServerIncarnation?, version: String)] = [:]
  /// Which processes the machine was told of last.
  private var known: [Int: ServerIncarnation] = [:]
  /// The same at the restart.
  private var knownBefore: [Int: ServerIncarnation] = [:]
  private var isStopping = false
  private var out: Set<Int> = []
  private var cuts: [Int: WorkInFlight] = [:]
  private var leftOver: [Int: Int] = [:]
  private var longestHold: Int64 = 0
  private var downtime: Int64 = 0
  private var touched: Set<Int> = []
  /// How often requests went on while an upstream reloaded.
  private(set) var resumed = 0
  private(set) var boots: [Simulation.Boot: Int] = [:]

  init(_ plan: RestartPlan) { self.plan = plan }

  mutating func pass(_ milliseconds: Int64, _ servers: [Simulation.Server]) {
    if !servers.contains(where: \.isEligible) { downtime += milliseconds }
  }

  /// What is waited for although its budget has run out.
  func overdue(at now: Int64, _ servers: [Simulation.Server]) -> [String] {
    servers.indices.filter { upstream in
      if settling.contains(upstream), let rule = plan.settling {
        if let held = heldSince[upstream] { return now > held + rule.after }
        let end = (drainBegan[upstream] ?? 0) + rule.before
        return servers[upstream].administration == .draining && now > end
      }
      guard servers[upstream].administration == .draining, let began = drainBegan[upstream] else {
        return false
      }
      return servers[upstream].leases.contains {
        $0.cutAt == nil && now > began + plan.policy.budgets.cut($0.kind)
      }
    }.map { "g\($0) still waits at \(now) ms" }
  }

  mutating func noteTold(_ incarnation: ServerIncarnation?, of upstream: Int) {
    known[upstream] = incarnation
  }
  mutating func noteHeld(_ milliseconds: Int64) { longestHold = max(longestHold, milliseconds) }
  mutating func noteBoot(_ boot: Simulation.Boot) { boots[boot, default: 0] += 1 }
  mutating func noteCut(_ kind: DrainClass, of upstream: Int) {
    cuts[upstream, default: WorkInFlight()][kind] += 1
  }
  mutating func noteGoodAnswer(of upstream: Int, _ server: Simulation.Server) {
    goodAnswer[upstream] = (server.incarnation, server.version)
  }

  // MARK: Actions

  /// What an action violates that is about to be carried out.
  mutating func violations(
    of action: RestartAction, at now: Int64, _ servers: [Simulation.Server], _ machine: RestartMachine
  ) -> [String] {
    var found: [String] = []
    func check(_ holds: Bool, _ text: String) {
      if !holds { found.append("\(now) ms, \(action): \(text)") }
    }
    if let upstream = action.touched {
      touched.insert(upstream)
      check(plan.order.contains(upstream), "not of the plan")
      check(servers[upstream].administration != .withdrawnByPeople, "withdrawn by people")
    }
    let eligible = servers.filter(\.isEligible).count
    switch action {
    case .report(.stopping): isStopping = true
    case .setDraining(let upstream):
      check(!isStopping, "while stopping")
      let serves = servers[upstream].isEligible
      if serves { served.insert(upstream) } else { served.remove(upstream) }
      check(!serves || eligible - 1 >= plan.minimumAvailable, "\(eligible) eligible before")
      drainBegan[upstream] = now
      if plan.skipsDrain, serves {
        settling.insert(upstream)
        check(plan.settling != nil && plan.method(upstream) == .reload, "held for nothing")
      } else {
        settling.remove(upstream)
      }
      out.insert(upstream)
      check(out.count <= plan.maximumUnavailable, "\(out) are out")
    case .restart(let upstream), .reload(let upstream):
      let server = servers[upstream]
      check(!isStopping, "while stopping")
      knownBefore[upstream] = known[upstream]
      check(
        !served.contains(upstream) || server.liveness != .up || eligible >= plan.minimumAvailable,
        "\(eligible) eligible")
      restarts[upstream, default: 0] += 1
      check(restarts[upstream] == 1, "restarted again")
      out.insert(upstream)
      check(out.count <= plan.maximumUnavailable, "\(out) are out")
      processBefore[upstream] = server.incarnation
      goodAnswer[upstream] = nil
      known[upstream] = nil
      if settling.contains(upstream) {
        let isRead = server.leases.allSatisfy { ![.ordinary, .upload].contains($0.kind) }
        let time = plan.settling?.before ?? 0
        check(isRead || now - (drainBegan[upstream] ?? now) >= time, "before it had settled")
        heldSince[upstream] = now
      } else if let began = drainBegan[upstream] {
        let budgets = plan.policy.budgets
        let hadTime = server.leases.allSatisfy { $0.cutAt.map { now - $0 >= budgets.afterLastCut } ?? false }
        check(hadTime || now - began >= budgets.limit, "\(server.leases.count) leases alive")
        leftOver[upstream] = server.leases.count
      } else {
        check(plan.skipsDrain && server.liveness == .up, "without a drain")
        check(action == .reload(upstream) || plan.method(upstream) == .handOver, "without a drain")
      }
    case .resume(let upstream):
      check(heldSince.removeValue(forKey: upstream) != nil, "nothing is held")
      resumed += 1
    case .cutRemaining(let upstream, let kind):
      check(!settling.contains(upstream), "around a reload")
      check(now - (drainBegan[upstream] ?? now) >= plan.policy.budgets.cut(kind), "before its budget ran out")
      check(servers[upstream].leases.contains { $0.kind == kind }, "nothing to cut")
    case .closeTunnels(let upstream):
      check(!settling.contains(upstream), "around a reload")
      check(now - (drainBegan[upstream] ?? now) >= plan.policy.budgets.tunnel, "before its budget ran out")
    case .beginProbation(let upstream, _):
      check(
        isProven(upstream, servers[upstream], machine),
        "unproven: \(String(describing: goodAnswer[upstream]))")
    case .admit(let upstream):
      out.remove(upstream)
      heldSince[upstream] = nil
      if restarts[upstream] != nil, plan.upstreams.count > 1 {
        check(machine.phase(of: upstream) == .completed, "has failed")
        check(
          isProven(upstream, servers[upstream], machine),
          "unproven: \(String(describing: goodAnswer[upstream]))")
      }
    case .keepOut(let upstream):
      out.remove(upstream)
      let wasKeptOut = plan.upstreams[upstream].standing == .keptOut
      check(plan.upstreams.count > 1 || wasKeptOut && restarts[upstream] == nil, "the only one")
    case .endEventStreams(let upstream): check(!settling.contains(upstream), "around a reload")
    case .beginPreflight, .probe, .raiseShare, .report, .finish: break
    }
    return found
  }

  private func isProven(
    _ upstream: Int, _ server: Simulation.Server, _ machine: RestartMachine
  ) -> Bool {
    guard let answer = goodAnswer[upstream] else { return false }
    if let known = known[upstream], known != answer.incarnation { return false }
    let isNew =
      [.reload, .handOver].contains(plan.method(upstream)) || processBefore[upstream] == nil
      || answer.incarnation != processBefore[upstream]
    return isNew && (plan.policy.readiness.allowsVersionSkew || answer.version == "2")
  }

  // MARK: The end

  func violations(after outcome: RestartOutcome, _ servers: [Simulation.Server]) -> [String] {
    var found: [String] = []
    func check(_ holds: Bool, _ text: String) { if !holds { found.append("\(outcome.result): \(text)") } }
    check(outcome.longestHold == longestHold, "longest hold \(outcome.longestHold), was \(longestHold)")
    check(outcome.downtime == downtime, "downtime \(outcome.downtime), was \(downtime)")
    check(outcome.total <= plan.longestTime, "took \(outcome.total) of \(plan.longestTime)")
    check(outcome.upstreams.map(\.name) == plan.order.map { plan.upstreams[$0].name }, "other upstreams")
    for (upstream, report) in zip(plan.order, outcome.upstreams) {
      found += violations(of: report, upstream, servers[upstream]).map { "\(outcome.result): \($0)" }
    }
    for upstream in servers.indices {
      check(servers[upstream].administration != .draining, "g\(upstream) drains")
    }
    let fates = outcome.upstreams.map(\.fate)
    let hasFailed = fates.contains { if case .failed = $0 { true } else { false } }
    switch outcome.result {
    case .completed: check(fates.allSatisfy { $0 == .restarted }, "\(fates)")
    case .refused, .rehearsed: check(touched.isEmpty && restarts.isEmpty, "touched \(touched)")
    case .stopped(.aborted): check(!hasFailed && fates.contains(.untouched), "\(fates)")
    case .stopped(.halted(.upstreamFailed(let upstream, let fault))):
      check(plan.order.firstIndex(of: upstream).map { fates[$0] } == .failed(fault), "\(fates)")
    case .stopped(.halted(.tooFewAvailable)): check(!hasFailed && fates.contains(.untouched), "\(fates)")
    }
    return found
  }

  private func violations(
    of report: UpstreamReport, _ upstream: Int, _ server: Simulation.Server
  ) -> [String] {
    var found: [String] = []
    func check(_ holds: Bool, _ text: String) { if !holds { found.append("\(report.name): \(text)") } }
    let isTheirs = server.administration == .withdrawnByPeople
    let wasKeptOut = plan.upstreams[upstream].standing == .keptOut
    check(
      report.cut == cuts[upstream] ?? WorkInFlight(), "cut \(report.cut), was \(cuts[upstream]?.total ?? 0)")
    check(report.leftOver.total == leftOver[upstream] ?? 0, "left over \(report.leftOver.total)")
    switch report.fate {
    case .untouched:
      check(restarts[upstream] == nil, "restarted and called untouched")
      check(isTheirs || server.administration == (wasKeptOut ? .maintenance : .ready), "not given back")
    case .restarted:
      check(restarts[upstream] == 1, "never restarted")
      check(report.incarnationBefore == knownBefore[upstream], "another one before is reported")
      check(isTheirs || server.administration == .ready, "not ready")
      check(report.incarnationAfter == goodAnswer[upstream]?.incarnation, "another one is reported")
    case .failed(let fault):
      let expected: Simulation.Administration =
        switch fault.aftermath {
        case .staysOut: plan.upstreams.count == 1 ? .ready : .maintenance
        case .returns: wasKeptOut ? .maintenance : .ready
        case .isLeftAlone: server.administration
        }
      check(isTheirs || server.administration == expected, "\(fault) left it \(server.administration)")
    }
    return found
  }
}
