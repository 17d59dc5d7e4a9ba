import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

/// What a reload does with upstreams that people or traffic have changed.
@Suite struct ReloadTests {
  private let silent: SilentLog
  private var log: Log { silent.log }

  init() throws { silent = try SilentLog() }

  private func settings(_ change: (inout Settings) -> Void = { _ in }) -> Settings {
    var settings = Settings()
    settings.threads = 2
    settings.pools = [
      PoolSettings(
        name: "main",
        upstreams: [
          UpstreamSettings(name: "a", endpoint: .unix(path: "/run/a.sock"), weight: 5),
          UpstreamSettings(name: "b", endpoint: .unix(path: "/run/b.sock")),
        ])
    ]
    change(&settings)
    return settings
  }

  @Test func aPoolThatDoesNotChangeIsTakenOver() throws {
    let before = try Site(settings(), log: log)
    let after = try Site(settings { $0.threads = 7 }, replacing: before, log: log)
    #expect(after.pools[0] === before.pools[0])
    // The loops that run are those that count.
    #expect(after.loops == 2 && after.pools[0].upstreams[0].statistics.count == 2)
  }

  @Test func statesWorkAndCountersSurviveAChangedPool() throws {
    let before = try Site(settings(), log: log)
    let old = before.pools[0].upstreams[0]
    old.setAdministrative(.maintenance, reason: "disk", now: 77)
    old.weight = 9
    old.share = 10
    old.statistics[1].requests.add(3)
    let lease = LocalUpstream(old, loop: 1).lease(.upload)
    let after = try Site(
      settings {
        $0.threads = 1
        $0.pools[0].slowStart = 5
      }, replacing: before, log: log)
    let new = after.pools[0].upstreams[0]
    #expect(new !== old)
    #expect(new.state == UpstreamState(.maintenance, .up) && new.administrativeReason == "disk")
    #expect(new.administrativeSince == 77 && new.weight == 9 && new.share == 10)
    #expect(new.isSame(as: old) && !new.isSame(as: before.pools[0].upstreams[1]))
    #expect(new.inFlight == 1 && new.inFlight(.upload) == 1 && new.total { $0.requests.current } == 3)
    #expect(after.pools[0].upstreams[1].state.administrative == .ready)
    // Work that began before ends for both.
    _ = consume lease
    #expect(new.inFlight == 0 && new.inFlight(.upload) == 0)
    // And what is said of the new one holds for requests that still wait for the old one.
    new.setAdministrative(.ready)
    #expect(old.state.isEligible && old.administrativeReason == nil)
  }

  /// What began before there was a limit can't be asked to keep to it.
  @Test func aLimitHoldsForWhatBeginsUnderIt() throws {
    let before = try Site(settings(), log: log)
    let old = LocalUpstream(before.pools[0].upstreams[0], loop: 0)
    let lease = old.lease(.ordinary)
    let after = try Site(
      settings { $0.pools[0].upstreams[0].maximumConnections = 1 }, replacing: before, log: log)
    let new = LocalUpstream(after.pools[0].upstreams[0], loop: 1)
    let next = new.leaseIfRoom(.ordinary)
    #expect(next != nil && new.leaseIfRoom(.ordinary) == nil && new.upstream.inFlight == 2)
    _ = consume lease
    #expect(!new.upstream.hasRoom && new.upstream.inFlight == 1)
    _ = consume next
    #expect(new.upstream.hasRoom && new.upstream.inFlight == 0)
  }

  @Test func whatIsKnownOfHealthGoesOn() throws {
    let before = try Site(settings(), log: log)
    before.pools[0].upstreams[1].noteFailure(.unreachable, now: 1000)
    let after = try Site(settings { $0.pools[0].health.fall = 7 }, replacing: before, log: log)
    let new = after.pools[0].upstreams[1]
    #expect(new.state.operational == .down && new.operationalSince == 1000 && new.transitions == 1)
    #expect(new.timeDown(now: 1500) == 500)
  }

  @Test func anUpstreamIsFoundInAnotherPool() throws {
    let before = try Site(settings(), log: log)
    before.pools[0].upstreams[1].setAdministrative(.draining)
    let after = try Site(
      settings {
        let moved = $0.pools[0].upstreams.removeLast()
        $0.pools.append(PoolSettings(name: "other", upstreams: [moved]))
      }, replacing: before, log: log)
    #expect(after.pools[1].upstreams[0].state.administrative == .draining)
  }

  @Test func anotherAddressIsAnotherUpstream() throws {
    let before = try Site(settings(), log: log)
    before.pools[0].upstreams[0].setAdministrative(.draining)
    let after = try Site(
      settings { $0.pools[0].upstreams[0].endpoint = .unix(path: "/run/new.sock") }, replacing: before,
      log: log)
    #expect(after.pools[0].upstreams[0].state.administrative == .ready)
  }

  @Test func aConfiguredWeightThatChangesGoesFirst() throws {
    let before = try Site(settings(), log: log)
    before.pools[0].upstreams[0].weight = 9
    let after = try Site(settings { $0.pools[0].upstreams[0].weight = 6 }, replacing: before, log: log)
    #expect(after.pools[0].upstreams[0].weight == 6)
  }
}
