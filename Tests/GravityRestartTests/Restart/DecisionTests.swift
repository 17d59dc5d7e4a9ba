import Testing

@testable import GravityRestart

/// The tables of what a plan decides before anything happens.
@Suite struct RestartPlanTests {
  private static func plan(
    _ count: Int, out: UpstreamQuantity = .number(1), left: UpstreamQuantity = .number(1),
    only: [String]? = nil
  ) throws -> RestartPlan {
    var policy = RestartPolicy()
    policy.maximumUnavailable = out
    policy.minimumAvailable = left
    return try RestartPlan(upstreams: upstreams(count), only: only, policy: policy)
  }

  /// (upstreams, max_unavailable, min_available) and (at a time, stay eligible).
  static let arithmetic: [(Int, UpstreamQuantity, UpstreamQuantity, Int, Int)] = [
    (1, .number(1), .number(1), 1, 0), (1, .percent(100), .percent(100), 1, 0),
    (2, .number(1), .number(1), 1, 1), (2, .number(2), .number(1), 1, 1), (2, .number(2), .number(0), 2, 0),
    (2, .number(1), .number(2), 0, 2), (2, .number(1), .percent(51), 0, 2),
    (2, .percent(49), .percent(50), 1, 1),
    (4, .percent(50), .number(1), 2, 1), (4, .percent(50), .percent(75), 1, 3),
    (4, .percent(24), .number(1), 1, 1),
    (4, .number(0), .number(1), 1, 1), (4, .number(9), .number(1), 3, 1), (4, .number(9), .number(9), 0, 9),
    (5, .percent(50), .percent(50), 2, 3), (5, .percent(100), .percent(1), 4, 1),
    (10, .percent(25), .percent(70), 2, 7), (10, .percent(35), .percent(70), 3, 7),
  ]

  @Test(arguments: arithmetic)
  func howManyAtATime(
    _ count: Int, _ out: UpstreamQuantity, _ left: UpstreamQuantity, _ atATime: Int, _ stay: Int
  ) throws {
    let plan = try Self.plan(count, out: out, left: left)
    #expect(plan.maximumUnavailable == atATime)
    #expect(plan.minimumAvailable == stay)
  }

  @Test func theOrderIsThatOfThePoolOrOfTheNames() throws {
    #expect(try Self.plan(3).order == [0, 1, 2])
    #expect(try Self.plan(3, only: ["g2", "g0"]).order == [2, 0])
  }

  @Test(arguments: [
    ([], RestartPlanError.nothingChosen, "no upstream is named; expected at least one"),
    (["g1", "g1"], .namedTwice("g1"), "upstream 'g1' is named twice"),
    (
      ["g2"], .unknownUpstream("g2", known: ["g0", "g1"]),
      "unknown upstream 'g2'; expected one of g0, g1 (did you mean 'g0'?)"
    ),
    (
      ["gunicorn"], .unknownUpstream("gunicorn", known: ["g0", "g1"]),
      "unknown upstream 'gunicorn'; expected one of g0, g1"
    ),
  ])
  func wrongNamesAreErrors(_ only: [String], _ error: RestartPlanError, _ text: String) {
    #expect(throws: error) { try Self.plan(2, only: only) }
    #expect(error.description == text)
  }
}

@Suite struct RestartApproachTests {
  /// (upstreams, method, preloaded, hold, last absence) and the choice. A restart may take 300 s.
  static let table: [(Int, RestartMethod, Bool, Int64, Int64?, RestartApproach)] = [
    (2, .replace, true, 0, nil, .othersServe), (2, .reload, false, 0, nil, .othersServe),
    (3, .replace, false, 600_000, 1, .othersServe),
    (1, .reload, false, 600_000, 1, .reload(.configured)), (1, .reload, true, 0, nil, .reload(.configured)),
    (1, .replace, true, 0, nil, .hold(.preloadedButShort)),
    (1, .replace, true, 299_999, nil, .hold(.preloadedButShort)),
    (1, .replace, true, 300_000, nil, .hold(.preloaded)),
    (1, .replace, true, 40_000, 40_000, .hold(.preloaded)),
    (1, .replace, true, 40_000, 40_001, .hold(.preloadedButShort)),
    (1, .replace, false, 300_000, nil, .hold(.longEnough)),
    (1, .replace, false, 60_000, 35_000, .hold(.longEnough)),
    (1, .replace, false, 60_000, nil, .reload(.holdTooShort)),
    (1, .replace, false, 30_000, 35_000, .reload(.holdTooShort)),
    (1, .replace, false, 0, 35_000, .reload(.holdTooShort)),
    (2, .command, true, 0, nil, .othersServe), (2, .handOver, true, 0, nil, .othersServe),
    (1, .command, true, 0, nil, .hold(.preloadedButShort)),
    (1, .command, true, 300_000, nil, .hold(.preloaded)),
    (1, .command, false, 300_000, nil, .hold(.longEnough)),
    (1, .command, false, 0, nil, .reload(.holdTooShort)),
    (1, .handOver, true, 300_000, nil, .hold(.longEnough)),
    (1, .handOver, false, 40_000, 40_000, .hold(.longEnough)),
    (1, .handOver, true, 40_000, 40_001, .reload(.keepsSocket)),
    (1, .handOver, false, 0, nil, .reload(.keepsSocket)),
  ]

  @Test(arguments: table)
  func theOnlyUpstreamIsHeldOrReloaded(
    _ count: Int, _ method: RestartMethod, _ isPreloaded: Bool, _ holdTime: Int64, _ absence: Int64?,
    _ expected: RestartApproach
  ) {
    let upstream = PlannedUpstream(name: "g0", method: method, isPreloaded: isPreloaded)
    let chosen = RestartApproach.choose(
      count: count, upstream: upstream, holdTime: holdTime, absence: absence)
    #expect(chosen == expected)
  }

  @Test func everyChoiceIsExplainedInItsOwnWords() {
    let all: [RestartApproach] = [
      .othersServe, .hold(.longEnough), .hold(.preloaded), .hold(.preloadedButShort), .reload(.configured),
      .reload(.keepsSocket), .reload(.holdTooShort),
    ]
    #expect(Set(all.map(\.explanation)).count == all.count)
  }
}

@Suite struct ProbationRuleTests {
  typealias Sample = TrafficSample

  static func errors(_ own: Sample, _ others: Sample) -> ProbationRule.Verdict {
    .failed(.errors(own: own, others: others))
  }

  /// (own, others, elapsed) and the verdict, with the rule's defaults: 20 requests, 10 to 30 s, 5 points, three times
  /// the latency and 250 ms.
  static let table: [(Sample, Sample, Int64, ProbationRule.Verdict)] = [
    // Where nobody has much to do a step takes its least time, and what there is counts.
    (Sample(), Sample(), 9_999, .undecided),
    (Sample(), Sample(), 10_000, .passed),
    (Sample(requests: 3), Sample(requests: 19), 10_000, .passed),
    (Sample(requests: 3), Sample(requests: 20), 10_000, .undecided),
    (
      Sample(requests: 3, failures: 2), Sample(requests: 19), 10_000,
      errors(Sample(requests: 3, failures: 2), Sample(requests: 19))
    ),
    // Too little to say anything, until it is over.
    (Sample(requests: 19), Sample(requests: 99), 29_999, .undecided),
    (Sample(requests: 19), Sample(requests: 99), 30_000, .passed),
    (Sample(), Sample(), 30_000, .passed),
    (Sample(requests: 1, failures: 1), Sample(requests: 99), 30_000, .passed),
    // Enough: bad at once, good after the shortest time.
    (Sample(requests: 20), Sample(requests: 99), 9_999, .undecided),
    (Sample(requests: 20), Sample(requests: 99), 10_000, .passed),
    (
      Sample(requests: 20, failures: 2), Sample(requests: 99), 1,
      errors(Sample(requests: 20, failures: 2), Sample(requests: 99))
    ),
    (Sample(requests: 19, failures: 19), Sample(requests: 99), 1, .undecided),
    (
      Sample(requests: 19, failures: 19), Sample(requests: 99), 30_000,
      errors(Sample(requests: 19, failures: 19), Sample(requests: 99))
    ),
    // Five points more than the others are tolerated, not one failure beyond.
    (Sample(requests: 100, failures: 5), Sample(requests: 100), 10_000, .passed),
    (
      Sample(requests: 100, failures: 6), Sample(requests: 100), 10_000,
      errors(Sample(requests: 100, failures: 6), Sample(requests: 100))
    ),
    (Sample(requests: 100, failures: 15), Sample(requests: 100, failures: 10), 10_000, .passed),
    (
      Sample(requests: 100, failures: 16), Sample(requests: 100, failures: 10), 10_000,
      errors(Sample(requests: 100, failures: 16), Sample(requests: 100, failures: 10))
    ),
    // Without others the tolerance alone counts.
    (Sample(requests: 100, failures: 5), Sample(), 10_000, .passed),
    (
      Sample(requests: 100, failures: 6), Sample(), 10_000,
      errors(Sample(requests: 100, failures: 6), Sample())
    ),
    // Latency: the larger of both margins, at the end only, with enough on both sides.
    (Sample(requests: 20, latency: 260), Sample(requests: 20, latency: 10), 10_000, .passed),
    (
      Sample(requests: 20, latency: 261), Sample(requests: 20, latency: 10), 10_000,
      .failed(.latency(own: 261, others: 10))
    ),
    (Sample(requests: 20, latency: 600), Sample(requests: 20, latency: 200), 10_000, .passed),
    (
      Sample(requests: 20, latency: 601), Sample(requests: 20, latency: 200), 10_000,
      .failed(.latency(own: 601, others: 200))
    ),
    (Sample(requests: 20, latency: 9_000), Sample(requests: 20, latency: 10), 9_999, .undecided),
    (Sample(requests: 19, latency: 9_000), Sample(requests: 20, latency: 10), 30_000, .passed),
    (Sample(requests: 20, latency: 9_000), Sample(requests: 19, latency: 10), 10_000, .passed),
    (Sample(requests: 20), Sample(requests: 20, latency: 10), 10_000, .passed),
  ]

  @Test(arguments: table)
  func aStepIsJudged(_ own: Sample, _ others: Sample, _ elapsed: Int64, _ verdict: ProbationRule.Verdict) {
    #expect(ProbationRule().verdict(own: own, others: others, elapsed: elapsed) == verdict)
  }
}

@Suite struct ExitStatusTests {
  @Test func everyEndHasItsStatus() {
    #expect(RestartResult.completed.exitStatus == 0)
    #expect(RestartResult.rehearsed.exitStatus == 0)
    #expect(RestartResult.stopped(.halted(.tooFewAvailable(available: 0, needed: 1))).exitStatus == 1)
    #expect(RestartResult.refused([.stopped(0)]).exitStatus == 4)
    #expect(RestartResult.stopped(.aborted).exitStatus == 5)
  }
}
