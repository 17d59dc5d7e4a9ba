import CLibevent
import Glibc
import SystemCalls

/// What the kernel has told about a channel's descriptor.
public struct Readiness: OptionSet, Sendable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// There may be something to receive. Cleared by `Channel.receive`.
  @inlinable public static var readable: Readiness { Readiness(rawValue: 1) }
  /// Sending may go on after it would have blocked.
  @inlinable public static var writable: Readiness { Readiness(rawValue: 2) }
  /// The peer has ended its sending side; what it sent before is still to be received.
  @inlinable public static var peerClosed: Readiness { Readiness(rawValue: 4) }
}

/// A descriptor that an event loop watches, from `open` to `close`. Everything happens on the loop's thread.
///
/// Reading is edge-triggered: readiness is remembered in `readiness` and costs no system call to ignore. So a
/// channel that is not read for a while (back-pressure) is not taken off the loop, and the end of the peer is
/// noticed even then. Writability is asked for only after a send would have blocked.
///
/// The loop holds a reference from `open` to the end of the turn in which `close` is called, and for as long as it is
/// queued, so that no callback or queue can meet an object that is gone; while the loop does not run, only to `close`
/// itself.
open class Channel: Timed {
  public let loop: EventLoop
  /// -1 once closed.
  @inlinable public final var descriptor: Int32 { number }
  @inlinable public final var readiness: Readiness {
    get { known }
    set { known = newValue }
  }
  // Stored under other names, because other modules would check accesses to stored properties: see "Ownership" in
  // docs/architecture.md.
  @exclusivity(unchecked) @usableFromInline final var number: Int32
  @exclusivity(unchecked) @usableFromInline final var known: Readiness = []
  /// Bit n is set while this stands in the queue of phase n.
  final var queuedPhases: UInt8 = 0
  /// In how many places the loop names this; see `EventLoop.hold`.
  final var holds: UInt8 = 0

  // Both have memory from their first use on: many connections are over before anything is watched.
  private final var readEvent: UnsafeMutablePointer<event>?
  private final var writeEvent: UnsafeMutablePointer<event>?
  private final var readWatch = ReadWatch.none
  private final var isWatchingWrites = false
  private final var isOpen = false

  private enum ReadWatch {
    /// Not yet: what is over soon need not be registered.
    case none
    case paused
    case active
  }

  /// Takes ownership of a non-blocking descriptor. Nothing is watched before `open`.
  public init(loop: EventLoop, owning descriptor: Int32) {
    self.loop = loop
    number = descriptor
    super.init()
  }

  deinit {
    assert(!isOpen, "a channel must be closed")
    readEvent?.deallocate()
    writeEvent?.deallocate()
  }

  @inlinable public final var isClosed: Bool { descriptor < 0 }

  /// True while it stands in the queue of a phase, which may take several turns of a loop that has very much to do.
  public final func isQueued(for phase: Phase) -> Bool { queuedPhases & 1 << phase.rawValue != 0 }

  /// Starts to watch for input and for the peer's end. What is there already is reported in the next turn.
  public final func open() {
    holdUntilClosed()
    watchReads()
  }

  /// As `open`, for a descriptor that has input already, as far as can be foreseen: it may be received at once, and nothing
  /// is watched before a `receive` finds nothing, or `watchReads`, or a moment after the last `receive`. What is over by
  /// then never costs the system calls of a registration.
  public final func openToReceive() {
    holdUntilClosed()
    readiness.insert(.readable)
  }

  private final func holdUntilClosed() {
    _ = loop.hold(self)
    isOpen = true
  }

  /// Watches for input and for the peer's end, unless that is done already.
  public final func watchReads() {
    guard readWatch != .active, isOpen else { return }
    let event = readEvent ?? .allocate(capacity: 1)
    readEvent = event
    event_assign(
      event, loop.base, descriptor, Int16(clibevent_reading), channelIsReadable,
      Unmanaged.passUnretained(self).toOpaque())
    event_add(event, nil)
    readWatch = .active
  }

  /// Stops to watch for input and for the peer's end, for a time in which nobody would look at them. `receive` finds out
  /// whether there is something, and watches again when it has taken all.
  public final func pauseReads() {
    guard readWatch == .active, let readEvent else { return }
    event_del(readEvent)
    readWatch = .paused
    readiness.insert(.readable)
  }

  /// Watches for writability. `isConnecting` is for sockets whose connect is under way.
  public final func watchWrites() {
    guard !isWatchingWrites, !isClosed else { return }
    let event = writeEvent ?? .allocate(capacity: 1)
    if writeEvent == nil {
      writeEvent = event
      event_assign(
        event, loop.base, descriptor, Int16(clibevent_writing), channelIsWritable,
        Unmanaged.passUnretained(self).toOpaque())
    }
    event_add(event, nil)
    isWatchingWrites = true
  }

  /// Stops to watch for writability. Worth its system call on a unix socket, whose peer reports writability with
  /// every read it does; a TCP socket does so only after a send that would have blocked.
  public final func unwatchWrites() {
    guard isWatchingWrites, let writeEvent else { return }
    event_del(writeEvent)
    isWatchingWrites = false
  }

  /// Closes the descriptor and forgets what is queued. Calling it again does nothing.
  public final func close() {
    guard let number = giveUp() else { return }
    _ = Glibc.close(number)
  }

  /// Stops watching and gives the open descriptor to the caller; nil when it is closed already.
  public final func giveUp() -> Int32? {
    guard !isClosed else { return nil }
    let number = descriptor
    loop.retire(self)
    loop.uncheck(self)
    self.number = -1
    guard isOpen else { return number }
    if readWatch == .active, let readEvent { event_del(readEvent) }
    if isWatchingWrites, let writeEvent { event_del(writeEvent) }
    isOpen = false
    readWatch = .none
    isWatchingWrites = false
    loop.releaseAtEndOfTurn(self)
    return number
  }

  /// One recv(2), if there may be something: see `readiness`.
  ///
  /// A read that comes up short has taken all there was, unless the peer's end is still to be read. libevent reports
  /// a failed socket like a readable one, so a reset that came together with the last bytes looks the same: the loop
  /// looks for that a moment later, see `EventLoop.check`.
  public final func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    if failure != 0 { return .failed(failure) }
    guard readiness.contains(.readable) else { return foundNothing() }
    let result = SystemCalls.receive(descriptor, into: buffer)
    switch result {
    case .bytes(let count):
      if count < buffer.count, !readiness.contains(.peerClosed) {
        readiness.remove(.readable)
        if readWatch == .paused { watchReads() }
        loop.check(self)
      }
    case .wouldBlock: return foundNothing()
    case .end, .failed: break
    }
    return result
  }

  /// Moves what was received, at most `byteCount`, into an empty pipe. Here a short move says nothing, because a pipe
  /// may be full before it holds what it can: only EAGAIN tells that all was taken.
  public final func receive(into pipe: SplicePipe, atMost byteCount: Int) -> Transfer {
    if failure != 0 { return .failed(failure) }
    guard readiness.contains(.readable) else { return foundNothing() }
    let result = pipe.fill(from: descriptor, atMost: byteCount)
    return result == .wouldBlock ? foundNothing() : result
  }

  private final func foundNothing() -> Transfer {
    readiness.remove(.readable)
    watchReads()
    return .wouldBlock
  }

  /// The error that the socket was found to have when nothing else was going on.
  private final var failure: Int32 = 0
  /// Where this stands in the loop's list of those that it is going to look at for an error; -1 while in none.
  final var checkPlace: Int32 = -1
  /// True when something was received since it stands there.
  final var isAlive = false

  /// Looks for an error that was not told (SO_ERROR, socket(7)).
  final func checkForFailure() {
    guard !isClosed else { return }
    // That brings the news of a failure as well.
    guard readWatch == .active else { return watchReads() }
    guard !readiness.contains(.readable) else { return }
    failure = pendingError(of: descriptor)
    if failure != 0 { note(.readable) }
  }

  /// True when the socket has failed, or the peer has reset the connection, as far as that can be told without
  /// reading.
  public final func hasFailed() -> Bool {
    if failure == 0, !isClosed { failure = pendingError(of: descriptor) }
    return failure != 0
  }

  /// Called in the turn in which `readiness` has grown. Only to queue work: see `EventLoop.enqueue`.
  open func becameReady(_ news: Readiness) {}

  /// Called for each phase that this was queued for.
  open func run(_ phase: Phase) {}

  fileprivate final func note(_ news: Readiness) {
    loop.beginTurn()
    readiness.formUnion(news)
    becameReady(news)
  }
}

private func channelIsReadable(_: Int32, what: Int16, argument: UnsafeMutableRawPointer?) {
  let news: Readiness = Int32(what) & EV_CLOSED != 0 ? [.readable, .peerClosed] : .readable
  Unmanaged<Channel>.fromOpaque(argument!)._withUnsafeGuaranteedRef { $0.note(news) }
}

private func channelIsWritable(_: Int32, _: Int16, argument: UnsafeMutableRawPointer?) {
  Unmanaged<Channel>.fromOpaque(argument!)._withUnsafeGuaranteedRef { $0.note(.writable) }
}
