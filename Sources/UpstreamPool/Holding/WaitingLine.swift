import Synchronization

/// The requests of one pool that wait for an upstream, over all loops: a fair queue in front of upstreams that are
/// full, or not there for the moment.
public final class WaitingLine: Sendable {
  /// A place in the line. It is given up with `leave`, or its turn comes through the closure of its owner.
  public struct Ticket: Hashable, Comparable, Sendable {
    let inner: HoldQueue.Ticket

    /// The one that came first is the least.
    public static func < (left: Ticket, right: Ticket) -> Bool { left.inner.number < right.inner.number }
  }

  /// What has become of those that waited.
  public struct Figures: Sendable {
    public var waiting = 0
    public var waitingBytes = 0
    public var admitted = 0
    public var gaveUp = 0
    public var refused = 0
    /// Milliseconds.
    public var longest: Int64 = 0
  }

  /// What the upstreams of a pool can take now.
  struct Room {
    /// Those that take new work.
    var upstreams = 0
    /// So many more go at once.
    var atOnce = 0
    /// So many more are allowed, be it too many at once.
    var atAll = 0
  }

  private struct State {
    var queue: HoldQueue
    var pace = AdmissionPace()
    var passing = PassingTurns()
    /// Those whose turn has come and who have not begun yet: they count as work already.
    var onTheirWay = 0
    /// Whoever waits goes as soon as there is an upstream, until nobody waits.
    var isOpen = false
    var figures = Figures()
    var owners: [Int: @Sendable (Ticket) -> Void] = [:]

    var length: Int { queue.count + onTheirWay }
  }

  private let state: Mutex<State>
  /// Those that wait, and those that are on their way.
  private let length = Atomic<Int>(0)

  init(_ settings: HoldSettings) {
    state = Mutex(
      State(queue: HoldQueue(maximumCount: settings.maximumRequests, maximumBytes: settings.maximumBytes)))
  }

  /// True when somebody waits, or was called and has not begun: whoever comes now goes to the end, unless it may pass.
  public var isOccupied: Bool { length.load(ordering: .relaxed) > 0 }

  public var figures: Figures {
    state.withLock {
      var figures = $0.figures
      figures.waiting = $0.queue.count
      figures.waitingBytes = $0.queue.bytes
      return figures
    }
  }

  /// Says how the requests of a loop are told that their turn has come. The closure is called on any thread.
  public func register(owner: Int, _ call: @escaping @Sendable (Ticket) -> Void) {
    state.withLock { $0.owners[owner] = call }
  }

  /// For how many milliseconds the request that waits longest has waited; nil when nobody waits. From any thread; not
  /// for every request, because it looks at all that wait.
  ///
  /// - Parameter now: milliseconds of the monotonic clock.
  public func oldestWait(now: Int64) -> Int64? {
    guard isOccupied else { return nil }
    return state.withLock { $0.queue.oldestSince }.map { max(0, now - $0) }
  }

  /// Joins at the end; nil when the line is full.
  ///
  /// - Parameter since: when it began to wait, in milliseconds of the monotonic clock: its turn may have come before,
  ///   in vain.
  public func join(owner: Int, bytes: Int, since: Int64) -> Ticket? {
    state.withLock {
      guard let ticket = $0.queue.join(owner: owner, bytes: bytes, since: since) else {
        $0.figures.refused += 1
        return nil
      }
      length.store($0.length, ordering: .relaxed)
      return Ticket(inner: ticket)
    }
  }

  /// Whether a request that comes now may go its way though others wait; see `PassingTurns`.
  func letPass() -> Bool { state.withLock { $0.passing.take() } }

  /// Gives the place up, for a request that ends or goes another way. False when its turn had come already: then it
  /// must `arrive`.
  public func leave(_ ticket: Ticket) -> Bool {
    state.withLock {
      guard $0.queue.leave(ticket.inner) else { return false }
      $0.figures.gaveUp += 1
      length.store($0.length, ordering: .relaxed)
      return true
    }
  }

  /// A request whose turn has come has begun, or has ended before it could: there may be room for the next one, see
  /// `Pool.admitWaiting`. `waited` in milliseconds.
  public func arrive(waited: Int64) {
    state.withLock {
      $0.onTheirWay -= 1
      $0.figures.admitted += 1
      $0.figures.longest = max($0.figures.longest, waited)
      length.store($0.length, ordering: .relaxed)
    }
  }

  /// Lets everybody go whom upstreams are allowed to take, and whoever comes until the line is empty: they would wait
  /// in the upstream's backlog as well as here. See `admit`.
  func open() { state.withLock { $0.isOpen = $0.length > 0 } }

  /// Lets as many go as there is room for.
  ///
  /// - Parameters:
  ///   - now: given by the regular look after those that wait, in milliseconds of the monotonic clock: then some go
  ///     even if there is no room for them at once, see `AdmissionPace`.
  ///   - room: what there is without those that are on their way.
  func admit(now: Int64? = nil, room: () -> Room) {
    var called: [(call: @Sendable (Ticket) -> Void, ticket: Ticket)] = []
    state.withLock { state in
      let room = room()
      if room.upstreams == 0 || state.length == 0 { state.isOpen = false }
      let due = now.map { state.pace.due(upstreams: room.upstreams, now: $0) } ?? 0
      let wanted = state.isOpen ? .max : max(room.atOnce - state.onTheirWay, due)
      var free = min(wanted, room.atAll - state.onTheirWay)
      while free > 0, let ticket = state.queue.takeFirst() {
        free -= 1
        state.pace.noteAdmission()
        state.passing.noteAdmission()
        guard let call = state.owners[ticket.owner] else { continue }
        state.onTheirWay += 1
        called.append((call, Ticket(inner: ticket)))
      }
      if state.queue.count == 0 { state.passing.forget() }
      length.store(state.length, ordering: .relaxed)
    }
    for (call, ticket) in called { call(ticket) }
  }
}
