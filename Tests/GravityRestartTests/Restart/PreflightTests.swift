import Testing

@testable import GravityRestart

/// What is found before anything is touched, and whether it is a reason to touch nothing.
@Suite struct PreflightTests {
  static let up: Set<Int> = [0, 1]

  private func problems(
    _ facts: PreflightFacts, standing: UpstreamStanding = .ready, startsStopped: Bool = false,
    upstream: PlannedUpstream = PlannedUpstream(name: "g0"), available: Set<Int> = up
  ) throws -> [PreflightProblem] {
    var policy = RestartPolicy()
    policy.startsStopped = startsStopped
    let plan = try RestartPlan(upstreams: [upstream, PlannedUpstream(name: "g1")], policy: policy)
    return plan.problems(
      [0: facts, 1: PreflightFacts()], standing: [standing, .ready], available: available)
  }

  /// What is found, the problem that it is, and whether `--start-if-stopped` makes it none.
  static let table: [(PreflightFacts, PreflightProblem, Bool)] = [
    (PreflightFacts(answers: false), .notAnswering(0), true),
    (PreflightFacts(unit: .stopped, answers: false), .stopped(0), true),
    (PreflightFacts(unit: .failed("FATAL"), answers: false), .failed(0, "FATAL"), true),
    (PreflightFacts(unit: .unknown("gunicorn:gunicorn_0")), .unknownUnit(0, "gunicorn:gunicorn_0"), false),
    (PreflightFacts(unit: .managerUnreachable("ENOENT")), .managerUnreachable(0, "ENOENT"), false),
    (PreflightFacts(unit: .forbidden("EACCES")), .forbidden(0, "EACCES"), false),
  ]

  @Test(arguments: table)
  func whatIsFoundIsAProblemOrNot(
    _ facts: PreflightFacts, _ problem: PreflightProblem, _ isStarted: Bool
  ) throws {
    #expect(try problems(facts) == [problem])
    #expect(try problems(facts, startsStopped: true) == (isStarted ? [] : [problem]))
  }

  @Test func standingDecidesToo() throws {
    #expect(try problems(PreflightFacts()) == [])
    #expect(try problems(PreflightFacts(), standing: .keptOut) == [.keptOut(0)])
    #expect(try problems(PreflightFacts(), standing: .keptOut, startsStopped: true) == [])
    #expect(try problems(PreflightFacts(), standing: .withdrawn) == [.withdrawn(0)])
    #expect(try problems(PreflightFacts(), standing: .withdrawn, startsStopped: true) == [.withdrawn(0)])
  }

  @Test func aReloadOfPreloadedCodeIsRefused() throws {
    let preloaded = PlannedUpstream(name: "g0", method: .reload, isPreloaded: true)
    #expect(try problems(PreflightFacts(), upstream: preloaded) == [.reloadKeepsCode(0)])
    let other = PlannedUpstream(name: "g0", method: .reload, isPreloaded: false)
    #expect(try problems(PreflightFacts(), upstream: other) == [])
  }

  /// (upstreams, eligible, min_available, only) and whether enough stay.
  static let capacity: [(Int, Set<Int>, Int, [String]?, Int?)] = [
    (2, [0, 1], 1, nil, nil), (2, [0, 1], 2, nil, 1), (2, [0, 1], 0, nil, nil),
    // g1 is not restarted and down: nobody is left for g0.
    (2, [0], 1, ["g0"], 0),
    // g1 is down and is what is brought up.
    (2, [0], 1, ["g1"], nil), (2, [0], 1, nil, nil),
    (3, [0, 1], 2, ["g0"], 1), (3, [0, 1], 2, nil, nil), (3, [], 1, ["g0"], nil),
    (1, [0], 1, nil, nil), (1, [], 1, nil, nil),
  ]

  @Test(arguments: capacity)
  func enoughHaveToStay(
    _ count: Int, _ available: Set<Int>, _ minimum: Int, _ only: [String]?, _ left: Int?
  ) throws {
    var policy = RestartPolicy()
    policy.minimumAvailable = .number(minimum)
    let plan = try RestartPlan(upstreams: upstreams(count), only: only, policy: policy)
    let facts = Dictionary(uniqueKeysWithValues: plan.order.map { ($0, PreflightFacts()) })
    let found = plan.problems(
      facts, standing: Array(repeating: .ready, count: count), available: available)
    #expect(found == (left.map { [.tooFewLeft($0, needed: minimum)] } ?? []))
  }

  @Test func everyProblemSaysWhatToDo() throws {
    let plan = try RestartPlan(upstreams: upstreams(1))
    let problems: [PreflightProblem] = [
      .notAnswering(0), .stopped(0), .failed(0, "FATAL"), .unknownUnit(0, "u"),
      .managerUnreachable(0, "ENOENT"),
      .forbidden(0, "EACCES"), .keptOut(0), .withdrawn(0), .reloadKeepsCode(0), .timedOut(0),
    ]
    let texts = problems.map(plan.describe)
    #expect(texts.allSatisfy { $0.contains("g0") })
    #expect(Set(texts).count == texts.count)
    #expect(plan.describe(.tooFewLeft(0, needed: 1)).contains("min_available is 1"))
  }

  @Test func oneProblemOfOneLeavesAllUntouched() throws {
    var run = DrivenMachine(try RestartPlan(upstreams: upstreams(3)))
    #expect(run.actions.last == .beginPreflight([0, 1, 2]))
    run.tell(.preflight(0, PreflightFacts()))
    run.tell(.preflight(2, PreflightFacts()))
    run.tell(.preflight(1, PreflightFacts(unit: .stopped, answers: false)))
    #expect(run.outcome?.result == .refused([.stopped(1)]))
    #expect(run.outcome?.upstreams.map(\.fate) == [.untouched, .untouched, .untouched])
    #expect(run.actions.allSatisfy { $0.touched == nil })
  }

  @Test func whatIsNotFoundInTimeIsAProblem() throws {
    var run = DrivenMachine(try RestartPlan(upstreams: upstreams(2)))
    run.tell(.preflight(1, PreflightFacts()))
    run.tick()
    #expect(run.outcome?.result == .refused([.timedOut(0)]))
    #expect(run.outcome?.total == RestartPolicy().preflightTimeout)
  }

  @Test func aDryRunEndsHere() throws {
    var run = DrivenMachine(try RestartPlan(upstreams: upstreams(2), isDryRun: true))
    run.passPreflight()
    #expect(run.outcome?.result == .rehearsed)
    #expect(run.outcome?.facts.count == 2)
    #expect(run.actions.allSatisfy { $0.touched == nil })
  }

  @Test func thoseThatAreDownAreBroughtUpFirst() throws {
    var policy = RestartPolicy()
    policy.startsStopped = true
    var members = upstreams(3)
    members[2].liveness = .down
    members[1].standing = .keptOut
    var run = DrivenMachine(try RestartPlan(upstreams: members, policy: policy))
    run.tell(.preflight(0, PreflightFacts(incarnation: incarnation(0))))
    run.tell(.preflight(1, PreflightFacts(incarnation: incarnation(1))))
    let first = run.tell(.preflight(2, PreflightFacts(unit: .stopped, answers: false)))
    #expect(first == [.setDraining(1)])
    run.restart(1)
    run.tell(
      1, .sampled(own: TrafficSample(requests: 20), others: TrafficSample(requests: 20)), after: 10_000)
    let second = run.tell(
      1, .sampled(own: TrafficSample(requests: 20), others: TrafficSample(requests: 20)), after: 10_000)
    #expect(second == [.admit(1), .setDraining(2)])
  }
}
