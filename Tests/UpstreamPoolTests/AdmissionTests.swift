import Synchronization
import Testing

@testable import UpstreamPool

/// Who goes when, of those that wait in a pool's line.
@Suite struct AdmissionTests {
  /// A pool with requests in its line that end as soon as they are called, or stay on their way.
  private final class Waiting: Sendable {
    let pool: Pool
    private let calls = Atomic<Int>(0)

    init(_ upstreams: [Upstream], requests: Int, arriving: Bool = true) throws {
      let pool = Pool(PoolSettings(name: "p", upstreams: upstreams.map(\.settings)), upstreams: upstreams)
      self.pool = pool
      pool.line.register(owner: 0) { [unowned self] _ in
        calls.wrappingAdd(1, ordering: .relaxed)
        if arriving { pool.line.arrive(waited: 0) }
      }
      for _ in 0..<requests { _ = try #require(pool.line.join(owner: 0, bytes: 1, since: 0)) }
    }

    var called: Int { calls.load(ordering: .relaxed) }

    /// How many go at a look.
    func look(at now: Int64) -> Int {
      let before = called
      pool.admitWaiting(now: now)
      return called - before
    }
  }

  /// Work of a class, alive until `end`.
  private final class Work {
    private var lease: UpstreamLease?
    init(_ upstream: Upstream, _ traffic: TrafficClass) { lease = upstream.lease(traffic, loop: 0) }
    func end() { lease = nil }
  }

  private func work(_ count: Int, _ traffic: TrafficClass, of upstream: Upstream) -> [Work] {
    (0..<count).map { _ in Work(upstream, traffic) }
  }

  @Test func aWindowGoesAndThenOneForEachAnswer() throws {
    let upstreams = [makeUpstream(0), makeUpstream(1)]
    let ordinary = work(20, .ordinary, of: upstreams[0])
    let uploads = work(2, .upload, of: upstreams[0])
    let waiting = try Waiting(upstreams, requests: 100, arriving: false)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 32 + 10)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 32 + 10)
    ordinary[0].end()
    uploads[0].end()
    waiting.pool.admitWaiting()
    #expect(waiting.called == 32 + 12)
    for work in ordinary + uploads { work.end() }
  }

  @Test func theWindowFollowsTheUsualWork() {
    var window = AdmissionWindow()
    #expect(window.size == AdmissionWindow.most, "nothing is known")
    window.note(atWork: 0)
    #expect(window.size == AdmissionWindow.least)
    for _ in 0..<200 { window.note(atWork: 2) }
    #expect(window.size == 8)
    for _ in 0..<200 { window.note(atWork: 100) }
    #expect(window.size == AdmissionWindow.most)
    // One moment is not what is usual.
    for look in 0..<320 { window.note(atWork: look % 32 == 0 ? 16 : 0) }
    #expect((AdmissionWindow.least...6).contains(window.size))
  }

  @Test func anUpstreamGetsWhatItCanDo() throws {
    let upstream = makeUpstream()
    let usual = work(2, .ordinary, of: upstream) + work(9, .download, of: upstream)
    upstream.noteUsualWork()
    // What it has to do while it is drained, or down, is not what is usual.
    upstream.setAdministrative(.draining)
    let more = work(20, .ordinary, of: upstream)
    upstream.noteUsualWork()
    for work in usual + more { work.end() }
    upstream.setAdministrative(.ready)
    let waiting = try Waiting([upstream], requests: 100, arriving: false)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 8)
  }

  @Test(arguments: [TrafficClass.eventStream, .tunnel, .download])
  func whatHasHadItsAnswerTakesNoPlace(_ traffic: TrafficClass) throws {
    let upstream = makeUpstream()
    let open = work(500, traffic, of: upstream)
    let waiting = try Waiting([upstream], requests: 10)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 10)
    for work in open { work.end() }
  }

  /// Guards against a line behind requests that take minutes.
  @Test func slowWorkKeepsNobodyWaiting() throws {
    let upstream = makeUpstream()
    let slow = work(40, .ordinary, of: upstream)
    let waiting = try Waiting([upstream], requests: 100)
    waiting.pool.admitWaiting()
    #expect(waiting.look(at: 1_000) == 0)
    #expect((1...10).map { waiting.look(at: 1_000 + $0 * 100) } == [3, 3, 3, 3, 4, 3, 3, 3, 3, 4])
    for work in slow { work.end() }
  }

  @Test func aLimitIsTheWindowAndIsNeverExceeded() throws {
    let upstream = makeUpstream(limit: 64)
    let running = work(63, .ordinary, of: upstream)
    let waiting = try Waiting([upstream], requests: 100, arriving: false)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 1)
    for now in stride(from: Int64(0), to: 5_000, by: 100) { #expect(waiting.look(at: now) == 0) }
    running[0].end()
    #expect(waiting.look(at: 5_000) == 1)
    for work in running { work.end() }
  }

  @Test func nobodyGoesWhereNothingIsEligible() throws {
    let upstream = makeUpstream()
    upstream.setAdministrative(.draining)
    let waiting = try Waiting([upstream], requests: 100)
    for now in stride(from: Int64(0), to: 5_000, by: 100) { #expect(waiting.look(at: now) == 0) }
    // What went by meanwhile is not made up for, or all would go at once.
    upstream.setAdministrative(.ready)
    let slow = work(32, .ordinary, of: upstream)
    #expect(waiting.look(at: 5_000) == 3)
    for work in slow { work.end() }
  }

  @Test func thePaceCountsWhatWentAnyway() {
    var pace = AdmissionPace()
    #expect(pace.due(upstreams: 2, now: 0) == 0)
    #expect(pace.due(upstreams: 2, now: 500) == 32)
    for _ in 0..<10 { pace.noteAdmission() }
    #expect(pace.due(upstreams: 2, now: 500) == 22)
    for _ in 0..<1_000 { pace.noteAdmission() }
    #expect(pace.due(upstreams: 2, now: 1_000) == 32, "many that went are no debt")
  }

  @Test func thePaceSavesUpOneSecond() {
    var pace = AdmissionPace()
    _ = pace.due(upstreams: 1, now: 0)
    let saved = (1...100).map { pace.due(upstreams: 1, now: Int64($0) * 100) }
    #expect(saved.first == 3 && saved.max() == AdmissionPace.leastPerSecond && saved.last == saved.max())
    #expect(pace.due(upstreams: 1, now: 60_000) == 0, "nobody waited for a minute")
  }

  @Test func eachThatGoesLetsOnePass() throws {
    let upstream = makeUpstream()
    let running = work(30, .ordinary, of: upstream)
    let waiting = try Waiting([upstream], requests: 100, arriving: false)
    #expect(!waiting.pool.letsPass(), "nobody has gone yet")
    waiting.pool.admitWaiting()
    #expect(waiting.called == 2)
    #expect((0..<4).map { _ in waiting.pool.letsPass() } == [true, true, false, false])
    for work in running { work.end() }
    waiting.pool.admitWaiting()
    #expect(waiting.called == 32)
    #expect((0..<100).filter { _ in waiting.pool.letsPass() }.count == 30)
  }

  @Test func whoPassesIsBoundedAndForgotten() throws {
    let waiting = try Waiting([makeUpstream()], requests: 101)
    for now in 0..<3 { _ = waiting.look(at: Int64(now)) }
    #expect(waiting.called == 96)
    #expect((0..<100).filter { _ in waiting.pool.letsPass() }.count == PassingTurns.mostSavedUp)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 101 && !waiting.pool.letsPass(), "nobody waits any more")
  }

  @Test func nobodyPassesWhereThereIsALimit() throws {
    let waiting = try Waiting([makeUpstream(0), makeUpstream(1, limit: 8)], requests: 100)
    waiting.pool.admitWaiting()
    #expect(waiting.called == 40 && !waiting.pool.letsPass())
  }
}
