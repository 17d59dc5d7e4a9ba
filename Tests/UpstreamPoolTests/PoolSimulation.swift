import Synchronization
import SystemCalls
import TestSupport
import Testing

@testable import UpstreamPool

/// A pool with its upstreams, probes, waiting line and requests of several loops, in virtual time and in an order
/// that one seed decides. Sockets are replaced by a model of each upstream; everything else is the real thing.
///
/// Invariants, checked after every step:
/// - a request is sent only to an upstream that is ready, and, unless no eligible one is left for it, not down;
/// - nothing that a request shows whose upstream's socket was removed since it was sent changes that upstream's state;
/// - no upstream has more requests than `max_connections` allows;
/// - no request both waits and is sent, and none ends twice;
/// - the line holds exactly the requests that wait, never more of them, or of their bytes, than its bounds;
/// - requests leave the line in the order in which they joined it;
/// and at the end, when all upstreams have been well for long enough: every request has ended, no lease is alive,
/// the line is empty.
struct PoolSimulation {
  /// What is really behind a socket.
  enum Condition: CaseIterable {
    case working
    /// Accepts, and never answers.
    case hanging
    /// The backlog is full.
    case busy
    case missing
  }

  final class Request {
    enum Stage { case placing, pausing, waiting, called, sent, ended }

    let number: Int
    let loop: Int
    let bytes: Int
    var stage = Stage.placing
    var placement = Placement()
    var ticket: WaitingLine.Ticket?
    var lease: UpstreamLease?
    /// Where the lease is for.
    var upstream: Upstream?
    /// The generation of that upstream when it was sent.
    var generation = 0
    var wakeAt: Int64 = 0
    /// Upstreams that have failed it since it last waited.
    var tried: Set<Int> = []
    var attempts = 0

    init(number: Int, loop: Int, bytes: Int) {
      self.number = number
      self.loop = loop
      self.bytes = bytes
    }
  }

  private final class Calls: Sendable {
    let tickets = Mutex<[WaitingLine.Ticket]>([])
  }

  private var random: SeededGenerator
  private var now: Int64 = 1_000
  private var conditions: [Condition]
  /// Those that have not ended.
  private var requests: [Request] = []
  private var requestCount = 0
  private var selectors: [PoolSelector] = []
  private let pool: Pool
  private let calls = Calls()
  private var lastCalled: WaitingLine.Ticket?
  private(set) var violations: [String] = []
  private(set) var held = 0
  private(set) var answered = 0
  private static let connectTimeout: Int64 = 500

  init(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let count = Int.random(in: 1...4, using: &random)
    var settings = PoolSettings(name: "simulated", upstreams: [])
    settings.health.isProbed = Bool.random(using: &random)
    settings.health.rise = Int.random(in: 1...3, using: &random)
    settings.health.fall = Int.random(in: 1...3, using: &random)
    settings.hold.time = [0, 300, 5_000].randomElement(using: &random)!
    settings.hold.maximumRequests = Int.random(in: 1...40, using: &random)
    settings.hold.maximumBytes = Int.random(in: 500...20_000, using: &random)
    settings.slowStart = [0, 1_000].randomElement(using: &random)!
    settings.upstreams = (0..<count).map { index in
      UpstreamSettings(
        name: "u\(index)", endpoint: .unix(path: "/u\(index)"), weight: Int.random(in: 1...5, using: &random),
        backup: index > 0 && Int.random(in: 0..<4, using: &random) == 0,
        maximumConnections: Bool.random(using: &random) ? Int.random(in: 1...6, using: &random) : nil)
    }
    let start = now
    let upstreams = settings.upstreams.enumerated().map { index, upstream in
      Upstream(
        upstream, health: settings.health, index: index, address: SocketAddress(unixPath: "/u\(index)"),
        loops: 3,
        now: start
      ) { _, _ in }
    }
    pool = Pool(settings, upstreams: upstreams)
    conditions = Array(repeating: .working, count: count)
    selectors = (0..<3).map { [pool] in PoolSelector(pool, loop: $0) }
    let calls = calls
    for owner in 0..<3 {
      pool.line.register(owner: owner) { ticket in calls.tickets.withLock { $0.append(ticket) } }
    }
    self.random = random
  }

  /// Runs some hundred random steps, then lets everything get well, and returns what was violated.
  mutating func run() -> [String] {
    for _ in 0..<Int.random(in: 100...400, using: &random) {
      step()
      check()
      if !violations.isEmpty { return violations }
    }
    getWell()
    return violations
  }

  private mutating func step() {
    now += Int64.random(in: 0...60, using: &random)
    switch Int.random(in: 0..<12, using: &random) {
    case 0...3: arrive()
    case 4:
      change(
        Int.random(in: 0..<conditions.count, using: &random),
        to: Condition.allCases.randomElement(using: &random)!)
    case 5: administrate()
    case 6: probe()
    case 7...9: finishOne()
    case 10: leaveOne()
    default: tick()
    }
    deliverCalls()
    requests.removeAll { $0.stage == .ended }
  }

  private mutating func arrive() {
    let request = Request(
      number: requestCount, loop: Int.random(in: 0..<3, using: &random),
      bytes: Int.random(in: 100...900, using: &random))
    requestCount += 1
    requests.append(request)
    place(request)
  }

  /// Most of the time it is seen at once that a socket goes or comes.
  private mutating func change(_ index: Int, to condition: Condition) {
    let before = conditions[index]
    conditions[index] = condition
    guard (before == .missing) != (condition == .missing), Int.random(in: 0..<4, using: &random) > 0 else {
      return
    }
    let upstream = pool.upstreams[index]
    if condition == .missing {
      upstream.noteSocketRemoved(now: now)
      if upstream.state.operational != .down { violations.append("up without a socket") }
    } else {
      upstream.noteSocketMade(now: now)
    }
  }

  private mutating func administrate() {
    let upstream = pool.upstreams.randomElement(using: &random)!
    upstream.setAdministrative(AdministrativeState.allCases.randomElement(using: &random)!)
    pool.admitWaiting()
  }

  private mutating func probe() {
    guard pool.settings.health.isProbed else { return }
    for upstream in pool.upstreams {
      switch conditions[upstream.index] {
      case .working: upstream.noteGoodProbe(now: now)
      case .hanging: upstream.noteBadProbe(isUnreachable: false, now: now)
      case .missing: upstream.noteBadProbe(isUnreachable: true, now: now)
      case .busy: break
      }
      if upstream.state.isEligible { pool.admitWaiting() }
    }
  }

  /// An upstream answers a request, or is found dead or dumb with one.
  private mutating func finishOne() {
    guard let request = requests.filter({ $0.stage == .sent }).randomElement(using: &random) else { return }
    let upstream = request.upstream!
    switch conditions[upstream.index] {
    case .working, .busy:
      note(nil, of: request)
      end(request)
      answered += 1
    case .hanging:
      note(.timedOut, of: request)
      end(request)
    // One whose socket is gone may still answer what it has to do.
    case .missing where Bool.random(using: &random):
      note(nil, of: request)
      end(request)
      answered += 1
    case .missing:
      note(.closedBeforeAnswer, of: request)
      request.placement.failed(upstream, .closedBeforeAnswer)
      request.tried.insert(upstream.index)
      request.lease = nil
      pool.admitWaiting()
      if request.attempts < 3 { place(request) } else { end(request) }
    }
  }

  /// The upstream of a request is told that it was answered, or what failed.
  private mutating func note(_ failure: UpstreamFailure?, of request: Request) {
    let upstream = request.upstream!
    let before = upstream.state.operational
    if let failure {
      upstream.noteFailure(failure, generation: request.generation, now: now)
    } else {
      upstream.noteSuccess(generation: request.generation, now: now)
    }
    let after = upstream.state.operational
    if request.generation != upstream.generation, after != before {
      violations.append("\(before) became \(after) by an earlier connection")
    }
  }

  /// A client leaves, wherever its request is.
  private mutating func leaveOne() {
    guard let request = requests.randomElement(using: &random) else { return }
    if let ticket = request.ticket, request.stage == .waiting { _ = pool.line.leave(ticket) }
    // One that was called is answered for when its call is delivered.
    end(request)
  }

  /// Time-outs, pauses, and the look of a loop after those that wait.
  private mutating func tick() {
    for request in requests where request.stage == .pausing && request.wakeAt <= now {
      request.placement.pauseIsOver()
      request.tried = []
      place(request)
    }
    for request in requests where request.stage == .waiting && request.wakeAt <= now {
      if pool.line.leave(request.ticket!) {
        request.ticket = nil
        place(request)
      }
    }
    if let oldest = requests.first(where: { $0.stage == .waiting }),
      let trial = selectors[oldest.loop].chooseTrial(excluding: UpstreamSet(), now: now)?.upstream
    {
      if conditions[trial.index] == .missing {
        trial.noteFailure(.unreachable, now: now)
      } else if conditions[trial.index] != .busy, pool.line.leave(oldest.ticket!) {
        oldest.ticket = nil
        send(oldest, to: trial)
      }
    }
    pool.admitWaiting(now: now)
  }

  private mutating func deliverCalls() {
    let called = calls.tickets.withLock {
      let taken = $0
      $0.removeAll()
      return taken
    }
    for ticket in called {
      if let last = lastCalled, !(last < ticket) { violations.append("called out of order") }
      lastCalled = ticket
      guard let request = requests.first(where: { $0.ticket == ticket && $0.stage == .waiting }) else {
        pool.line.arrive(waited: 0)
        pool.admitWaiting()
        continue
      }
      request.ticket = nil
      request.placement.turnHasCome()
      request.tried = []
      place(request)
      pool.line.arrive(waited: 1)
      pool.admitWaiting()
    }
  }

  private mutating func place(_ request: Request) {
    request.stage = .placing
    for _ in 0..<50 {
      let step = request.placement.next(
        &selectors[request.loop], now: now, connectTimeout: Self.connectTimeout)
      switch step {
      case .use(let upstream):
        if use(upstream.upstream, for: request) { return }
      case .waitInLine(let milliseconds):
        wait(request, milliseconds)
        return
      case .pause(let milliseconds):
        request.stage = .pausing
        request.wakeAt = now + milliseconds
        return
      case .giveUp:
        end(request)
        return
      }
    }
    violations.append("request \(request.number) is placed without end")
  }

  private mutating func use(_ upstream: Upstream, for request: Request) -> Bool {
    if upstream.state.administrative != .ready { violations.append("sent to \(upstream.state)") }
    let hasBetter = pool.upstreams.contains { $0.state.isEligible && !request.tried.contains($0.index) }
    if upstream.state.operational == .down, hasBetter { violations.append("sent to one that is down") }
    if let limit = upstream.settings.maximumConnections, upstream.state.isEligible, upstream.inFlight >= limit
    {
      violations.append("sent to one that is full")
    }
    switch conditions[upstream.index] {
    case .missing:
      upstream.noteFailure(.unreachable, now: now)
      request.placement.failed(upstream, .unreachable)
      request.tried.insert(upstream.index)
      return false
    case .busy:
      request.placement.wasBusy(upstream)
      request.tried.insert(upstream.index)
      return false
    case .working, .hanging:
      send(request, to: upstream)
      return true
    }
  }

  private mutating func send(_ request: Request, to upstream: Upstream) {
    if request.lease != nil { violations.append("request \(request.number) is sent twice") }
    request.attempts += 1
    request.lease = upstream.lease(.ordinary, loop: request.loop)
    request.upstream = upstream
    request.generation = upstream.generation
    request.stage = .sent
  }

  private mutating func wait(_ request: Request, _ milliseconds: Int64) {
    let since = request.placement.waitingSince ?? now
    guard let ticket = pool.line.join(owner: request.loop, bytes: request.bytes, since: since) else {
      end(request)
      return
    }
    held += 1
    request.ticket = ticket
    request.stage = .waiting
    request.wakeAt = now + milliseconds
    pool.admitWaiting()
  }

  private mutating func end(_ request: Request) {
    if request.stage == .ended { violations.append("request \(request.number) ended twice") }
    request.stage = .ended
    request.ticket = nil
    if request.lease != nil {
      request.lease = nil
      pool.admitWaiting()
    }
  }

  private mutating func check() {
    for request in requests where request.ticket != nil && request.lease != nil {
      violations.append("request \(request.number) both waits and is sent")
    }
    let waiting = requests.filter { $0.stage == .waiting }
    let called = calls.tickets.withLock { $0.count }
    let figures = pool.line.figures
    if figures.waiting + called < waiting.count { violations.append("a waiting request is lost") }
    if called == 0,
      pool.oldestWait(now: now) != waiting.compactMap(\.placement.waitingSince).min().map({ now - $0 })
    {
      violations.append("the longest wait is another one")
    }
    if figures.waiting > waiting.count { violations.append("the line holds what does not wait") }
    if figures.waiting > pool.settings.hold.maximumRequests
      || figures.waitingBytes > pool.settings.hold.maximumBytes
    {
      violations.append("the line is above its bounds")
    }
    for upstream in pool.upstreams {
      let sent = requests.count { $0.stage == .sent && $0.upstream === upstream }
      if upstream.inFlight != sent { violations.append("\(upstream.inFlight) leases for \(sent) requests") }
    }
  }

  /// Everything works again; then everybody must be served or have given up.
  private mutating func getWell() {
    for upstream in pool.upstreams { upstream.setAdministrative(.ready) }
    for index in conditions.indices { conditions[index] = .working }
    for _ in 0..<4_000 where !requests.isEmpty {
      now += 20
      probe()
      finishOne()
      tick()
      deliverCalls()
      requests.removeAll { $0.stage == .ended }
      check()
      if !violations.isEmpty { return }
    }
    if let left = requests.first {
      violations.append("\(requests.count) requests never ended, one is \(left.stage)")
    }
    if pool.line.figures.waiting != 0 { violations.append("the line is not empty") }
    for upstream in pool.upstreams where upstream.inFlight != 0 { violations.append("a lease is alive") }
  }
}
