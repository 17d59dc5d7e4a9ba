import Synchronization
import SystemCalls
import Testing

@testable import UpstreamPool

/// What upstreams have told about themselves, from any thread.
final class Transitions: Sendable {
  private let told = Mutex<[OperationalState]>([])

  var all: [OperationalState] { told.withLock { $0 } }

  func note(_ event: UpstreamEvent) {
    if case .operational(let state) = event { told.withLock { $0.append(state) } }
  }
}

extension Upstream {
  /// A lease of one loop.
  func lease(_ traffic: TrafficClass, loop: Int) -> UpstreamLease {
    LocalUpstream(self, loop: loop).lease(traffic)
  }
}

/// An upstream that nobody connects to or probes, and that three loops count.
func makeUpstream(
  _ index: Int = 0, weight: Int = 1, backup: Bool = false, limit: Int? = nil,
  transitions: Transitions = Transitions()
) -> Upstream {
  let path = "/nowhere/\(index).sock"
  let settings = UpstreamSettings(
    name: "u\(index)", endpoint: .unix(path: path), weight: weight, backup: backup, maximumConnections: limit)
  return Upstream(
    settings, health: HealthSettings(), index: index, address: SocketAddress(unixPath: path), loops: 3, now: 0
  ) { _, event in transitions.note(event) }
}

@Suite struct UpstreamTests {
  @Test func theTableOfStates() {
    for administrative in AdministrativeState.allCases {
      for operational in OperationalState.allCases {
        let state = UpstreamState(administrative, operational)
        #expect(state.isEligible == (administrative == .ready && operational == .up))
        #expect(state.isLastResort == (administrative == .ready && operational != .up))
      }
    }
  }

  @Test func aLeaseCountsForAsLongAsItLives() {
    let upstream = makeUpstream()
    var kept: UpstreamLease? = upstream.lease(.ordinary, loop: 0)
    do {
      let second = upstream.lease(.ordinary, loop: 0)
      #expect(upstream.inFlight == 2 && second.upstream === upstream)
    }
    #expect(upstream.inFlight == 1)
    kept = upstream.lease(.ordinary, loop: 0)
    #expect(upstream.inFlight == 1)
    kept = nil
    #expect(upstream.inFlight == 0 && kept == nil)
  }

  /// The classes of work are counted apart, also when the work turns out to be of another.
  @Test func leasesAreCountedByClass() {
    let upstream = makeUpstream()
    let counts = upstream.statistics[1]
    do {
      var lease = upstream.lease(.ordinary, loop: 1)
      #expect(counts.inFlight(.ordinary) == 1)
      lease.reclassify(.ordinary)
      lease.reclassify(.tunnel)
      #expect(lease.traffic == .tunnel && counts.inFlight(.ordinary) == 0 && counts.inFlight(.tunnel) == 1)
      #expect(upstream.inFlight == 1)
    }
    for traffic in TrafficClass.allCases { #expect(counts.inFlight(traffic) == 0) }
    #expect(upstream.inFlight == 0 && upstream.statistics[0].inFlight(.ordinary) == 0)
  }

  @Test func leasesOfSeveralThreadsAreAllCounted() throws {
    let upstream = makeUpstream()
    let isWrong = Atomic<Bool>(false)
    @Sendable func work(_ loop: Int) {
      for _ in 0..<20_000 {
        let lease = upstream.lease(.ordinary, loop: loop)
        if !(1...3).contains(lease.upstream.inFlight) { isWrong.store(true, ordering: .relaxed) }
      }
    }
    let first = try Thread { work(0) }
    let second = try Thread { work(1) }
    let third = try Thread { work(2) }
    first.join()
    second.join()
    third.join()
    #expect(upstream.inFlight == 0 && !isWrong.load(ordering: .relaxed))
    for loop in 0..<3 { #expect(upstream.statistics[loop].inFlight(.ordinary) == 0) }
  }

  /// The states it goes through are told once each, trials included.
  @Test func transitionsAreTold() {
    let transitions = Transitions()
    let upstream = makeUpstream(transitions: transitions)
    upstream.noteSuccess(now: 0)
    upstream.noteFailure(.timedOut, now: 0)
    #expect(transitions.all.isEmpty && upstream.state.isEligible)
    upstream.noteFailure(.timedOut, now: 1)
    #expect(transitions.all == [.down] && upstream.state.isLastResort)
    #expect(!upstream.takeTrial(now: 2))
    #expect(upstream.takeTrial(now: 10_000))
    #expect(transitions.all == [.down, .starting])
    #expect(upstream.takeTrial(now: 20_000), "the first trial has not ended")
    #expect(transitions.all == [.down, .starting])
    upstream.noteFailure(.unreachable, now: 20_000)
    upstream.noteSuccess(now: 0)
    #expect(transitions.all == [.down, .starting, .down, .up] && upstream.transitions == 4)
    #expect(upstream.state == UpstreamState(.ready, .up))
  }

  @Test func aSuccessForgetsAFailure() {
    let upstream = makeUpstream()
    for now in 0..<10 as Range<Int64> {
      upstream.noteFailure(.closedBeforeAnswer, now: now)
      upstream.noteSuccess(now: 0)
    }
    #expect(upstream.state.isEligible)
  }

  /// Guards against an upstream that is taken for good, or for bad, because of connections to who listened before.
  @Test func whatEarlierConnectionsShowMeansNothing() {
    let upstream = makeUpstream()
    let before = upstream.generation
    upstream.noteSocketRemoved(now: 0)
    #expect(upstream.generation != before && upstream.state.operational == .down)
    upstream.noteSuccess(generation: before, now: 1)
    #expect(upstream.state.operational == .down)
    upstream.noteSuccess(generation: upstream.generation, now: 2)
    #expect(upstream.state.operational == .up)
    upstream.noteFailure(.unreachable, generation: before, now: 3)
    #expect(upstream.state.operational == .up)
    upstream.noteFailure(.unreachable, generation: upstream.generation, now: 4)
    #expect(upstream.state.operational == .down)
  }

  @Test func aSocketThatGoesChangesNoAdministrativeState() {
    for state in AdministrativeState.allCases {
      let upstream = makeUpstream()
      upstream.setAdministrative(state)
      upstream.noteSocketRemoved(now: 0)
      upstream.noteSocketMade(now: 1)
      #expect(upstream.state == UpstreamState(state, .down))
    }
  }

  /// Guards against a state that balancing reads without the lock and that stays behind the one under the lock:
  /// whatever several threads have told, at the end both are the same.
  @Test func theStateInForceIsTheOneThatIsKnown() throws {
    for round in 0..<200 {
      let transitions = Transitions()
      let upstream = makeUpstream(transitions: transitions)
      let failing = try Thread {
        for now in 0..<50 as Range<Int64> { upstream.noteFailure(.unreachable, now: now) }
      }
      let succeeding = try Thread { for _ in 0..<50 { upstream.noteSuccess(now: 0) } }
      failing.join()
      succeeding.join()
      let ups = transitions.all.filter { $0 == .up }.count
      let downs = transitions.all.filter { $0 == .down }.count
      #expect(downs - ups == (upstream.state.operational == .down ? 1 : 0), "round \(round)")
    }
  }

  /// While its workers are replaced, but somebody has to listen.
  @Test func silenceCanBeExcused() {
    let upstream = makeUpstream()
    upstream.noteGoodProbe(now: 0)
    upstream.excuseSilence(until: 1_000)
    for now in 1..<1_000 as Range<Int64> { upstream.noteBadProbe(isUnreachable: false, now: now) }
    #expect(upstream.state.operational == .up)
    for now in 1_000..<1_010 as Range<Int64> { upstream.noteBadProbe(isUnreachable: false, now: now) }
    #expect(upstream.state.operational != .up)
    upstream.noteGoodProbe(now: 2_000)
    upstream.excuseSilence(until: 9_000)
    upstream.noteBadProbe(isUnreachable: true, now: 2_001)
    #expect(upstream.state.operational != .up)
  }
}
