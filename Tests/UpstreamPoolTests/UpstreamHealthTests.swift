import Testing

@testable import UpstreamPool

/// The health of one upstream, by reference.
private final class Patient {
  private var health: UpstreamHealth

  init(_ settings: HealthSettings = HealthSettings()) {
    health = UpstreamHealth(settings, now: 0)
  }

  var state: OperationalState { health.state }
  var downSince: Int64? { health.downSince }

  /// The new state; nil when it is the same.
  @discardableResult
  func fail(_ failure: UpstreamFailure, at now: Int64) -> OperationalState? {
    change { $0.trafficFailed(failure, now: now) }
  }

  @discardableResult
  func succeed(at now: Int64) -> OperationalState? { change { $0.trafficSucceeded(now: now) } }

  @discardableResult
  func probe(_ failure: UpstreamHealth.ProbeFailure?, at now: Int64) -> OperationalState? {
    change { health in
      if let failure { health.probeFailed(failure, now: now) } else { health.probeSucceeded(now: now) }
    }
  }

  @discardableResult
  func restart(at now: Int64) -> OperationalState? { change { $0.incarnationChanged(now: now) } }

  @discardableResult
  func removeSocket(at now: Int64) -> OperationalState? { change { $0.socketRemoved(now: now) } }

  @discardableResult
  func makeSocket(at now: Int64) -> OperationalState? { change { $0.socketMade(now: now) } }

  private func change(_ body: (inout UpstreamHealth) -> Void) -> OperationalState? {
    let before = state
    body(&health)
    return before == state ? nil : state
  }

  @discardableResult
  func takeTrial(at now: Int64) -> Bool { health.takeTrial(now: now) }
}

/// What traffic teaches, where nobody probes.
@Suite struct PassiveHealthTests {
  private static let repeatable = UpstreamFailure.allCases.filter {
    $0.countsAgainstHealth && !$0.isConclusive
  }
  private static let fall = HealthSettings().fall

  @Test func whichFailuresSayWhat() {
    #expect(UpstreamFailure.allCases.filter { !$0.countsAgainstHealth } == [.busy])
    #expect(UpstreamFailure.allCases.filter(\.isConclusive) == [.unreachable])
  }

  @Test func aFullBacklogIsNoFailure() {
    let health = Patient()
    for now in 0..<100 as Range<Int64> { #expect(health.fail(.busy, at: now) == nil) }
    #expect(health.state == .up)
  }

  @Test func oneConclusiveFailureIsEnough() {
    let health = Patient()
    #expect(health.fail(.unreachable, at: 7) == .down)
    #expect(health.downSince == 7)
  }

  @Test(arguments: repeatable)
  func othersNeedToRepeat(_ failure: UpstreamFailure) {
    let health = Patient()
    for now in 0..<Int64(Self.fall) - 1 { #expect(health.fail(failure, at: now) == nil) }
    #expect(health.fail(failure, at: 10) == .down)
  }

  @Test(arguments: repeatable)
  func aSuccessInBetweenStartsTheCountAnew(_ failure: UpstreamFailure) {
    let health = Patient()
    for now in 0..<50 as Range<Int64> {
      for _ in 0..<Self.fall - 1 { #expect(health.fail(failure, at: now) == nil) }
      #expect(health.succeed(at: now) == nil)
    }
    #expect(health.state == .up)
  }

  @Test func nobodyTriesWhatIsUp() {
    let health = Patient()
    #expect(!health.takeTrial(at: .max / 2))
    #expect(health.state == .up)
  }

  @Test func oneTrialAfterThePause() {
    let health = Patient()
    health.fail(.unreachable, at: 1_000)
    let times: [(Int64, Bool)] = [
      (1_000, false), (1_499, false), (1_500, true), (1_500, false), (5_499, false),
      // The first one never came to an end.
      (5_500, true), (5_501, false),
    ]
    for (now, expected) in times {
      #expect(health.takeTrial(at: now) == expected, "at \(now)")
    }
    #expect(health.state == .starting && health.downSince == 1_000)
  }

  @Test(arguments: [UpstreamFailure.unreachable, .timedOut])
  func eachTrialThatFailsDoublesThePauseUpToABound(_ failure: UpstreamFailure) {
    let health = Patient()
    var now: Int64 = 0
    health.fail(.unreachable, at: now)
    for pause in [500, 1_000, 2_000, 4_000, 4_000, 4_000] as [Int64] {
      #expect(!health.takeTrial(at: now + pause - 1))
      now += pause
      #expect(health.takeTrial(at: now), "after a pause of \(pause)")
      health.fail(failure, at: now)
      #expect(health.state != .up)
    }
    #expect(health.downSince == 0)
  }

  /// Guards against the requests that were under way when an upstream died: their failures are no trials, and do not
  /// put off its return.
  @Test func failuresThatAreNoTrialDoNotLengthenThePause() {
    let health = Patient()
    for now in 0..<100 as Range<Int64> { health.fail(.closedBeforeAnswer, at: now) }
    #expect(health.state == .down)
    #expect(health.takeTrial(at: 1 + UpstreamHealth.firstPause))
    for now in 600..<650 as Range<Int64> { health.fail(.timedOut, at: now) }
    #expect(health.takeTrial(at: 600 + 2 * UpstreamHealth.firstPause))
  }

  @Test func aSuccessEndsItAll() {
    let health = Patient()
    health.fail(.unreachable, at: 0)
    health.takeTrial(at: 500)
    health.fail(.unreachable, at: 500)
    #expect(health.succeed(at: 600) == .up)
    #expect(health.downSince == nil)
    #expect(health.succeed(at: 601) == nil)
    // The next failure begins with the first pause.
    health.fail(.unreachable, at: 1_000)
    #expect(health.takeTrial(at: 1_000 + UpstreamHealth.firstPause))
  }

  @Test func anotherIncarnationHasNoHistory() {
    let health = Patient()
    health.fail(.timedOut, at: 0)
    health.restart(at: 1)
    #expect(health.fail(.timedOut, at: 1) == nil)
    health.fail(.unreachable, at: 2)
    #expect(health.restart(at: 3) == .up)
  }
}

/// What the proxy's own requests teach.
@Suite struct ProbedHealthTests {
  private func patient(rise: Int = 1, fall: Int = 2) -> Patient {
    var settings = HealthSettings()
    settings.isProbed = true
    settings.rise = rise
    settings.fall = fall
    return Patient(settings)
  }

  @Test func itHasToShowThatItAnswersFirst() {
    let health = patient(rise: 3)
    #expect(health.state == .starting && health.downSince == 0)
    // The answer may be the last one of what is being stopped.
    #expect(health.succeed(at: 1) == nil)
    #expect(health.probe(nil, at: 2) == nil && health.probe(nil, at: 3) == nil)
    #expect(health.probe(.noGoodAnswer, at: 4) == nil, "the count begins anew")
    #expect(health.probe(nil, at: 5) == nil && health.probe(nil, at: 6) == nil)
    #expect(health.probe(nil, at: 7) == .up && health.downSince == nil)
  }

  @Test func trafficCannotTryIt() {
    let health = patient()
    #expect(!health.takeTrial(at: .max / 2))
    #expect(health.state == .starting)
  }

  @Test func aFailureOfTrafficStartsTheProbesAnew() {
    let health = patient(rise: 2)
    health.probe(nil, at: 0)
    health.fail(.closedBeforeAnswer, at: 1)
    #expect(health.probe(nil, at: 2) == nil)
    #expect(health.probe(nil, at: 3) == .up)
  }

  @Test func probesAndTrafficTakeItDownTogether() {
    let health = patient(fall: 3)
    health.probe(nil, at: 0)
    #expect(health.probe(.noGoodAnswer, at: 1) == nil)
    #expect(health.fail(.timedOut, at: 2) == nil)
    #expect(health.probe(.noGoodAnswer, at: 3) == .down)
    #expect(health.downSince == 3)
  }

  @Test func aGoodAnswerInBetweenForgives() {
    let health = patient(fall: 2)
    health.probe(nil, at: 0)
    for now in 1..<20 as Range<Int64> {
      #expect(health.probe(.noGoodAnswer, at: now) == nil)
      #expect(now % 2 == 0 ? health.probe(nil, at: now) == nil : health.succeed(at: now) == nil)
    }
  }

  @Test func aSocketThatRefusesIsDownAtOnceAndOneThatAcceptsStarts() {
    let health = patient()
    health.probe(nil, at: 0)
    #expect(health.probe(.unreachable, at: 1) == .down)
    #expect(health.probe(.unreachable, at: 2) == nil)
    #expect(health.probe(.noGoodAnswer, at: 3) == .starting)
    #expect(health.probe(.noGoodAnswer, at: 4) == nil)
    #expect(health.probe(.unreachable, at: 5) == .down)
    #expect(health.downSince == 1, "it has not been up since")
    #expect(health.probe(nil, at: 6) == .up)
  }

  @Test func anotherIncarnationStarts() {
    let health = patient()
    health.probe(nil, at: 0)
    #expect(health.restart(at: 9) == .starting)
    #expect(health.downSince == 9)
    #expect(health.probe(nil, at: 10) == .up)
  }
}

/// What the file of a socket teaches.
@Suite struct SocketHealthTests {
  private func probed() -> Patient {
    var settings = HealthSettings()
    settings.isProbed = true
    return Patient(settings)
  }

  @Test func oneThatIsRemovedIsDown() {
    for health in [Patient(), probed()] {
      health.probe(nil, at: 0)
      #expect(health.removeSocket(at: 5) == .down)
      #expect(health.downSince == 5)
      #expect(health.removeSocket(at: 6) == nil && health.downSince == 5)
      #expect(health.makeSocket(at: 7) == nil, "it has to show that it answers")
    }
  }

  @Test func removingTakesAwayWhatIsUpToThen() {
    var settings = HealthSettings()
    settings.isProbed = true
    settings.rise = 2
    let health = Patient(settings)
    health.probe(nil, at: 0)
    health.removeSocket(at: 1)
    #expect(health.probe(nil, at: 2) == nil && health.probe(nil, at: 3) == .up)
  }

  @Test func withoutASocketThatIsMadeTrialsTakeTheirPauses() {
    let health = Patient()
    health.removeSocket(at: 1_000)
    #expect(!health.takeTrial(at: 1_499))
    #expect(health.takeTrial(at: 1_500))
    // The trial was one of who listened before; the next one takes a pause of its own.
    health.removeSocket(at: 1_600)
    #expect(health.state == .down && !health.takeTrial(at: 2_099))
    #expect(health.takeTrial(at: 2_100))
    health.fail(.unreachable, at: 2_100)
    health.removeSocket(at: 2_200)
    #expect(!health.takeTrial(at: 3_099) && health.takeTrial(at: 3_100))
  }

  @Test func oneThatIsMadeIsTriedAtOnceAndAFewTimesSoon() {
    let health = Patient()
    health.removeSocket(at: 0)
    var now: Int64 = 100
    health.makeSocket(at: now)
    for _ in 0..<UpstreamHealth.promptTrials {
      #expect(health.takeTrial(at: now) && !health.takeTrial(at: now))
      health.fail(.unreachable, at: now)
      #expect(!health.takeTrial(at: now + UpstreamHealth.promptPause - 1))
      now += UpstreamHealth.promptPause
    }
    #expect(health.takeTrial(at: now))
    health.fail(.unreachable, at: now)
    #expect(!health.takeTrial(at: now + 2 * UpstreamHealth.firstPause - 1))
    #expect(health.takeTrial(at: now + 2 * UpstreamHealth.firstPause))
    #expect(health.succeed(at: now + 1_001) == .up)
  }

  @Test func makingMeansNothingWhereAllIsWell() {
    let health = Patient()
    #expect(health.makeSocket(at: 0) == nil)
    health.fail(.unreachable, at: 1)
    #expect(!health.takeTrial(at: 1 + UpstreamHealth.promptPause))
  }

  @Test func onlyProbesTryWhatIsProbed() {
    let health = probed()
    health.probe(.unreachable, at: 0)
    health.makeSocket(at: 1)
    #expect(!health.takeTrial(at: .max / 2))
    #expect(health.probe(nil, at: 2) == .up)
  }
}
