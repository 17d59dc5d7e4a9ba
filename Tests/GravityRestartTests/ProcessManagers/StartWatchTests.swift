import GravityRestart
import Testing

/// One look at a unit.
private func seen(
  _ state: UnitState, run: String? = nil, restarts: Int? = nil, pending: Bool = false, workers: [Int32] = []
) -> UnitStatus {
  var status = UnitStatus(state, description: state.rawValue)
  status.run = run
  status.automaticRestarts = restarts
  status.hasPendingOrder = pending
  status.workers = workers
  status.process = state == .running ? 7 : nil
  return status
}

/// The kinds of the verdicts on what was seen, in order.
private func verdicts(
  _ step: RestartStep, before: UnitStatus, _ sights: [UnitStatus]
) -> [String] {
  var watch = StartWatch(step, before: before)
  return sights.map { sight in
    switch watch.judge(sight) {
    case .waiting: "waiting"
    case .started(let process): "started \(process.map { "\($0)" } ?? "-")"
    case .retrying: "retrying"
    case .failed: "failed"
    }
  }
}

@Suite struct StartWatchTests {
  @Test func supervisorStarts() {
    let sights = [seen(.starting, run: "2"), seen(.starting, run: "2"), seen(.running, run: "2")]
    #expect(verdicts(.start, before: seen(.stopped), sights) == ["waiting", "waiting", "started 7"])
  }

  @Test func supervisorBacksOffAndGivesUp() {
    let sights = [
      seen(.starting, run: "2"), seen(.failing), seen(.starting, run: "3"), seen(.failing), seen(.fatal),
    ]
    let expected = ["waiting", "retrying", "retrying", "retrying", "failed"]
    #expect(verdicts(.start, before: seen(.stopped), sights) == expected)
  }

  /// The look in between may miss the death: only the run is another one.
  @Test func supervisorStartsAgainUnseen() {
    let sights = [seen(.running, run: "2"), seen(.running, run: "3"), seen(.running, run: "3")]
    #expect(verdicts(.start, before: seen(.stopped), sights) == ["started 7", "retrying", "retrying"])
  }

  @Test func supervisorProgramExits() {
    let sights = [seen(.starting, run: "2"), seen(.stopped)]
    #expect(verdicts(.start, before: seen(.stopped), sights) == ["waiting", "failed"])
  }

  @Test func whatRanAlreadyIsStarted() {
    #expect(verdicts(.start, before: seen(.running, run: "1"), [seen(.running, run: "1")]) == ["started 7"])
  }

  @Test func systemdRestarts() {
    let sights = [
      seen(.running, run: "1", restarts: 0, pending: true),
      seen(.stopping, run: "1", restarts: 0, pending: true),
      seen(.stopped, run: "1", restarts: 0, pending: true), seen(.running, run: "2", restarts: 0),
    ]
    let expected = ["waiting", "waiting", "waiting", "started 7"]
    #expect(verdicts(.restart, before: seen(.running, run: "1", restarts: 0), sights) == expected)
  }

  @Test func systemdStartsAgainAndAgain() {
    let sights = [
      seen(.running, run: "2", restarts: 0), seen(.failing, run: "2", restarts: 0),
      seen(.running, run: "3", restarts: 1), seen(.fatal, run: "3", restarts: 1),
    ]
    let expected = ["started 7", "retrying", "retrying", "failed"]
    #expect(verdicts(.restart, before: seen(.running, run: "1", restarts: 0), sights) == expected)
  }

  /// The first look comes when it has already died; the count of before was of other deaths.
  @Test(arguments: [(0, 1), (5, 1), (5, 4), (0, 9)])
  func systemdCounts(_ before: Int, _ now: Int) {
    let sights = [seen(.running, run: "9", restarts: now)]
    #expect(verdicts(.restart, before: seen(.running, run: "1", restarts: before), sights) == ["retrying"])
  }

  @Test func oldDeathsDoNotCount() {
    let sights = [
      seen(.running, run: "1", restarts: 5, pending: true), seen(.running, run: "2", restarts: 0),
    ]
    let before = seen(.running, run: "1", restarts: 5)
    #expect(verdicts(.restart, before: before, sights) == ["waiting", "started 7"])
  }

  @Test func whatWasFailingBeforeMayWait() {
    let sights = [seen(.failing, run: "1", pending: true), seen(.running, run: "2")]
    #expect(verdicts(.restart, before: seen(.failing, run: "1"), sights) == ["waiting", "started 7"])
  }

  /// The start that it waited for and the order were one: only what dies after that counts.
  @Test func anOrderThatMeetsTheNextTry() {
    let before = seen(.failing, run: "1", restarts: 4)
    let sights = [seen(.running, run: "2", restarts: 5), seen(.running, run: "3", restarts: 6)]
    #expect(verdicts(.restart, before: before, sights) == ["started 7", "retrying"])
    #expect(verdicts(.restart, before: before, [seen(.running, run: "3", restarts: 6)]) == ["retrying"])
  }

  /// The start that it waited for came just before the order was carried out.
  @Test func anOrderThatComesAfterTheNextTry() {
    let before = seen(.failing, run: "1", restarts: 4)
    let sights = [
      seen(.running, run: "2", restarts: 5, pending: true),
      seen(.starting, run: "2", restarts: 5, pending: true),
      seen(.running, run: "3", restarts: 0),
      seen(.running, run: "4", restarts: 1),
    ]
    #expect(verdicts(.restart, before: before, sights) == ["waiting", "waiting", "started 7", "retrying"])
  }

  /// Someone else's order took its place, or systemd did not start it: too often in too short a time.
  @Test func anOrderThatWasDropped() {
    let before = seen(.running, run: "1")
    #expect(verdicts(.restart, before: before, [seen(.running, run: "1")]) == ["failed"])
    #expect(verdicts(.restart, before: before, [seen(.stopped, run: "1")]) == ["failed"])
    #expect(verdicts(.restart, before: seen(.fatal, run: "1"), [seen(.fatal, run: "1")]) == ["failed"])
    #expect(verdicts(.restart, before: before, [seen(.missing)]) == ["failed"])
  }

  @Test func aReloadIsOverWhenNoOldWorkerIsLeft() {
    let before = seen(.running, run: "m", workers: [1, 2])
    let sights = [[1, 2], [1, 2, 3], [2, 3, 4], [], [3, 4]].map { seen(.running, run: "m", workers: $0) }
    let expected = ["waiting", "waiting", "waiting", "waiting", "started 7"]
    #expect(verdicts(.reload, before: before, sights) == expected)
  }

  @Test func aReloadThatKillsTheMaster() {
    let before = seen(.running, run: "m", workers: [1, 2])
    #expect(verdicts(.reload, before: before, [seen(.stopped)]) == ["failed"])
    #expect(verdicts(.reload, before: before, [seen(.running, run: "n", workers: [5])]) == ["retrying"])
  }

  @Test func whatCanNotBeSeenIsAwaited() {
    let sights = [seen(.unobservable), seen(.unobservable)]
    #expect(verdicts(.restart, before: seen(.unobservable), sights) == ["waiting", "waiting"])
  }
}
