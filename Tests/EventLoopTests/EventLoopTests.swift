import Glibc
import SystemCalls
import Testing

@testable import EventLoop

@Suite struct EventLoopTests {
  private func recorder(_ name: String, _ journal: Journal, _ loop: EventLoop) throws -> Recorder {
    let channel = Recorder(name, journal, on: loop, owning: try ConnectedPair(.unix).takeLeft())
    return channel
  }

  // MARK: Turns

  @Test func phasesRunInOrder() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let channels = try ["a", "b"].map { try recorder($0, journal, loop) }
    for phase in Phase.allCases.reversed() {
      for channel in channels { loop.enqueue(channel, for: phase) }
      for channel in channels { loop.enqueue(channel, for: phase) }
    }
    loop.runOneTurn()
    #expect(
      journal.entries
        == Phase.allCases.flatMap { phase in [.ran("a", phase), .ran("b", phase)] as [Journal.Entry] })
    for channel in channels { channel.close() }
  }

  /// Where many receive, what some of them have made is sent before the others receive, and nobody is left out.
  @Test(arguments: [(Phase.receiveRequests, Phase.sendRequests), (.receiveResponses, .sendResponses)])
  func manyReceiveInStretches(_ receiver: Phase, _ sender: Phase) throws {
    let loop = try EventLoop()
    let journal = Journal()
    let channels = try (0..<2 * EventLoop.stretch + 3).map { try recorder("\($0)", journal, loop) }
    for channel in channels {
      channel.whenRun = { channel, phase in
        if phase == receiver { loop.enqueue(channel, for: sender) }
        if phase == sender, channel === channels.last { loop.stop() }
      }
      loop.enqueue(channel, for: receiver)
    }
    loop.runBounded()
    for channel in channels { channel.whenRun = nil }
    let names = channels.map(\.name)
    let expected = stride(from: 0, to: names.count, by: EventLoop.stretch).flatMap { start in
      let stretch = names[start..<min(start + EventLoop.stretch, names.count)]
      return stretch.map { Journal.Entry.ran($0, receiver) } + stretch.map { .ran($0, sender) }
    }
    #expect(journal.entries == expected)
    for channel in channels { channel.close() }
  }

  /// Guards against a thousand clients that all begin before any is answered: an upstream that answers while one stretch
  /// of them receives has its turn before the third.
  @Test func whatIsUnderWayIsFinishedBeforeMoreIsBegun() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let clients = try (0..<3 * EventLoop.stretch).map { try recorder("\($0)", journal, loop) }
    let pair = try ConnectedPair(.unix)
    let upstream = Recorder("upstream", journal, on: loop, owning: pair.takeLeft())
    upstream.open()
    upstream.whenReady = { channel, _ in loop.enqueue(channel, for: .receiveResponses) }
    clients[0].whenRun = { _, _ in sendAll(pair.right, "x") }
    clients[clients.count - 1].whenRun = { _, _ in loop.stop() }
    for client in clients { loop.enqueue(client, for: .receiveRequests) }
    #expect(clients[0].isQueued(for: .receiveRequests) && !clients[0].isQueued(for: .sendRequests))
    loop.runBounded()
    let answered = try #require(journal.entries.firstIndex(of: .ran("upstream", .receiveResponses)))
    let third = try #require(
      journal.entries.firstIndex(of: .ran("\(2 * EventLoop.stretch)", .receiveRequests)))
    #expect(answered < third)
    #expect(journal.entries.count == clients.count + 2)
    #expect(!clients[0].isQueued(for: .receiveRequests))
    for channel in clients + [upstream] {
      (channel.whenRun, channel.whenReady) = (nil, nil)
      channel.close()
    }
  }

  /// Guards against downloads that keep everybody else from beginning: of those who wait, a stretch has its turn with each
  /// share of those that have answered.
  @Test func whoeverWaitsHasAShareBesideManyAnswers() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let clients = try (0..<2 * EventLoop.stretch + 1).map { try recorder("c\($0)", journal, loop) }
    let upstreams = try (0..<2 * EventLoop.share + 1).map { try recorder("u\($0)", journal, loop) }
    for client in clients {
      loop.enqueue(client, for: .receiveRequests)
      // Who has more to do waits for the next turn.
      client.whenRun = { client, _ in loop.enqueue(client, for: .receiveRequests) }
    }
    for upstream in upstreams { loop.enqueue(upstream, for: .receiveResponses) }
    upstreams[upstreams.count - 1].whenRun = { _, _ in loop.stop() }
    loop.runBounded()
    let names = (clients.map(\.name), upstreams.map(\.name))
    let (stretch, share) = (EventLoop.stretch, EventLoop.share)
    let expected =
      names.0[..<stretch] + names.1[..<share] + names.0[stretch..<2 * stretch] + names.1[share..<2 * share]
      + names.0[(2 * stretch)...] + names.1[(2 * share)...]
    let ran = journal.entries.compactMap { if case .ran(let name, _) = $0 { name } else { nil } }
    #expect(ran == Array(expected))
    for channel in clients + upstreams {
      channel.whenRun = nil
      channel.close()
    }
  }

  /// Guards against channels that live for ever because the loop ended before their turn came.
  @Test func thoseWhoWaitWhenTheLoopEndsGoWhenTheyAreClosed() throws {
    let loop = try EventLoop()
    let journal = Journal()
    do {
      var channels = try (0..<3 * EventLoop.stretch).map { try recorder("\($0)", journal, loop) }
      channels[0].whenRun = { _, _ in
        // One that has had its turn, one that waits.
        channels[1].close()
        channels[channels.count - 2].close()
        loop.stop()
      }
      for channel in channels {
        channel.open()
        loop.enqueue(channel, for: .receiveRequests)
      }
      loop.runBounded()
      channels[0].whenRun = nil
      for channel in channels { channel.close() }
      channels.removeAll()
    }
    let ran = journal.entries.filter { if case .ran = $0 { true } else { false } }
    #expect(ran.count == EventLoop.stretch - 1)
    let gone = journal.entries.filter { if case .gone = $0 { true } else { false } }
    #expect(gone.count == 3 * EventLoop.stretch)
  }

  /// What is queued while a phase runs: a later phase in the same turn, the same or an earlier one in the next.
  @Test func workIsQueuedWhileOtherWorkIsDone() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let (worker, witness) = (try recorder("a", journal, loop), try recorder("w", journal, loop))
    worker.whenRun = { channel, phase in
      guard phase == .receiveResponses else { return }
      channel.whenRun = nil
      for phase in [.sendResponses, .receiveResponses, .receiveRequests] as [Phase] {
        loop.enqueue(channel, for: phase)
      }
      loop.enqueue(witness, for: .sendResponses)
    }
    loop.enqueue(worker, for: .receiveResponses)
    loop.runOneTurn()
    #expect(
      journal.entries == [
        .ran("a", .receiveResponses), .ran("a", .sendResponses), .ran("w", .sendResponses),
        .ran("a", .receiveRequests), .ran("a", .receiveResponses),
      ])
    worker.close()
    witness.close()
  }

  @Test func closingTakesOthersOutOfThePhase() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let channels = try ["a", "b", "c"].map { try recorder($0, journal, loop) }
    channels[0].whenRun = { _, _ in channels[1].close() }
    for channel in channels { loop.enqueue(channel, for: .sendRequests) }
    loop.enqueue(channels[1], for: .sendResponses)
    loop.runOneTurn()
    #expect(journal.entries == [.ran("a", .sendRequests), .ran("c", .sendRequests)])
    channels[0].whenRun = nil
    for channel in channels { channel.close() }
  }

  /// Guards against a channel that always has more to do (a fast transfer) and keeps the loop from ever looking at
  /// the others: libevent runs what is made active in its own pass before it polls again.
  @Test func whoAlwaysHasMoreToDoDoesNotKeepOthersWaiting() throws {
    let loop = try EventLoop()
    let busy = try recorder("busy", Journal(), loop)
    let pair = try ConnectedPair(.unix)
    let other = Recorder("other", Journal(), on: loop, owning: pair.takeLeft())
    other.open()
    var turns = 0
    var turnsUntilTold: Int?
    var turnsUntilDeadline: Int?
    other.whenReady = { _, _ in turnsUntilTold = turns }
    let reminder = Reminder { turnsUntilDeadline = turns }
    loop.setDeadline(of: reminder, in: 1)
    busy.whenRun = { channel, _ in
      turns += 1
      if turns == 3 { sendAll(pair.right, "x") }
      if (turnsUntilTold != nil && turnsUntilDeadline != nil) || turns == 5_000_000 {
        loop.stop()
      } else {
        loop.enqueue(channel, for: .receiveRequests)
      }
    }
    loop.enqueue(busy, for: .receiveRequests)
    loop.runBounded()
    #expect(try #require(turnsUntilTold) <= 5)
    #expect(try #require(turnsUntilDeadline) < 5_000_000)
    busy.whenRun = nil
    other.whenReady = nil
    loop.remove(reminder)
    busy.close()
    other.close()
  }

  @Test func stoppingEndsRunAfterTheTurn() throws {
    let loop = try EventLoop()
    let journal = Journal()
    let channel = try recorder("a", journal, loop)
    channel.whenRun = { _, phase in if phase == .receiveRequests { loop.stop() } }
    loop.enqueue(channel, for: .receiveRequests)
    loop.enqueue(channel, for: .sendResponses)
    loop.runBounded()
    #expect(journal.entries == [.ran("a", .receiveRequests), .ran("a", .sendResponses)])
    channel.whenRun = nil
    channel.close()
  }

  // MARK: Deadlines

  @Test func deadlinesComeInTheirOrderAndNotEarly() throws {
    let loop = try EventLoop()
    var told: [Int64] = []
    let start = loop.now
    let delays: [Int64] = [120, 5, 60, 0, 30]
    let reminders = delays.map { delay in
      Reminder {
        #expect(loop.now >= start + delay)
        told.append(delay)
        if told.count == delays.count { loop.stop() }
      }
    }
    for (reminder, delay) in zip(reminders, delays) { loop.setDeadline(of: reminder, in: delay) }
    loop.runBounded()
    #expect(told == delays.sorted())
  }

  @Test func aDeadlineOfAlmostForeverIsNoError() throws {
    let loop = try EventLoop()
    let reminder = Reminder { Issue.record("told") }
    loop.setDeadline(of: reminder, in: .max)
    loop.runOneTurn()
    #expect(reminder.deadline == Timed.never - 1)
    loop.remove(reminder)
  }

  @Test func clearedAndRemovedDeadlinesAreNotTold() throws {
    let loop = try EventLoop()
    var told = 0
    let (cleared, removed) = (Reminder { told += 1 }, Reminder { told += 1 })
    let end = Reminder { loop.stop() }
    loop.setDeadline(of: cleared, in: 10)
    loop.setDeadline(of: removed, in: 10)
    loop.setDeadline(of: end, in: 60)
    loop.clearDeadline(of: cleared)
    loop.remove(removed)
    loop.runBounded()
    #expect(told == 0)
    loop.remove(cleared)
  }

  /// Guards against a deadline that passes in the same turn in which somebody took it away: the first of two that are
  /// due calls the other off.
  @Test(arguments: [true, false])
  func theFirstOfTwoThatAreDueMayCallTheOtherOff(_ byRemoving: Bool) throws {
    let loop = try EventLoop()
    var told: [Int] = []
    var reminders: [Reminder] = []
    reminders = (0..<2).map { number in
      Reminder {
        told.append(number)
        if byRemoving {
          loop.remove(reminders[1 - number])
        } else {
          loop.clearDeadline(of: reminders[1 - number])
        }
      }
    }
    for reminder in reminders { loop.setDeadline(of: reminder, in: 20) }
    let end = Reminder { loop.stop() }
    loop.setDeadline(of: end, in: 80)
    loop.runBounded()
    #expect(told.count == 1)
    for reminder in reminders { loop.remove(reminder) }
    reminders.removeAll()
  }

  /// Guards against a wheel that names a channel which is gone: a deadline that is set after `close`, as code does
  /// that has not noticed yet, must not come.
  @Test func aClosedChannelHasNoDeadline() throws {
    let loop = try EventLoop()
    let journal = Journal()
    do {
      let (first, second) = (try recorder("a", journal, loop), try recorder("b", journal, loop))
      for channel in [first, second] {
        channel.open()
        loop.setDeadline(of: channel, in: 10)
        channel.close()
        loop.setDeadline(of: channel, in: 10)
      }
      loop.clearDeadline(of: second)
    }
    let end = Reminder { loop.stop() }
    loop.setDeadline(of: end, in: 80)
    loop.runBounded()
    #expect(Set(journal.entries.map { "\($0)" }) == Set(["a", "b"].map { "\(Journal.Entry.gone($0))" }))
    #expect(journal.entries.count == 2)
  }

  // MARK: Signals

  /// Only one loop of a process may have signals, so this is one test. The signal is one that does nothing by itself.
  @Test func signalsAreDeliveredToTheLoop() throws {
    let loop = try EventLoop()
    var counts: [Int32: Int] = [:]
    let wanted = [SIGWINCH, SIGURG]
    for number in wanted {
      loop.onSignal(number) {
        counts[number, default: 0] += 1
        if counts.count == 2 { loop.stop() } else { kill(getpid(), SIGURG) }
      }
    }
    kill(getpid(), SIGWINCH)
    loop.runBounded()
    #expect(counts == [SIGWINCH: 1, SIGURG: 1])
  }
}
