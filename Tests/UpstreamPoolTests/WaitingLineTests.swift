import Synchronization
import SystemCalls
import Testing

@testable import UpstreamPool

@Suite struct WaitingLineTests {
  private final class Called: Sendable {
    private let tickets = Mutex<[WaitingLine.Ticket]>([])
    var all: [WaitingLine.Ticket] { tickets.withLock { $0 } }
    func note(_ ticket: WaitingLine.Ticket) { tickets.withLock { $0.append(ticket) } }
  }

  private func room(_ count: Int) -> WaitingLine.Room { .init(upstreams: 1, atOnce: count, atAll: count) }

  private func line(_ maximum: Int = 100) -> WaitingLine {
    var settings = HoldSettings()
    settings.maximumRequests = maximum
    return WaitingLine(settings)
  }

  @Test func turnsComeInOrderAsFarAsThereIsRoom() throws {
    let (line, called) = (line(), Called())
    line.register(owner: 0) { called.note($0) }
    let tickets = try (0..<5).map { _ in try #require(line.join(owner: 0, bytes: 10, since: 0)) }
    #expect(line.isOccupied && tickets == tickets.sorted())
    line.admit { room(2) }
    #expect(called.all == Array(tickets[..<2]))
    // Those that are on their way count as work already.
    line.admit { room(2) }
    #expect(called.all.count == 2)
    line.arrive(waited: 7)
    line.admit { room(2) }
    #expect(called.all == Array(tickets[..<3]))
    line.arrive(waited: 3)
    line.arrive(waited: 1)
    line.admit { room(0) }
    #expect(called.all.count == 3)
    line.admit { room(50) }
    // Whoever comes while some were called and have not begun must not overtake them.
    #expect(called.all == tickets && line.isOccupied)
    line.arrive(waited: 2)
    line.arrive(waited: 2)
    #expect(!line.isOccupied)
    let figures = line.figures
    #expect(
      figures.admitted == 5 && figures.longest == 7 && figures.waiting == 0 && figures.waitingBytes == 0)
  }

  @Test func anOpenLineIsLeftByEverybodyAndWhoeverComes() throws {
    let (line, called) = (line(), Called())
    line.register(owner: 0) { called.note($0) }
    func join() throws -> WaitingLine.Ticket { try #require(line.join(owner: 0, bytes: 10, since: 0)) }
    let full = WaitingLine.Room(upstreams: 1, atOnce: 0, atAll: 1_000)
    // Nobody waits: what comes later is no part of it.
    line.open()
    var tickets = [try join(), try join()]
    line.admit { full }
    #expect(called.all.isEmpty)
    line.open()
    line.admit { full }
    #expect(called.all == tickets)
    tickets.append(try join())
    line.admit { full }
    #expect(called.all == tickets)
    for _ in 0..<3 { line.arrive(waited: 1) }
    #expect(!line.isOccupied)
    line.admit { full }
    _ = try join()
    line.admit { full }
    #expect(called.all == tickets)
  }

  @Test func anOpenLineKeepsToWhatIsAllowedAndEndsWithItsUpstream() throws {
    let (line, called) = (line(), Called())
    line.register(owner: 0) { called.note($0) }
    let tickets = try (0..<5).map { _ in try #require(line.join(owner: 0, bytes: 10, since: 0)) }
    line.open()
    line.admit { .init(upstreams: 1, atOnce: 0, atAll: 2) }
    #expect(called.all == Array(tickets[..<2]))
    line.admit { .init() }
    line.admit { .init(upstreams: 1, atOnce: 0, atAll: 1_000) }
    #expect(called.all.count == 2)
  }

  @Test func theLongestWaitIsThatOfWhoeverWaitsNow() throws {
    let line = line()
    line.register(owner: 0) { _ in }
    #expect(line.oldestWait(now: 100) == nil)
    let first = try #require(line.join(owner: 0, bytes: 1, since: 70))
    _ = try #require(line.join(owner: 0, bytes: 1, since: 90))
    // It came back to the end of the line.
    let third = try #require(line.join(owner: 0, bytes: 1, since: 40))
    #expect(line.oldestWait(now: 100) == 60)
    #expect(line.leave(third))
    #expect(line.oldestWait(now: 100) == 30)
    #expect(line.oldestWait(now: 60) == 0, "the clock of another thread may be a little behind")
    line.admit { room(1) }
    #expect(line.oldestWait(now: 100) == 10)
    #expect(!line.leave(first))
    line.admit { room(2) }
    #expect(line.isOccupied && line.oldestWait(now: 100) == nil, "the last one is on its way")
  }

  @Test func whoeverLeavesIsNotCalled() throws {
    let (line, called) = (line(2), Called())
    line.register(owner: 0) { called.note($0) }
    let first = try #require(line.join(owner: 0, bytes: 1, since: 0))
    let second = try #require(line.join(owner: 0, bytes: 1, since: 0))
    #expect(line.join(owner: 0, bytes: 1, since: 0) == nil)
    #expect(line.leave(first))
    #expect(!line.leave(first))
    line.admit { room(10) }
    #expect(called.all == [second])
    #expect(!line.leave(second), "its turn had come")
    #expect(line.figures.gaveUp == 1 && line.figures.refused == 1)
  }

  /// Whatever several loops do at once: each ticket is called or given up, and never both.
  @Test func everyTicketHasOneEnd() throws {
    let line = line(10_000)
    let called = Atomic<Int>(0)
    let left = Atomic<Int>(0)
    let joined = Atomic<Int>(0)
    for owner in 0..<3 {
      line.register(owner: owner) { [unowned line] _ in
        called.wrappingAdd(1, ordering: .relaxed)
        line.arrive(waited: 0)
      }
    }
    @Sendable func work(_ owner: Int) {
      for number in 0..<3_000 {
        guard let ticket = line.join(owner: owner, bytes: 1, since: 0) else { continue }
        joined.wrappingAdd(1, ordering: .relaxed)
        if number % 3 == 0, line.leave(ticket) { left.wrappingAdd(1, ordering: .relaxed) }
        if number % 7 == 0 { line.admit { room(5) } }
      }
    }
    let first = try Thread { work(0) }
    let second = try Thread { work(1) }
    let third = try Thread { work(2) }
    first.join()
    second.join()
    third.join()
    while line.isOccupied { line.admit { room(100) } }
    let ends = called.load(ordering: .relaxed) + left.load(ordering: .relaxed)
    #expect(ends == joined.load(ordering: .relaxed))
    #expect(line.figures.admitted == called.load(ordering: .relaxed))
    #expect(line.figures.gaveUp == left.load(ordering: .relaxed))
  }

  @Test func retriesAreAShareOfTheRequests() {
    var budget = RetryBudget()
    func taken(_ count: Int) -> Int { (0..<count).filter { _ in budget.takeRetry() }.count }
    #expect(taken(100) == 10, "a few are there for a server with little traffic")
    for _ in 0..<4 { budget.noteRequest() }
    #expect(taken(10) == 0)
    budget.noteRequest()
    #expect(taken(10) == 1)
    for _ in 0..<1_000_000 { budget.noteRequest() }
    #expect(taken(1_000) == 100, "what was not used is not saved up for ever")
  }
}
