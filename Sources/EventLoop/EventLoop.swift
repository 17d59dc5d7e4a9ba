import CLibevent
import Glibc
import SystemCalls

/// The order of work in one turn of a loop. Doing much of one kind before the next keeps both ends busy and saves
/// wake-ups: each peer finds several messages where it would have found one. Where there is very much, as when a
/// thousand connections are busy, one stretch of the clients has its turn before the upstreams are looked at again: what
/// has been begun is finished first, while it is in the processor's caches, and no more of it is under way than need be.
public enum Phase: UInt8, CaseIterable, Sendable {
  /// Accept and receive from clients, read requests.
  case receiveRequests
  /// Send to upstreams what the phase before has made, and to clients what was held up.
  case sendRequests
  /// Receive from upstreams.
  case receiveResponses
  /// Send to clients.
  case sendResponses
}

/// One libevent event base and everything that happens on its thread. Not Sendable: other threads reach it through
/// a `Mailbox` only.
public final class EventLoop {
  let base: OpaquePointer
  /// Nanoseconds of CLOCK_MONOTONIC at the beginning of this turn.
  @inlinable public var nowNanoseconds: Int64 { turnBeganAt }

  // Nothing in these calls back while it is changed: see "Ownership" in docs/architecture.md.
  @exclusivity(unchecked) @usableFromInline var turnBeganAt: Int64 = 0
  // One for each phase.
  @exclusivity(unchecked)
  private var queues = InlineArray<4, ContiguousArray<Unmanaged<Channel>>>(repeating: [])
  @exclusivity(unchecked) private var receiving = ContiguousArray<Unmanaged<Channel>>()
  // Those whose turn to receive from their clients is still to come, in this turn or a later one, from `nextWaiting` on.
  @exclusivity(unchecked) private var waiting = ContiguousArray<Unmanaged<Channel>>()
  private var nextWaiting = 0
  @exclusivity(unchecked) private var sending = ContiguousArray<Unmanaged<Channel>>()
  @exclusivity(unchecked) private var graveyard: [Unmanaged<Channel>] = []
  @exclusivity(unchecked) private var wheel: DeadlineWheel
  private var due: [Timed] = []
  private var passed: [Timed] = []
  private var armedFor = Timed.never
  private var isTurnScheduled = false
  private var isRunning = false
  private let turnEvent = UnsafeMutablePointer<event>.allocate(capacity: 1)
  // libevent's own timers read CLOCK_MONOTONIC_COARSE, which is up to 4 ms behind: the kernel would end a wait in time,
  // and libevent wait another millisecond, and again, until that clock has come there too.
  private let timer: TimerDescriptor
  private let timerEvent = UnsafeMutablePointer<event>.allocate(capacity: 1)
  private var signals: [SignalSubscription] = []
  // Nil where a channel has closed: with many connections for one request each, most have.
  @exclusivity(unchecked) private var toBeChecked = ContiguousArray<Unmanaged<Channel>?>()
  private var beingChecked = ContiguousArray<Unmanaged<Channel>?>()
  private lazy var failureCheck = Callback { [unowned self] in checkAll() }

  /// Makes a loop; it runs on the thread that calls `run`.
  public init() throws(SystemError) {
    guard let configuration = event_config_new() else { throw .last("event_config_new") }
    defer { event_config_free(configuration) }
    // One thread per base, so there is nothing to lock; and edge triggers need epoll.
    event_config_set_flag(configuration, Int32(EVENT_BASE_FLAG_NOLOCK.rawValue))
    event_config_require_features(
      configuration, Int32(EV_FEATURE_ET.rawValue | EV_FEATURE_EARLY_CLOSE.rawValue))
    guard let base = event_base_new_with_config(configuration) else {
      throw .last("event_base_new_with_config")
    }
    self.base = base
    do {
      timer = try TimerDescriptor()
    } catch {
      event_base_free(base)
      throw error
    }
    turnBeganAt = Self.readClock()
    wheel = DeadlineWheel(now: turnBeganAt / 1_000_000)
    let reference = Unmanaged.passUnretained(self).toOpaque()
    event_assign(turnEvent, base, -1, 0, { _, _, loop in EventLoop.from(loop).runTurn() }, reference)
    // Edge-triggered, it tells once of each moment, and nobody has to read it.
    event_assign(
      timerEvent, base, timer.number, Int16(clibevent_moment),
      { _, _, loop in EventLoop.from(loop).timerFired() }, reference)
    event_add(timerEvent, nil)
  }

  deinit {
    signals.removeAll()
    event_del(turnEvent)
    event_del(timerEvent)
    turnEvent.deallocate()
    timerEvent.deallocate()
    event_base_free(base)
  }

  private static func from(_ argument: UnsafeMutableRawPointer?) -> EventLoop {
    Unmanaged<EventLoop>.fromOpaque(argument!).takeUnretainedValue()
  }

  /// Milliseconds of CLOCK_MONOTONIC at the beginning of this turn: the clock of deadlines.
  @inlinable public var now: Int64 { turnBeganAt / 1_000_000 }

  /// Runs until `stop`.
  public func run() {
    isRunning = true
    event_base_loop(base, EVLOOP_NO_EXIT_ON_EMPTY)
    isRunning = false
    letGoOfClosedChannels()
  }

  /// Ends `run` when the callback of the moment has returned.
  public func stop() {
    event_base_loopbreak(base)
  }

  // MARK: Holding channels

  /// Names a channel in one more place, to be taken back with `letGo`. All places share one reference and are counted
  /// here, because Swift's counting is atomic and would be done four times for every request.
  func hold(_ channel: Channel) -> Unmanaged<Channel> {
    let reference = Unmanaged.passUnretained(channel)
    if channel.holds == 0 { _ = reference.retain() }
    channel.holds += 1
    return reference
  }

  private func letGo(_ reference: Unmanaged<Channel>) {
    let isUnheld = reference._withUnsafeGuaranteedRef {
      $0.holds -= 1
      return $0.holds == 0
    }
    if isUnheld { reference.release() }
  }

  // MARK: Turns

  /// Queues `channel` for a phase: of this turn if the phase is still to come, else of the next one. Queued once it
  /// is not queued again; closing it takes it out.
  public func enqueue(_ channel: Channel, for phase: Phase) {
    let bit: UInt8 = 1 << phase.rawValue
    guard channel.queuedPhases & bit == 0, !channel.isClosed else { return }
    channel.queuedPhases |= bit
    queues[Int(phase.rawValue)].append(hold(channel))
    if !isTurnScheduled { scheduleTurn() }
  }

  /// To be called by whatever the loop calls from outside a turn.
  func beginTurn() {
    if !isTurnScheduled { scheduleTurn() }
  }

  private func scheduleTurn() {
    isTurnScheduled = true
    turnBeganAt = Self.readClock()
    // Made active while others are being run, it comes behind all of them: the tail of libevent's turn.
    event_active(turnEvent, Int32(EV_TIMEOUT), 1)
  }

  private func runTurn() {
    if nextWaiting == waiting.count {
      waiting.removeAll(keepingCapacity: true)
      nextWaiting = 0
      swap(&waiting, &queues[Int(Phase.receiveRequests.rawValue)])
    }
    receiveRequests()
    receiveResponses()
    isTurnScheduled = false
    let isWorkLeft = nextWaiting < waiting.count || queues.indices.contains { !queues[$0].isEmpty }
    if isWorkLeft { scheduleTurnBehindPoll() }
    releaseClosedChannels()
  }

  /// One stretch of those who wait, and what it has made. The others have theirs behind the next poll, and behind what
  /// upstreams have answered by then.
  private func receiveRequests() {
    let end = min(nextWaiting + Self.stretch, waiting.count)
    while nextWaiting < end {
      nextWaiting += 1
      run(waiting[nextWaiting - 1], .receiveRequests)
    }
    send(.sendRequests)
  }

  /// All that have answered, and after each stretch what it has made: what a stretch touches is in the processor's caches
  /// still when it is sent. Where that is very much, as with many downloads, those who wait to begin have their share.
  private func receiveResponses() {
    swap(&receiving, &queues[Int(Phase.receiveResponses.rawValue)])
    var start = 0
    repeat {
      if start > 0, start % Self.share == 0 { receiveRequests() }
      let end = min(start + Self.stretch, receiving.count)
      for position in start..<end { run(receiving[position], .receiveResponses) }
      start = end
      send(.sendResponses)
    } while start < receiving.count
    receiving.removeAll(keepingCapacity: true)
  }

  private func send(_ phase: Phase) {
    swap(&sending, &queues[Int(phase.rawValue)])
    for reference in sending { run(reference, phase) }
    sending.removeAll(keepingCapacity: true)
  }

  private func run(_ reference: Unmanaged<Channel>, _ phase: Phase) {
    let bit: UInt8 = 1 << phase.rawValue
    reference._withUnsafeGuaranteedRef { channel in
      channel.queuedPhases &= ~bit
      if !channel.isClosed { channel.run(phase) }
    }
    letGo(reference)
  }

  /// So many channels receive before what they have made is sent: enough that each peer finds several messages.
  static let stretch = 32

  /// For so many that have answered there is another stretch of those who wait to begin.
  static let share = 4 * stretch

  /// libevent runs what is made active in its own pass before it polls again, so that a channel which always has more
  /// to do would keep the loop from ever looking at the others. What a timer makes active comes behind the poll.
  private func scheduleTurnBehindPoll() {
    isTurnScheduled = true
    turnBeganAt = Self.readClock()
    var interval = timeval()
    event_add(turnEvent, &interval)
  }

  /// Lets go of a channel that has just been closed. While the loop does not run, no callback can meet it, and there
  /// may never be another turn: what it refers to, this loop perhaps, would live for ever.
  func releaseAtEndOfTurn(_ channel: Channel) {
    graveyard.append(Unmanaged.passUnretained(channel))
    if isRunning { beginTurn() } else { letGoOfClosedChannels() }
  }

  private func releaseClosedChannels() {
    guard !graveyard.isEmpty else { return }
    let closed = graveyard
    graveyard.removeAll(keepingCapacity: true)
    for reference in closed { letGo(reference) }
  }

  /// Closed channels go from all places where they are named.
  private func letGoOfClosedChannels() {
    queues[Int(Phase.receiveRequests.rawValue)].insert(contentsOf: waiting[nextWaiting...], at: 0)
    waiting.removeAll()
    nextWaiting = 0
    var closed: [Unmanaged<Channel>] = []
    for phase in queues.indices {
      closed += queues[phase].filter { $0._withUnsafeGuaranteedRef { $0.isClosed } }
      queues[phase].removeAll { $0._withUnsafeGuaranteedRef { $0.isClosed } }
    }
    for reference in closed { letGo(reference) }
    releaseClosedChannels()
  }

  // MARK: Deadlines

  /// Calls `timed.deadlinePassed` in so many milliseconds, in place of any deadline it had. A channel that is closed
  /// gets none: the wheel does not keep alive what it names.
  public func setDeadline(of timed: Timed, in milliseconds: Int64) {
    let (deadline, overflow) = now.addingReportingOverflow(milliseconds)
    if wheel.set(timed, to: overflow ? Timed.never - 1 : deadline) { armTimer() }
  }

  /// Takes the deadline away, cheaply; the object must be `remove`d or live until the old time has come.
  public func clearDeadline(of timed: Timed) {
    wheel.clear(timed)
  }

  /// Takes `timed` out of the wheel, before it goes.
  public func remove(_ timed: Timed) {
    wheel.remove(timed)
  }

  /// Takes a channel that closes out of the wheel for good.
  func retire(_ channel: Channel) {
    wheel.retire(channel)
  }

  private func armTimer() {
    guard let next = wheel.nextDue, next < armedFor else { return }
    armedFor = next
    timer.set(milliseconds: next)
  }

  private func timerFired() {
    beginTurn()
    armedFor = Timed.never
    wheel.advance(to: now, due: &due)
    // Two arrays in turn, because one that is changed while it is looked at takes new memory.
    swap(&passed, &due)
    for timed in passed where wheel.takeDue(timed) { timed.deadlinePassed() }
    passed.removeAll(keepingCapacity: true)
    armTimer()
  }

  private static func readClock() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// The clock of deadlines, for use outside a loop.
  public static func monotonicMilliseconds() -> Int64 { readClock() / 1_000_000 }

  /// CLOCK_MONOTONIC now, in nanoseconds, for measuring below a turn.
  public func preciseNanoseconds() -> Int64 { Self.readClock() }

  // MARK: Failures

  /// Looks in a moment whether the channel has failed, unless it shows signs of life until then.
  func check(_ channel: Channel) {
    guard channel.checkPlace < 0 else {
      channel.isAlive = true
      return
    }
    channel.checkPlace = Int32(toBeChecked.count)
    toBeChecked.append(hold(channel))
    if toBeChecked.count == 1 { setDeadline(of: failureCheck, in: Self.failureCheckDelay) }
  }

  /// Does not look at a channel that closes: it need not stay for that.
  func uncheck(_ channel: Channel) {
    guard channel.checkPlace >= 0 else { return }
    toBeChecked[Int(channel.checkPlace)] = nil
    channel.checkPlace = -1
    letGo(.passUnretained(channel))
  }

  private func checkAll() {
    swap(&beingChecked, &toBeChecked)
    // Of all of them first: what closes another one meanwhile must not look for it in the list that begins now.
    for case let reference? in beingChecked { reference._withUnsafeGuaranteedRef { $0.checkPlace = -1 } }
    for case let reference? in beingChecked {
      reference._withUnsafeGuaranteedRef { channel in
        guard !channel.isClosed else { return }
        if channel.isAlive {
          // What came last may have come with a reset: its turn is after another moment.
          channel.isAlive = false
          check(channel)
        } else {
          channel.checkForFailure()
        }
      }
      letGo(reference)
    }
    beingChecked.removeAll(keepingCapacity: true)
  }

  /// Milliseconds: short enough that nobody waits for it. A busy connection is asked only when it pauses.
  private static let failureCheckDelay: Int64 = 200

  // MARK: Signals

  /// Calls `body` on this loop for every such signal. Only one loop of a process may do this (event(3)).
  public func onSignal(_ number: Int32, _ body: @escaping () -> Void) {
    signals.append(SignalSubscription(loop: self, number: number, body: body))
  }
}

/// A deadline that calls a closure.
final class Callback: Timed {
  private let body: () -> Void

  init(_ body: @escaping () -> Void) { self.body = body }

  override func deadlinePassed() { body() }
}

/// A signal that libevent delivers to a loop.
private final class SignalSubscription {
  private let handle = UnsafeMutablePointer<event>.allocate(capacity: 1)
  private let body: () -> Void
  private unowned(unsafe) let loop: EventLoop

  init(loop: EventLoop, number: Int32, body: @escaping () -> Void) {
    self.body = body
    self.loop = loop
    let reference = Unmanaged.passUnretained(self).toOpaque()
    event_assign(
      handle, loop.base, number, Int16(EV_SIGNAL | EV_PERSIST),
      { _, _, argument in
        let subscription = Unmanaged<SignalSubscription>.fromOpaque(argument!).takeUnretainedValue()
        subscription.loop.beginTurn()
        subscription.body()
      }, reference)
    event_add(handle, nil)
  }

  deinit {
    event_del(handle)
    handle.deallocate()
  }
}
