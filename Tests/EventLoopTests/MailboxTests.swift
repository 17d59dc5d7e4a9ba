import SystemCalls
import Testing

@testable import EventLoop

@Suite struct MailboxTests {
  private struct Letter: Sendable {
    var sender: Int
    var number: Int
  }

  @Test func lettersOfSeveralThreadsArriveAllAndInOrder() throws {
    let loop = try EventLoop()
    let mailbox = try Mailbox<Letter>()
    let (senders, count) = (4, 5_000)
    var next = [Int](repeating: 0, count: senders)
    var received = 0
    let reader = try MailboxReader(mailbox, on: loop) { letter in
      #expect(letter.number == next[letter.sender])
      next[letter.sender] += 1
      received += 1
      if received == senders * count { loop.stop() }
    }
    let first = try Thread { for number in 0..<count { mailbox.post(Letter(sender: 0, number: number)) } }
    let second = try Thread { for number in 0..<count { mailbox.post(Letter(sender: 1, number: number)) } }
    let third = try Thread { for number in 0..<count { mailbox.post(Letter(sender: 2, number: number)) } }
    let fourth = try Thread { for number in 0..<count { mailbox.post(Letter(sender: 3, number: number)) } }
    loop.runBounded()
    first.join()
    second.join()
    third.join()
    fourth.join()
    #expect(next == [Int](repeating: count, count: senders))
    reader.close()
  }

  @Test func whatWasPostedBeforeTheReaderCameIsDelivered() throws {
    let loop = try EventLoop()
    let mailbox = try Mailbox<Int>()
    for number in 0..<3 { mailbox.post(number) }
    var received: [Int] = []
    let reader = try MailboxReader(mailbox, on: loop) { received.append($0) }
    loop.runOneTurn()
    #expect(received == [0, 1, 2])
    reader.close()
  }

  /// A letter that the reader posts itself comes behind those that are there.
  @Test func theReaderMayPost() throws {
    let loop = try EventLoop()
    let mailbox = try Mailbox<Int>()
    var received: [Int] = []
    let reader = try MailboxReader(mailbox, on: loop) { number in
      received.append(number)
      if number < 10 { mailbox.post(number + 10) }
      if received.count == 4 { loop.stop() }
    }
    mailbox.post(0)
    mailbox.post(1)
    loop.runBounded()
    #expect(received == [0, 1, 10, 11])
    reader.close()
  }

  /// Guards against a loop that lives for ever, with its descriptors, because its last channel was closed behind its
  /// last turn and refers to it.
  @Test(arguments: [false, true])
  func aLoopGoesWithItsReader(_ hasMoreToDo: Bool) throws {
    weak var weakLoop: EventLoop?
    do {
      let loop = try EventLoop()
      weakLoop = loop
      let mailbox = try Mailbox<Int>()
      let reader = try MailboxReader(mailbox, on: loop) { _ in loop.stop() }
      mailbox.post(0)
      loop.runBounded()
      if hasMoreToDo { loop.enqueue(reader, for: .receiveRequests) }
      reader.close()
    }
    #expect(weakLoop == nil)
  }

  /// Guards against letters that are handed to somebody who has closed the mailbox for good.
  @Test func nothingIsDeliveredBehindTheClose() throws {
    let loop = try EventLoop()
    let mailbox = try Mailbox<Int>()
    var received: [Int] = []
    var reader: MailboxReader<Int>?
    reader = try MailboxReader(mailbox, on: loop) { number in
      received.append(number)
      reader?.close()
    }
    for number in 0..<3 { mailbox.post(number) }
    loop.runOneTurn()
    #expect(received == [0])
    #expect(reader?.isClosed == true)
    reader = nil
  }
}
