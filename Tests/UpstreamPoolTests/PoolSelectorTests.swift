import Testing

@testable import UpstreamPool

@Suite struct PoolSelectorTests {
  /// One loop's view, by reference.
  private final class Selector {
    private var value: PoolSelector

    init(_ pool: Pool) { value = PoolSelector(pool, loop: 0) }

    convenience init(_ upstreams: [Upstream]) {
      self.init(Pool(PoolSettings(name: "p", upstreams: upstreams.map(\.settings)), upstreams: upstreams))
    }

    var pool: Pool { value.pool }

    func choose(_ scope: PoolSelector.Scope, excluding tried: UpstreamSet, now: Int64) -> Upstream? {
      value.choose(scope, excluding: tried, now: now)?.upstream
    }
  }

  /// The indices of so many choices, without work that stays.
  private func choices(
    _ count: Int, _ selector: Selector, _ scope: PoolSelector.Scope = .anything, excluding tried: [Int] = [],
    now: Int64 = 0
  ) -> [Int?] {
    var excluded = UpstreamSet()
    for index in tried { excluded.insert(index) }
    return (0..<count).map { _ in selector.choose(scope, excluding: excluded, now: now)?.index }
  }

  @Test func idleUpstreamsTakeTurns() {
    let selector = Selector((0..<3).map { makeUpstream($0) })
    #expect(choices(6, selector) == [0, 1, 2, 0, 1, 2])
  }

  @Test func leasesCount() {
    let upstreams = (0..<2).map { makeUpstream($0) }
    let selector = Selector(upstreams)
    let lease = upstreams[0].lease(.ordinary, loop: 0)
    #expect(choices(3, selector) == [1, 1, 1])
    #expect(lease.upstream.inFlight == 1)
  }

  /// What other loops have is looked at when a millisecond has passed, and whenever states have changed.
  @Test func leasesOfOtherLoopsCount() {
    let upstreams = (0..<3).map { makeUpstream($0) }
    let selector = Selector(upstreams)
    let first = upstreams[0].lease(.ordinary, loop: 1)
    #expect(Set(choices(4, selector, now: 5)) == [1, 2])
    let second = upstreams[1].lease(.ordinary, loop: 2)
    #expect(Set(choices(4, selector, now: 6)) == [2])
    let third = upstreams[2].lease(.ordinary, loop: 1)
    let fourth = upstreams[2].lease(.ordinary, loop: 2)
    upstreams[2].weight = 1
    #expect(Set(choices(4, selector, now: 6)) == [0, 1])
    #expect(first.upstream.inFlight == 1 && second.upstream.inFlight == 1)
    #expect(third.upstream.inFlight == 2 && fourth.upstream.inFlight == 2)
  }

  @Test func thoseThatWereTriedAreLeftOut() {
    let selector = Selector((0..<3).map { makeUpstream($0) })
    #expect(choices(2, selector, excluding: [0, 2]) == [1, 1])
    #expect(choices(1, selector, excluding: [0, 1, 2]) == [nil])
  }

  /// A loop keeps what it knows of the upstreams until somebody changes it; then the very next choice knows.
  @Test func aChangeIsSeenByTheNextChoiceOfEveryLoop() {
    let upstreams = (0..<2).map { makeUpstream($0) }
    let here = Selector(upstreams)
    let there = Selector(here.pool)
    func expect(_ places: Set<Int>, _ what: Comment) {
      for selector in [here, there] { #expect(Set(choices(8, selector)) == Set(places), what) }
    }
    expect([0, 1], "at first")
    for state in [AdministrativeState.draining, .maintenance] {
      upstreams[0].setAdministrative(state, now: 0)
      expect([1], "\(state)")
      upstreams[0].setAdministrative(.ready, now: 0)
      expect([0, 1], "ready again")
    }
    upstreams[1].noteFailure(.unreachable, now: 0)
    expect([0], "down")
    upstreams[1].noteGoodProbe(now: 0)
    upstreams[1].noteSuccess(now: 0)
    expect([0, 1], "up again")
    upstreams[0].share = 1
    #expect(choices(20, here).filter { $0 == 0 }.count <= 1)
    upstreams[0].share = Upstream.wholeShare
    expect([0, 1], "whole again")
  }

  @Test func backupsServeOnlyWhenNobodyElseDoes() {
    let upstreams = [makeUpstream(0), makeUpstream(1, backup: true), makeUpstream(2, backup: true)]
    let selector = Selector(upstreams)
    #expect(choices(3, selector) == [0, 0, 0])
    #expect(choices(4, selector, excluding: [0]) == [1, 2, 1, 2])
    upstreams[0].noteFailure(.unreachable, now: 0)
    #expect(choices(4, selector) == [1, 2, 1, 2])
  }

  @Test func theDownAreTheLastResort() {
    let upstreams = [makeUpstream(0), makeUpstream(1)]
    let selector = Selector(upstreams)
    upstreams[0].noteFailure(.unreachable, now: 0)
    #expect(choices(3, selector) == [1, 1, 1])
    upstreams[1].noteFailure(.unreachable, now: 0)
    #expect(choices(1, selector, .eligible) == [nil])
    #expect(Set(choices(4, selector)) == [0, 1])
    #expect(choices(1, selector, excluding: [0]) == [1])
    #expect(choices(1, selector, excluding: [0, 1]) == [nil])
  }

  /// One request, of whichever loop comes first, finds out whether an upstream is back.
  @Test func oneRequestTriesWhatIsDown() {
    let upstreams = [makeUpstream(0), makeUpstream(1)]
    let here = Selector(upstreams)
    let there = Selector(here.pool)
    upstreams[1].noteFailure(.unreachable, now: 0)
    #expect(choices(3, here, now: 499) == [0, 0, 0])
    #expect(choices(3, here, now: 500) == [1, 0, 0])
    #expect(choices(3, there, now: 500) == [0, 0, 0])
    upstreams[1].noteSuccess(now: 500)
    #expect(Set(choices(4, here, now: 501)) == [0, 1])
  }

  @Test func aTrialIsNotForWhomItHasFailed() {
    let upstreams = [makeUpstream(0), makeUpstream(1)]
    let selector = Selector(upstreams)
    upstreams[1].noteFailure(.unreachable, now: 0)
    #expect(choices(1, selector, excluding: [1], now: 1_000) == [0])
    #expect(choices(1, selector, now: 1_000) == [1])
  }

  /// Guards against a user's request that goes to a backup, to find out about it, while others can take it.
  @Test func backupsAreNotTriedWhileOthersServe() {
    let upstreams = [makeUpstream(0), makeUpstream(1, backup: true)]
    let selector = Selector(upstreams)
    upstreams[1].noteFailure(.unreachable, now: 0)
    #expect(choices(3, selector, now: 10_000) == [0, 0, 0])
    upstreams[0].noteFailure(.unreachable, now: 10_000)
    #expect(choices(1, selector, now: 10_001) == [1])
  }

  @Test func whoIsFullGetsNoMore() {
    let upstreams = [makeUpstream(0, limit: 1), makeUpstream(1, limit: 2)]
    let selector = Selector(upstreams)
    var leases: [UpstreamLeaseBox] = []
    for expected in [0, 1, 1] {
      let chosen = selector.choose(.eligible, excluding: UpstreamSet(), now: 0)
      #expect(chosen?.index == expected)
      if let chosen { leases.append(UpstreamLeaseBox(chosen)) }
    }
    #expect(choices(1, selector) == [nil])
    leases.removeFirst()
    #expect(choices(1, selector) == [0])
  }

  @Test(arguments: [AdministrativeState.draining, .maintenance])
  func whoIsTakenOutGetsNothing(_ state: AdministrativeState) {
    let upstreams = [makeUpstream(0), makeUpstream(1)]
    let selector = Selector(upstreams)
    upstreams[0].setAdministrative(state)
    #expect(choices(3, selector) == [1, 1, 1])
    upstreams[1].setAdministrative(state)
    #expect(choices(1, selector) == [nil])
    // A failure, and the time for a trial, change nothing about that.
    upstreams[0].noteFailure(.unreachable, now: 0)
    #expect(choices(1, selector, now: 10_000) == [nil])
    upstreams[1].setAdministrative(.ready)
    #expect(choices(2, selector, now: 10_000) == [1, 1])
  }

  @Test func aFullPoolIsUsedToItsLast() {
    let upstreams = (0..<UpstreamSet.capacity).map { makeUpstream($0) }
    let selector = Selector(upstreams)
    #expect(choices(UpstreamSet.capacity, selector) == Array(0..<UpstreamSet.capacity))
  }
}

/// A lease that can be kept in an array.
private final class UpstreamLeaseBox {
  private let lease: UpstreamLease
  init(_ upstream: Upstream) { lease = upstream.lease(.ordinary, loop: 0) }
}
