import TestSupport
import Testing

@testable import UpstreamPool

/// One request on its way, and its pool, by reference.
private final class Journey {
  private var placement = Placement()
  private var selector: PoolSelector
  let pool: Pool
  static let connectTimeout: Int64 = 5_000

  init(_ upstreams: [Upstream], holding time: Int64 = 0) {
    var settings = PoolSettings(name: "p", upstreams: upstreams.map(\.settings))
    settings.hold.time = time
    pool = Pool(settings, upstreams: upstreams)
    selector = PoolSelector(pool, loop: 0)
  }

  /// The next step in words: `use 1`, `wait 5000`, `pause 10`, or why it gives up.
  func next(at now: Int64 = 0) -> String {
    switch placement.next(&selector, now: now, connectTimeout: Self.connectTimeout) {
    case .use(let upstream): "use \(upstream.index)"
    case .waitInLine(let longest): "wait \(longest)"
    case .pause(let time): "pause \(time)"
    case .giveUp(let reason): "\(reason)"
    }
  }

  /// The connection attempt fails, as it is told to the upstream and to the request.
  func refuse(_ index: Int, at now: Int64 = 0) {
    pool.upstreams[index].noteFailure(.unreachable, now: now)
    placement.failed(pool.upstreams[index], .unreachable)
  }

  func fail(_ index: Int, _ failure: UpstreamFailure) { placement.failed(pool.upstreams[index], failure) }
  func wasBusy(_ index: Int) { placement.wasBusy(pool.upstreams[index]) }
  func pauseIsOver() { placement.pauseIsOver() }
  func turnHasCome() { placement.turnHasCome() }
  func foundStaleConnection() { placement.foundStaleConnection(.closedBeforeAnswer) }
}

@Suite struct PlacementTests {
  private func upstreams(_ count: Int, limit: Int? = nil) -> [Upstream] {
    (0..<count).map { makeUpstream($0, limit: limit) }
  }

  @Test func eachUpstreamIsTriedOnce() {
    let journey = Journey(upstreams(3))
    for index in 0..<3 {
      #expect(journey.next() == "use \(index)")
      journey.refuse(index)
    }
    #expect(journey.next() == "failed(UpstreamPool.UpstreamFailure.unreachable)")
  }

  @Test func theLastFailureIsTheReason() {
    let journey = Journey(upstreams(2))
    journey.fail(0, .unreachable)
    journey.fail(1, .connectTimedOut)
    #expect(journey.next() == "failed(UpstreamPool.UpstreamFailure.connectTimedOut)")
  }

  @Test func aStaleConnectionDoesNotCountAgainstItsUpstream() {
    let journey = Journey(upstreams(1))
    #expect(journey.next() == "use 0")
    journey.foundStaleConnection()
    #expect(journey.next() == "use 0")
  }

  /// A full backlog passes quickly: everybody is asked again after a pause, as long as a connection may take.
  @Test func fullBacklogsAreWaitedOut() {
    let journey = Journey(upstreams(2))
    for now in [100, 110, 5_099] as [Int64] {
      var asked: Set<String> = []
      for _ in 0..<2 {
        let step = journey.next(at: now)
        asked.insert(step)
        if let index = Int(step.dropFirst("use ".count)) { journey.wasBusy(index) }
      }
      #expect(asked == ["use 0", "use 1"])
      #expect(journey.next(at: now) == "pause 10")
      journey.pauseIsOver()
    }
    journey.wasBusy(0)
    journey.wasBusy(1)
    #expect(journey.next(at: 5_100) == "failed(UpstreamPool.UpstreamFailure.busy)")
  }

  @Test func withoutHoldingTheDownAreTried() {
    let journey = Journey(upstreams(2))
    for upstream in journey.pool.upstreams { upstream.noteFailure(.unreachable, now: 0) }
    let first = journey.next()
    #expect(first.hasPrefix("use "))
    journey.refuse(first == "use 0" ? 0 : 1)
    #expect(journey.next() == (first == "use 0" ? "use 1" : "use 0"))
  }

  @Test func whatIsExpectedBackIsWaitedFor() {
    let journey = Journey(upstreams(1), holding: 60_000)
    journey.pool.upstreams[0].noteFailure(.unreachable, now: 0)
    #expect(journey.next(at: 100) == "wait 60000")
    #expect(journey.next(at: 400) == "wait 59700")
    journey.pool.upstreams[0].noteSuccess(now: 450)
    journey.turnHasCome()
    #expect(journey.next(at: 450) == "use 0")
  }

  @Test func waitingHasAnEnd() {
    let upstreams = upstreams(1)
    let journey = Journey(upstreams, holding: 60_000)
    upstreams[0].setAdministrative(.draining)
    #expect(journey.next(at: 100) == "wait 60000")
    #expect(journey.next(at: 60_100) == "waitedTooLong")
  }

  /// What has been down for longer than requests are held is not waited for, but asked.
  @Test func theLongGoneIsNotExpectedBack() {
    let journey = Journey(upstreams(1), holding: 1_000)
    journey.pool.upstreams[0].noteFailure(.unreachable, now: 0)
    #expect(journey.pool.isExpectedBack(now: 999) && !journey.pool.isExpectedBack(now: 1_000))
    // The trial that is due is taken by this request.
    #expect(journey.next(at: 1_000) == "use 0")
    journey.refuse(0, at: 1_000)
    #expect(journey.next(at: 1_001) == "failed(UpstreamPool.UpstreamFailure.unreachable)")
  }

  @Test(
    arguments: [(AdministrativeState.draining, 0), (.maintenance, 0), (.maintenance, 60_000)]
      as [(AdministrativeState, Int64)])
  func whatIsTakenOutIsNotWaitedFor(_ state: AdministrativeState, _ hold: Int64) {
    let upstreams = upstreams(2)
    let journey = Journey(upstreams, holding: hold)
    for upstream in upstreams { upstream.setAdministrative(state) }
    #expect(journey.next() == "nothingEligible")
  }

  @Test func fullOnesAreWaitedFor() {
    let upstreams = upstreams(1, limit: 1)
    let journey = Journey(upstreams)
    do {
      let lease = upstreams[0].lease(.ordinary, loop: 0)
      #expect(journey.next() == "wait \(Journey.connectTimeout)" && lease.upstream === upstreams[0])
    }
    journey.turnHasCome()
    #expect(journey.next(at: 10) == "use 0")
  }

  /// Guards against a request that goes past those that wait; but one whose turn has come does not wait again.
  @Test func thoseThatWaitWereHereFirst() throws {
    let journey = Journey(upstreams(1))
    let ticket = try #require(journey.pool.line.join(owner: 0, bytes: 1, since: 0))
    #expect(journey.next() == "wait \(Journey.connectTimeout)")
    journey.turnHasCome()
    #expect(journey.next(at: 10) == "use 0")
    #expect(journey.pool.line.leave(ticket))
  }

  /// Whatever comes of the attempts, it ends, and within one attempt asks nobody twice.
  @Test(arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func everyJourneyEnds(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    for round in 0..<200 {
      let count = Int.random(in: 1...4, using: &generator)
      let hold = [0, 1_000, 30_000].randomElement(using: &generator)! as Int64
      let upstreams = (0..<count).map { makeUpstream($0, backup: $0 > 1) }
      let journey = Journey(upstreams, holding: hold)
      var now: Int64 = 1
      var asked: Set<String> = []
      var steps = 0
      var hasEnded = false
      while !hasEnded, steps < 10_000 {
        steps += 1
        if Int.random(in: 0..<10, using: &generator) == 0 {
          let state = AdministrativeState.allCases.randomElement(using: &generator)!
          upstreams.randomElement(using: &generator)!.setAdministrative(state)
        }
        let step = journey.next(at: now)
        if step.hasPrefix("use ") {
          let index = Int(step.dropFirst(4))!
          #expect(asked.insert(step).inserted, "seed \(seed), round \(round): \(step) twice")
          #expect(upstreams[index].state.administrative == .ready, "seed \(seed), round \(round)")
          if Bool.random(using: &generator) { journey.refuse(index, at: now) } else { journey.wasBusy(index) }
        } else if step.hasPrefix("pause ") {
          now += 10
          journey.pauseIsOver()
          asked.removeAll()
        } else if step.hasPrefix("wait ") {
          let longest = Int64(step.dropFirst(5))!
          #expect(longest > 0 && longest <= max(hold, Journey.connectTimeout))
          if Bool.random(using: &generator) {
            now += Int64.random(in: 0..<longest, using: &generator)
            journey.turnHasCome()
            asked.removeAll()
          } else {
            now += longest
          }
        } else {
          hasEnded = true
        }
      }
      #expect(hasEnded, "seed \(seed), round \(round)")
    }
  }
}
