import Testing

@testable import GravityRestart

/// Whole restarts, event by event.
@Suite struct MachineTests {
  static let good = WalkEvent.sampled(own: TrafficSample(requests: 50), others: TrafficSample(requests: 50))
  static let bad = WalkEvent.sampled(
    own: TrafficSample(requests: 50, failures: 40), others: TrafficSample(requests: 50))

  private func run(
    _ count: Int, probation: Bool = false, only: [String]? = nil, isPreloaded: Bool = true, hold: Int64 = 0,
    _ change: (inout RestartPolicy) -> Void = { _ in }
  ) throws -> DrivenMachine {
    var policy = RestartPolicy()
    if !probation { policy.probation = nil }
    change(&policy)
    var members = upstreams(count)
    for number in members.indices { members[number].isPreloaded = isPreloaded }
    return DrivenMachine(try RestartPlan(upstreams: members, only: only, policy: policy, holdTime: hold))
  }

  @Test func twoUpstreamsAreRestartedOneAfterTheOther() throws {
    var run = try run(2, probation: true)
    #expect(run.passPreflight(version: "2") == [.setDraining(0)])
    #expect(run.tell(0, .inFlight(work(ordinary: 1, eventStream: 2))) == [.endEventStreams(0)])
    #expect(run.tell(0, .inFlight(work(ordinary: 1)), after: 300) == [])
    #expect(run.tell(0, .inFlight(WorkInFlight()), after: 700) == [.restart(0)])
    #expect(run.tell(0, .restartDone, after: 2_000) == [.probe(0)])
    #expect(run.tell(0, .probed(.bad("503")), after: 10) == [])
    #expect(run.tick() == [.probe(0)])
    let first = run.becomeReady(0, version: "2")
    #expect(first == [.beginProbation(0, share: 10)])
    #expect(run.tell(0, Self.good, after: 10_000) == [.raiseShare(0, share: 50)])
    #expect(run.tell(0, Self.good, after: 10_000) == [.admit(0), .setDraining(1)])
    run.tell(.held(40))
    run.tell(.held(20))
    run.tell(1, .inFlight(WorkInFlight()))
    run.tell(1, .restartDone)
    run.becomeReady(1, version: "2")
    run.tell(1, Self.good, after: 10_000)
    run.tell(1, .requestFailed(RequestFailure(request: "GET /", reason: "closed")))
    run.tell(1, Self.good, after: 10_000)

    let outcome = try #require(run.outcome)
    #expect(outcome.result == .completed)
    #expect(outcome.longestHold == 40)
    #expect(outcome.downtime == 0)
    #expect(outcome.total == run.now)
    let report = outcome.upstreams[0]
    #expect(report.fate == .restarted)
    #expect(report.drainTime == 1_000)
    #expect(report.waitedFor == work(ordinary: 1, eventStream: 2))
    #expect(report.cut == WorkInFlight())
    #expect(report.restartTime == 2_000)
    #expect(report.readinessTime == 760)
    #expect(report.probationTime == 20_000)
    #expect([report.versionBefore, report.versionAfter] == ["1", "2"])
    #expect(
      [report.incarnationBefore, report.incarnationAfter] == [incarnation(0), incarnation(0, generation: 1)])
    #expect(outcome.upstreams[1].failureCount == 1)
    #expect(run.misplaced == [])
  }

  @Test func eachClassIsCutWhenItsOwnBudgetIsOver() throws {
    var run = try run(2) {
      $0.budgets.ordinary = 1_000
      $0.budgets.upload = 5_000
      $0.budgets.download = 6_000
      $0.budgets.eventStream = 2_000
      $0.budgets.tunnel = 3_000
      $0.budgets.tunnelClosing = 500
      $0.budgets.afterLastCut = 100
    }
    run.passPreflight()
    let everything = work(ordinary: 1, upload: 2, download: 3, eventStream: 4, tunnel: 5)
    #expect(run.tell(0, .inFlight(everything)) == [.endEventStreams(0)])
    var steps: [(Int64, [RestartAction])] = []
    for _ in 0..<20 where run.machine.phase(of: 0) == .draining {
      let actions = run.tick()
      steps.append((run.now, actions))
    }
    #expect(steps.map(\.0) == [1_000, 2_000, 3_000, 3_500, 5_000, 6_000, 6_100])
    #expect(
      steps.map(\.1) == [
        [.cutRemaining(0, .ordinary)], [.cutRemaining(0, .eventStream)], [.closeTunnels(0)],
        [.cutRemaining(0, .tunnel)], [.cutRemaining(0, .upload)], [.cutRemaining(0, .download)],
        [.restart(0)],
      ])
    #expect(run.machine.report(of: 0).cut == everything)
    #expect(run.machine.report(of: 0).leftOver == everything)
  }

  @Test func whatSurvivesItsCutIsNotWaitedForLongerThanThat() throws {
    var run = try run(2) { $0.budgets.ordinary = 1_000 }
    run.passPreflight()
    run.tell(0, .inFlight(work(ordinary: 1)))
    #expect(run.tick() == [.cutRemaining(0, .ordinary)])
    #expect(run.machine.nextDeadline == 1_000 + RestartPolicy().budgets.afterLastCut)
    #expect(run.tick() == [.restart(0)])
    #expect(run.machine.report(of: 0).leftOver == work(ordinary: 1))
  }

  @Test func aRequestThatBecomesAStreamIsEndedToo() throws {
    var run = try run(2) { $0.budgets.tunnel = 1_000 }
    run.passPreflight()
    #expect(run.tell(0, .inFlight(work(ordinary: 3))) == [])
    #expect(run.tell(0, .inFlight(work(ordinary: 2, eventStream: 1)), after: 10) == [.endEventStreams(0)])
    #expect(run.tell(0, .inFlight(work(ordinary: 2)), after: 10) == [])
    run.tick()
    #expect(run.tell(0, .inFlight(work(ordinary: 1, tunnel: 1)), after: 10) == [.closeTunnels(0)])
    for _ in 0..<20 where run.now < RestartPolicy().budgets.eventStream { run.tick() }
    #expect(
      run.tell(0, .inFlight(work(eventStream: 1)))
        == [.endEventStreams(0), .cutRemaining(0, .eventStream)])
  }

  @Test func aFailedBootHaltsAndTheOthersGoOn() throws {
    var run = try run(3)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    let failure = ProcessFailure.backOff("Exited too quickly")
    #expect(run.tell(0, .processFailed(failure), after: 900).first == .keepOut(0))
    let fault = UpstreamFault.process(failure)
    #expect(run.outcome?.result == .stopped(.halted(.upstreamFailed(0, fault))))
    #expect(run.outcome?.upstreams.map(\.fate) == [.failed(fault), .untouched, .untouched])
    #expect(run.outcome?.total == 900)
  }

  @Test func theOldIncarnationIsNotReady() throws {
    var run = try run(2)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(0, .restartDone)
    for _ in 0..<2_000 where run.machine.phase(of: 0) == .awaitingReadiness {
      run.tell(0, .probed(.good(incarnation(0), version: "1")))
      run.tick()
    }
    let fault = UpstreamFault.notReady(.notANewIncarnation(incarnation(0)))
    #expect(run.outcome?.result == .stopped(.halted(.upstreamFailed(0, fault))))
    #expect(run.outcome?.total == 300_000)
  }

  @Test func answersCountOnlyInARowAndByOneIncarnation() throws {
    var run = try run(2)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(0, .restartDone)
    func answer(_ generation: Int) -> WalkEvent {
      .probed(.good(incarnation(0, generation: generation), version: nil))
    }
    for event in [answer(1), answer(1), .probed(.bad("502")), answer(1), answer(1), answer(2), answer(2)] {
      run.tell(0, event)
      run.tick()
    }
    #expect(run.machine.phase(of: 0) == .awaitingReadiness)
    run.tell(0, answer(2))
    #expect(run.machine.phase(of: 0) == .completed)
  }

  /// Two upstreams, the first of them restarted by a command that has just ended well.
  private func commanded(_ method: RestartMethod, version: String? = "2") throws -> DrivenMachine {
    var policy = RestartPolicy()
    policy.probation = nil
    var members = upstreams(2)
    for number in members.indices { members[number].method = method }
    var run = DrivenMachine(try RestartPlan(upstreams: members, policy: policy))
    #expect(run.passPreflight(version: version) == [.setDraining(0)])
    #expect(run.tell(0, .inFlight(work(ordinary: 1))) == [])
    #expect(run.tell(0, .inFlight(WorkInFlight())) == [.restart(0)])
    #expect(run.tell(0, .restartDone) == [.probe(0)])
    return run
  }

  @Test func aSocketThatIsHandedOnIsTheSameAfterwards() throws {
    var run = try commanded(.handOver)
    // Whoever was there before may answer until it has ended.
    for answer in [("2", 1), ("1", 0), ("2", 1), ("2", 2), ("2", 3)] {
      #expect(run.machine.phase(of: 0) == .awaitingReadiness)
      run.tell(0, .probed(.good(incarnation(0), version: answer.0)))
      if answer.1 < 3 { run.tick() }
    }
    #expect(run.machine.phase(of: 0) == .completed)
    #expect(run.machine.report(of: 0).versionAfter == "2")
  }

  @Test func withoutAVersionTheAnswersOfAHandedOnSocketCount() throws {
    var run = try commanded(.handOver, version: nil)
    for _ in 0..<3 {
      run.tell(0, .probed(.good(incarnation(0), version: "1")))
      run.tick()
    }
    #expect(run.machine.phase(of: 0) == .completed)
  }

  @Test func aThirdVersionBehindAHandedOnSocketFailsAtOnce() throws {
    var run = try commanded(.handOver)
    run.tell(0, .probed(.good(incarnation(0), version: "3")))
    #expect(run.machine.phase(of: 0) == .failed(.wrongVersion(running: "3", onDisk: "2")))
  }

  @Test func theOldVersionBehindAHandedOnSocketHasItsTime() throws {
    var run = try commanded(.handOver)
    for _ in 0..<2_000 where run.machine.phase(of: 0) == .awaitingReadiness {
      run.tell(0, .probed(.good(incarnation(0), version: "1")))
      run.tick()
    }
    #expect(run.machine.phase(of: 0) == .failed(.notReady(.oldVersion("1", onDisk: "2"))))
    #expect(run.now == 300_000)
  }

  @Test func aCommandWhoseSocketStaysIsToldOfTheKey() throws {
    var run = try commanded(.command)
    for _ in 0..<2_000 where run.machine.phase(of: 0) == .awaitingReadiness {
      run.tell(0, .probed(.good(incarnation(0), version: "2")))
      run.tick()
    }
    let fault = UpstreamFault.notReady(.socketStays)
    #expect(run.machine.phase(of: 0) == .failed(fault))
    #expect("\(fault)".contains("'keeps_socket: true'"))
  }

  @Test func theOnlyUpstreamOfAHandedOnSocketTakesRequestsMeanwhile() throws {
    var members = upstreams(1)
    members[0].method = .handOver
    var run = DrivenMachine(try RestartPlan(upstreams: members))
    #expect(run.passPreflight() == [.restart(0)])
    run.tell(0, .restartDone, after: 30_000)
    for _ in 0..<3 {
      run.tell(0, .probed(.good(incarnation(0), version: "1")))
      run.tick()
    }
    #expect(run.outcome?.result == .completed)
    #expect(run.outcome?.downtime == 0)
  }

  @Test(arguments: [false, true])
  func anotherVersionThanOnDiskHaltsUnlessAllowed(_ isAllowed: Bool) throws {
    var run = try run(2) { $0.readiness.allowsVersionSkew = isAllowed }
    run.passPreflight(version: "2")
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(0, .restartDone)
    run.becomeReady(0, version: "1")
    let wrong = UpstreamFault.wrongVersion(running: "1", onDisk: "2")
    #expect(run.machine.phase(of: 0) == (isAllowed ? .completed : .failed(wrong)))
  }

  @Test func probationWorseThanTheOthersHalts() throws {
    var run = try run(2, probation: true)
    run.passPreflight()
    run.restart(0)
    #expect(run.tell(0, Self.good, after: 10_000) == [.raiseShare(0, share: 50)])
    #expect(run.tell(0, Self.bad, after: 1_000).first == .keepOut(0))
    #expect(run.outcome?.result.exitStatus == 1)
    #expect(run.machine.phase(of: 1) == .waiting)
  }

  @Test func quietProbationEndsByTime() throws {
    var run = try run(2, probation: true)
    run.passPreflight()
    run.restart(0)
    #expect(run.tick() == [.raiseShare(0, share: 50)])
    #expect(run.tick() == [.admit(0), .setDraining(1)])
  }

  // MARK: One gunicorn alone

  @Test func theOnlyUpstreamIsDrainedAndHeldFor() throws {
    var run = try run(1, probation: true)
    #expect(run.actions.first == .report(.approach(.hold(.preloadedButShort))))
    #expect(run.passPreflight() == [.setDraining(0)])
    #expect(run.restart(0, took: 20_000).first == .admit(0))
    #expect(run.outcome?.result == .completed)
    #expect(run.outcome?.downtime == 20_500)
  }

  @Test func theOnlyUpstreamReloadsWithoutADrain() throws {
    var run = try run(1, isPreloaded: false)
    #expect(run.passPreflight() == [.reload(0)])
    run.tell(0, .restartDone, after: 30_000)
    for _ in 0..<3 {
      run.tell(0, .probed(.good(incarnation(0), version: "2")))
      run.tick()
    }
    #expect(run.outcome?.result == .completed)
    #expect(run.outcome?.downtime == 0)
    #expect(run.outcome?.upstreams[0].drainTime == nil)
  }

  /// The only upstream, which reloads, after preflight. A request can wait for so long.
  private func reloading(hold: Int64 = 60_000) throws -> DrivenMachine {
    var run = try run(1, isPreloaded: false, hold: hold)
    #expect(run.passPreflight() == [.setDraining(0)])
    return run
  }

  private func finish(_ run: inout DrivenMachine) -> RestartOutcome? {
    for _ in 0..<3 {
      run.tell(0, .probed(.good(incarnation(0), version: "2")))
      run.tick()
    }
    return run.outcome
  }

  @Test func requestsAreHeldUntilTheOldWorkersTakeNoMore() throws {
    var run = try reloading()
    let everything = work(ordinary: 3, upload: 1, download: 1, eventStream: 2, tunnel: 1)
    #expect(run.tell(0, .inFlight(everything)) == [])
    #expect(run.machine.settlingTime(of: 0) == 500)
    #expect(run.tell(0, .inFlight(work(ordinary: 1, eventStream: 3, tunnel: 1)), after: 100) == [])
    #expect(run.tell(0, .inFlight(work(eventStream: 3, tunnel: 1)), after: 100) == [.reload(0)])
    #expect(run.tell(0, .handedOver, after: 300) == [.resume(0)])
    #expect(run.tell(0, .restartDone, after: 30_000) == [.probe(0)])
    let outcome = try #require(finish(&run))
    #expect(outcome.result == .completed)
    #expect(outcome.downtime == 500)
    let report = outcome.upstreams[0]
    #expect(report.drainTime == 200 && report.waitedFor == everything)
    #expect(report.cut == WorkInFlight() && report.leftOver == WorkInFlight())
  }

  @Test func aReloadWaitsForNothingLong() throws {
    var run = try reloading()
    run.tell(0, .inFlight(work(ordinary: 1)), after: 10)
    #expect(run.tick() == [.reload(0)])
    #expect(run.now == 500)
    #expect(run.tick() == [.resume(0)])
    #expect(run.now == 5_500)
    #expect(run.tell(0, .handedOver) == [])
    #expect(run.tell(0, .restartDone) == [.probe(0)])
    #expect(finish(&run)?.downtime == 5_500)
  }

  @Test func noRequestIsHeldForLongerThanItCanWait() throws {
    var run = try reloading(hold: 1_000)
    #expect(run.tick() == [.reload(0)])
    #expect(run.tick() == [.resume(0)])
    #expect(run.now == 750)
  }

  @Test func theEndOfTheOldWorkersEndsTheHoldToo() throws {
    var run = try reloading()
    run.tell(0, .inFlight(WorkInFlight()))
    #expect(run.tell(0, .restartDone, after: 200) == [.resume(0), .probe(0)])
    #expect(finish(&run)?.downtime == 200)
  }

  @Test func aReloadThatFailsHoldsNothing() throws {
    var run = try reloading()
    run.tell(0, .inFlight(WorkInFlight()))
    #expect(run.tell(0, .restartFailed("no")).first == .admit(0))
    #expect(run.outcome?.result.exitStatus == 1)
  }

  @Test func anAbortBeforeAReloadGivesBackWhatIsHeld() throws {
    var run = try reloading()
    run.tell(0, .inFlight(work(ordinary: 1)))
    #expect(run.tell(.abort).first == .admit(0))
    #expect(run.outcome?.result == .stopped(.aborted))
  }

  @Test func theOnlyUpstreamIsLeftToItsHealthWhenItFails() throws {
    var run = try run(1)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    #expect(run.tell(0, .restartFailed("SPAWN_ERROR")).first == .admit(0))
    #expect(run.outcome?.result.exitStatus == 1)
  }

  // MARK: Stopping

  @Test func anAbortDuringADrainGivesTheUpstreamBack() throws {
    var run = try run(2)
    run.passPreflight()
    #expect(run.tell(.abort).first == .admit(0))
    #expect(run.outcome?.result == .stopped(.aborted))
    #expect(run.outcome?.upstreams.map(\.fate) == [.untouched, .untouched])
  }

  @Test func anAbortWaitsForWhatWasRestarted() throws {
    var run = try run(2)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    #expect(run.tell(.abort) == [])
    run.tell(0, .restartDone)
    #expect(run.becomeReady(0).first == .admit(0))
    #expect(run.outcome?.result == .stopped(.aborted))
    #expect(run.outcome?.upstreams.map(\.fate) == [.restarted, .untouched])
  }

  @Test func anAbortOfTheLastComesTooLate() throws {
    var run = try run(1)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(.abort)
    run.tell(0, .restartDone)
    run.becomeReady(0)
    #expect(run.outcome?.result == .completed)
  }

  @Test func aFailureOutweighsAnAbortAndTheFirstOneIsTheReason() throws {
    var run = try run(3) {
      $0.maximumUnavailable = .number(2)
    }
    #expect(run.passPreflight() == [.setDraining(0), .setDraining(1)])
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(1, .inFlight(WorkInFlight()))
    run.tell(.abort)
    run.tell(0, .restartFailed("first"))
    #expect(run.outcome == nil)
    run.tell(1, .restartFailed("second"))
    #expect(run.outcome?.result == .stopped(.halted(.upstreamFailed(0, .notRestarted("first")))))
  }

  @Test func aHaltGivesBackWhatStillDrains() throws {
    var run = try run(3) { $0.maximumUnavailable = .number(2) }
    run.passPreflight()
    run.tell(1, .inFlight(work(upload: 1)))
    run.tell(0, .inFlight(WorkInFlight()))
    #expect(run.tell(0, .restartFailed("no")).prefix(2) == [.keepOut(0), .admit(1)])
    #expect(run.outcome?.upstreams[1].fate == .untouched)
    #expect(run.outcome?.upstreams[1].drainsUndone == 1)
  }

  // MARK: Others at work

  @Test func aDrainIsUndoneWhileAnotherUpstreamIsDown() throws {
    var run = try run(2)
    run.passPreflight()
    run.tell(0, .inFlight(work(ordinary: 1)))
    #expect(run.tell(1, .liveness(.down), after: 10) == [.admit(0)])
    #expect(run.actions.last == .report(.waitingForCapacity(available: 1, needed: 1)))
    #expect(run.tell(1, .liveness(.up), after: 10) == [.setDraining(0)])
  }

  @Test func anUpstreamThatDoesNotComeBackHalts() throws {
    var run = try run(3)
    run.passPreflight()
    run.tell(2, .liveness(.down))
    run.restart(0)
    run.restart(1)
    #expect(run.machine.nextDeadline == run.now + RestartPolicy().capacityWait)
    run.tick()
    #expect(run.outcome?.result == .stopped(.halted(.upstreamFailed(2, .notBack))))
    #expect(!run.actions.contains { $0.touched == 2 })
  }

  @Test func withStartIfStoppedOneThatWentDownIsBroughtUp() throws {
    var run = try run(2) { $0.startsStopped = true }
    run.passPreflight()
    #expect(run.tell(1, .liveness(.down)) == [.admit(0), .setDraining(1)])
  }

  @Test func waitingForOthersHasABound() throws {
    var run = try run(3, only: ["g0"]) { $0.minimumAvailable = .number(2) }
    run.passPreflight()
    #expect(run.tell(1, .liveness(.starting), after: 10) == [.admit(0)])
    #expect(run.actions.last == .report(.waitingForCapacity(available: 2, needed: 2)))
    #expect(run.tell(1, .liveness(.up), after: 59_000) == [.setDraining(0)])
    run.tell(1, .liveness(.down), after: 500)
    run.tick()
    #expect(run.outcome?.result == .stopped(.halted(.tooFewAvailable(available: 2, needed: 2))))
    #expect(run.outcome?.total == 60_010)
    #expect(run.outcome?.upstreams[0].drainsUndone == 2)
  }

  @Test func theNextOneWaitsUntilTheHealthChecksAgree() throws {
    var run = try run(2)
    run.passPreflight()
    run.tell(0, .inFlight(WorkInFlight()))
    run.tell(0, .liveness(.down))
    run.tell(0, .restartDone)
    #expect(run.becomeReady(0) == [.admit(0)])
    #expect(run.tell(0, .liveness(.up), after: 200) == [.setDraining(1)])
  }

  @Test func anUpstreamRestartedBehindTheBackIsRestartedAllTheSame() throws {
    var run = try run(2)
    run.passPreflight()
    run.tell(1, .incarnationChanged(incarnation(1, generation: 7)))
    run.restart(0)
    run.tell(1, .inFlight(WorkInFlight()))
    run.tell(1, .restartDone)
    run.tell(1, .probed(.good(incarnation(1, generation: 7), version: nil)))
    #expect(run.machine.phase(of: 1) == .awaitingReadiness)
    run.tick()
    run.becomeReady(1)
    #expect(run.outcome?.result == .completed)
    #expect(run.outcome?.upstreams[1].foreignRestarts == 1)
    #expect(run.outcome?.upstreams[1].incarnationBefore == incarnation(1, generation: 7))
  }

  @Test func anUpstreamThatPeopleWithdrewBeforeItsTurnHalts() throws {
    var run = try run(3)
    run.passPreflight()
    #expect(run.tell(1, .standing(.withdrawn)) == [])
    run.restart(0)
    #expect(run.outcome?.result == .stopped(.halted(.upstreamFailed(1, .takenOver))))
    #expect(!run.actions.contains { $0.touched == 1 })
  }

  @Test func aDrainThatNobodyReportsOnIsNotFollowedByARestart() throws {
    var run = try run(2)
    run.passPreflight()
    for _ in 0..<20 where run.outcome == nil { run.tick() }
    #expect(run.outcome?.result == .stopped(.halted(.upstreamFailed(0, .drainUnobserved))))
    #expect(run.actions.compactMap(\.touched) == [0, 0])
    #expect(run.actions.contains(.admit(0)))
    #expect(run.outcome?.total == RestartPolicy().budgets.limit)
  }

  @Test func failuresAreCountedBeyondThoseThatAreKept() throws {
    var run = try run(1)
    run.passPreflight()
    for number in 0..<50 {
      run.tell(0, .requestFailed(RequestFailure(request: "GET /\(number)", reason: "closed")))
    }
    #expect(run.machine.report(of: 0).failureCount == 50)
    #expect(run.machine.report(of: 0).failures.count == UpstreamReport.keptFailures)
    #expect(run.machine.report(of: 0).failures.last?.request == "GET /19")
  }
}
