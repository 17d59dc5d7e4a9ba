import Glibc
import SystemCalls
import Testing

@testable import EventLoop

@Suite struct ChannelTests {
  /// A channel, "a", on a loop of its own, and the other end of its connection.
  private func makeChannel(
    _ kind: ConnectedPair.Kind
  ) throws -> (EventLoop, Journal, ConnectedPair, Recorder) {
    let loop = try EventLoop()
    let journal = Journal()
    let pair = try ConnectedPair(kind)
    return (loop, journal, pair, Recorder("a", journal, on: loop, owning: pair.takeLeft()))
  }

  /// The same, open.
  private func openChannel(
    _ kind: ConnectedPair.Kind
  ) throws -> (EventLoop, Journal, ConnectedPair, Recorder) {
    let made = try makeChannel(kind)
    made.3.open()
    return made
  }

  @Test(arguments: ConnectedPair.Kind.allCases)
  func bytesAndTheEndAreTold(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try openChannel(kind)
    channel.whenReady = { channel, news in
      if channel.drain() {
        channel.close()
        loop.stop()
      } else if news.contains(.readable) {
        pair.closeRight()
      }
    }
    sendAll(pair.right, "hello")
    loop.runBounded()
    channel.whenReady = nil
    #expect(journal.entries.contains(.received("a", "hello")))
    #expect(journal.entries.last == .ended("a"))
  }

  /// An end that comes while nothing is read, because of back-pressure, is known; what came before it is not lost.
  @Test(arguments: ConnectedPair.Kind.allCases)
  func theEndIsNoticedWithoutReading(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try openChannel(kind)
    channel.whenReady = { channel, news in
      if news.contains(.peerClosed) { loop.stop() } else { endSending(pair.right) }
    }
    sendAll(pair.right, "last words")
    loop.runBounded()
    channel.whenReady = nil
    #expect(channel.readiness.isSuperset(of: [.readable, .peerClosed]))
    // In pieces: a short read does not take the end away.
    #expect(channel.drain(pieces: 8))
    #expect(
      journal.entries.suffix(3) == [.received("a", "last wor"), .received("a", "ds"), .ended("a")])
    channel.close()
  }

  @Test func whatIsNotReadIsToldOnce() throws {
    let (loop, journal, pair, channel) = try openChannel(.unix)
    sendAll(pair.right, "x")
    for _ in 0..<5 { loop.runOneTurn() }
    #expect(journal.entries == [.ready("a", Readiness.readable.rawValue)])
    #expect(!channel.drain())
    #expect(channel.readiness.isEmpty)
    channel.close()
  }

  @Test(arguments: ConnectedPair.Kind.allCases)
  func writabilityIsToldAfterASendThatWouldBlock(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try openChannel(kind)
    let sent = fill(channel.descriptor)
    channel.watchWrites()
    loop.runOneTurn()
    #expect(journal.entries.isEmpty)

    channel.whenReady = { _, news in if news.contains(.writable) { loop.stop() } }
    var received = 0
    let reader = Recorder("b", Journal(), on: loop, owning: dup(pair.right))
    reader.whenReady = { reader, _ in received += countAll(reader) }
    reader.open()
    loop.runBounded()
    #expect(channel.readiness.contains(.writable))
    #expect(received > 0 && received <= sent)

    let before = journal.entries.count
    channel.readiness.remove(.writable)
    channel.unwatchWrites()
    _ = fill(channel.descriptor)
    loop.runOneTurn()
    #expect(journal.entries.count == before)
    channel.whenReady = nil
    reader.whenReady = nil
    reader.close()
    channel.close()
  }

  /// Sends until the socket takes no more; how many bytes that were.
  private func fill(_ descriptor: Int32) -> Int {
    let piece = [UInt8](repeating: 0x61, count: 65_536)
    var sent = 0
    while case .bytes(let count) = piece.withUnsafeBytes({ SystemCalls.send(descriptor, $0) }) {
      sent += count
    }
    return sent
  }

  private func countAll(_ channel: Channel) -> Int {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    var received = 0
    while case .bytes(let count) = buffer.withUnsafeMutableBytes({ channel.receive(into: $0) }) {
      received += count
    }
    return received
  }

  // MARK: Failure

  /// Guards against a reset that libevent reports together with the last bytes before it, as if there were only
  /// those.
  @Test(arguments: ConnectedPair.Kind.allCases)
  func aResetThatCameWithDataIsNoticed(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try makeChannel(kind)
    sendAll(channel.descriptor, "unread")
    sendAll(pair.right, "bye")
    if kind == .tcp { resetOnClose(pair.right) }
    pair.closeRight()
    channel.open()
    channel.whenReady = { channel, _ in if channel.drain() { loop.stop() } }
    loop.runBounded()
    channel.whenReady = nil
    #expect(journal.entries.contains(.received("a", "bye")))
    #expect(journal.entries.last == .failed("a", ECONNRESET))
    // It stays so.
    #expect(channel.drain())
    #expect(channel.hasFailed())
    channel.close()
  }

  /// A channel that is to receive first is watched as soon as it waits for more, and nothing is lost in between.
  @Test(arguments: ConnectedPair.Kind.allCases)
  func whatIsReceivedFirstIsWatchedThen(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try makeChannel(kind)
    sendAll(pair.right, "first")
    channel.openToReceive()
    #expect(!channel.drain())
    #expect(journal.entries == [.received("a", "first")])
    sendAll(pair.right, "second")
    channel.whenReady = { channel, news in
      if channel.drain() { loop.stop() } else if news.contains(.readable) { pair.closeRight() }
    }
    loop.runBounded()
    channel.whenReady = nil
    #expect(journal.entries.contains(.received("a", "second")))
    #expect(journal.entries.last == .ended("a"))
    channel.close()
  }

  /// Who does not wait for more learns all the same, a moment later, that the peer has gone.
  @Test func whatIsReceivedFirstIsWatchedAMomentLater() throws {
    let (loop, _, pair, channel) = try makeChannel(.tcp)
    sendAll(pair.right, "request")
    channel.openToReceive()
    var buffer = [UInt8](repeating: 0, count: 100)
    #expect(buffer.withUnsafeMutableBytes { channel.receive(into: $0) } == .bytes(7))
    #expect(!channel.readiness.contains(.readable))
    pair.closeRight()
    channel.whenReady = { _, news in if news.contains(.peerClosed) { loop.stop() } }
    loop.runBounded()
    channel.whenReady = nil
    #expect(channel.readiness.isSuperset(of: [.readable, .peerClosed]))
    channel.close()
  }

  /// A channel that nobody looks at for a time wakes nobody, and what came meanwhile is not lost.
  @Test(arguments: ConnectedPair.Kind.allCases)
  func whatIsNotWatchedForATimeIsFoundByReceiving(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try openChannel(kind)
    channel.pauseReads()
    sendAll(pair.right, "meanwhile")
    for _ in 0..<5 { loop.runOneTurn() }
    #expect(journal.entries.isEmpty)
    #expect(channel.readiness.contains(.readable))
    #expect(!channel.drain())
    #expect(journal.entries == [.received("a", "meanwhile")])
    channel.whenReady = { channel, _ in if channel.drain() { loop.stop() } }
    pair.closeRight()
    loop.runBounded()
    channel.whenReady = nil
    #expect(journal.entries.last == .ended("a"))
    channel.close()
  }

  /// Guards against a channel that has taken all there was, and learns of more only with the look for failures.
  @Test(arguments: ConnectedPair.Kind.allCases)
  func aReadThatTakesAllWatchesAgain(_ kind: ConnectedPair.Kind) throws {
    let (loop, journal, pair, channel) = try openChannel(kind)
    channel.pauseReads()
    sendAll(pair.right, "meanwhile")
    var buffer = [UInt8](repeating: 0, count: 100)
    #expect(buffer.withUnsafeMutableBytes { channel.receive(into: $0) } == .bytes(9))
    #expect(!channel.readiness.contains(.readable))
    sendAll(pair.right, "more")
    for _ in 0..<5 { loop.runOneTurn() }
    #expect(journal.entries == [.ready("a", Readiness.readable.rawValue)])
    #expect(!channel.drain())
    #expect(journal.entries.last == .received("a", "more"))
    channel.close()
  }

  @Test func whatIsNeverWatchedGoesWithItsEnd() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let pair = try ConnectedPair(.unix)
    do {
      let channel = Recorder("a", journal, on: loop, owning: pair.takeLeft())
      channel.openToReceive()
      channel.close()
      #expect(channel.isClosed)
    }
    loop.runOneTurn()
    #expect(journal.entries == [.gone("a")])
  }

  @Test func aResetIsSeenWithoutReading() throws {
    let (loop, _, pair, channel) = try openChannel(.tcp)
    defer { withExtendedLifetime(loop) {} }
    #expect(!channel.hasFailed())
    sendAll(pair.right, "unread")
    resetOnClose(pair.right)
    pair.closeRight()
    #expect(channel.hasFailed())
    channel.close()
    #expect(channel.hasFailed(), "what was known is not forgotten")
  }

  // MARK: The end

  @Test(arguments: ConnectedPair.Kind.allCases)
  func closingEndsEverythingOnce(_ kind: ConnectedPair.Kind) throws {
    let loop = try EventLoop()
    let journal = Journal()
    let pair = try ConnectedPair(kind)
    let number = pair.takeLeft()
    let inode = try #require(inodeNumber(of: number))
    let other = dup(pair.right)
    defer { _ = Glibc.close(other) }
    var isReached = false
    let closing = Reminder {
      do {
        let channel = Recorder("a", journal, on: loop, owning: number)
        channel.open()
        channel.watchWrites()
        loop.enqueue(channel, for: .sendRequests)
        loop.setDeadline(of: channel, in: 0)
        channel.close()
        #expect(channel.isClosed && channel.descriptor == -1)
        channel.close()
        #expect(channel.giveUp() == nil)
        loop.enqueue(channel, for: .sendRequests)
      }
      #expect(!isOpen(number, inode: inode))
      #expect(journal.entries.isEmpty, "it must live until the end of the turn")
      sendIfPossible(other)
      isReached = true
    }
    loop.setDeadline(of: closing, in: 0)
    for _ in 0..<2 { loop.runOneTurn() }
    #expect(isReached && journal.entries == [.gone("a")])
  }

  /// Guards against memory of short connections that comes back only when they would have been looked at for errors.
  @Test func whatHasReceivedGoesAtTheEndOfItsLastTurn() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let names = ["a", "b", "c"]
    let pairs = try names.map { _ in try ConnectedPair(.unix) }
    for pair in pairs { sendAll(pair.right, "x") }
    var kept: Recorder?
    let closing = Reminder {
      for (name, pair) in zip(names, pairs) {
        let channel = Recorder(name, journal, on: loop, owning: pair.takeLeft())
        channel.openToReceive()
        channel.drain(pieces: 2)
        if name == "b" { kept = channel } else { channel.close() }
      }
    }
    // While the loop runs: with its end it lets go of all that is closed.
    let looking = Reminder {
      #expect(journal.entries == names.map { .received($0, "x") } + [.gone("a"), .gone("c")])
      loop.stop()
    }
    loop.setDeadline(of: closing, in: 0)
    loop.setDeadline(of: looking, in: 20)
    loop.runBounded()
    kept?.close()
    kept = nil
    #expect(journal.entries.last == .gone("b"))
  }

  private func sendIfPossible(_ descriptor: Int32) {
    _ = [UInt8](repeating: 0, count: 1).withUnsafeBytes { SystemCalls.send(descriptor, $0) }
  }

  @Test func givingUpLeavesTheDescriptorOpen() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let pair = try ConnectedPair(.unix)
    let number = pair.takeLeft()
    let inode = try #require(inodeNumber(of: number))
    do {
      let channel = Recorder("a", journal, on: loop, owning: number)
      channel.open()
      #expect(channel.giveUp() == number)
    }
    defer { _ = Glibc.close(number) }
    #expect(isOpen(number, inode: inode))
    sendAll(pair.right, "x")
    loop.runOneTurn()
    #expect(journal.entries == [.gone("a")])
  }

  /// All are ready in the same turn of libevent, and the first that is told closes the others and itself.
  @Test func closingOthersInACallbackKeepsThemSilent() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let pairs = try (0..<4).map { _ in try ConnectedPair(.unix) }
    var channels = pairs.enumerated().map { index, pair in
      Recorder("\(index)", journal, on: loop, owning: pair.takeLeft())
    }
    let inodes = channels.map { ($0.descriptor, inodeNumber(of: $0.descriptor)) }
    for (channel, pair) in zip(channels, pairs) {
      channel.open()
      sendAll(pair.right, "x")
      channel.whenReady = { _, _ in
        for channel in channels {
          loop.enqueue(channel, for: .receiveRequests)
          channel.close()
          channel.whenReady = nil
        }
        channels.removeAll()
        loop.stop()
      }
    }
    loop.runBounded()
    loop.runOneTurn()
    #expect(journal.entries.first == .ready("0", Readiness.readable.rawValue))
    let gone = journal.entries.dropFirst().map { "\($0)" }.sorted()
    #expect(gone == (0..<4).map { "\(Journal.Entry.gone("\($0)"))" })
    for (number, inode) in inodes { #expect(!isOpen(number, inode: inode ?? 0)) }
  }

  /// One that only the loop knows lives while it runs, and goes at the end of the turn in which it closes itself.
  @Test func aChannelMayCloseItselfWhileItRuns() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let pair = try ConnectedPair(.unix)
    do {
      let channel = Recorder("a", journal, on: loop, owning: pair.takeLeft())
      channel.open()
      channel.whenReady = { channel, _ in loop.enqueue(channel, for: .receiveRequests) }
      channel.whenRun = { channel, _ in
        channel.close()
        #expect(!journal.entries.contains(.gone("a")))
        #expect(channel.name == "a")
      }
    }
    sendAll(pair.right, "x")
    loop.runOneTurn()
    #expect(
      journal.entries == [.ready("a", Readiness.readable.rawValue), .ran("a", .receiveRequests), .gone("a")])
  }

  @Test func whatIsClosedLastGoesWithTheLoop() throws {
    let journal = Journal()
    let pair = try ConnectedPair(.unix)
    do {
      let loop = try EventLoop()
      let channel = Recorder("a", journal, on: loop, owning: pair.takeLeft())
      channel.open()
      sendAll(pair.right, "x")
      loop.runOneTurn()
      // A look for a failure is still to come.
      #expect(!channel.drain())
      channel.close()
    }
    #expect(journal.entries.last == .gone("a"))
  }
}
