import Synchronization
import SystemCalls

/// The only way from other threads to a loop: messages are queued under a lock, and an eventfd(2) wakes the loop.
public final class Mailbox<Message: Sendable>: Sendable {
  private let messages = Mutex<[Message]>([])
  private let wakeUp: WakeUp

  public init() throws(SystemError) {
    wakeUp = try WakeUp()
  }

  /// Queues a message, from any thread.
  public func post(_ message: Message) {
    let wasEmpty = messages.withLock {
      $0.append(message)
      return $0.count == 1
    }
    if wasEmpty { wakeUp.signal() }
  }

  fileprivate func takeAll() -> [Message] {
    wakeUp.clear()
    return messages.withLock {
      let taken = $0
      $0.removeAll()
      return taken
    }
  }

  fileprivate func duplicateWakeUp() throws(SystemError) -> Int32 {
    try wakeUp.duplicate()
  }
}

/// The loop's end of a mailbox: hands every message to `body`, in order, on the loop's thread.
public final class MailboxReader<Message: Sendable>: Channel {
  private let mailbox: Mailbox<Message>
  private let body: (Message) -> Void

  /// Starts to deliver; ends with `close`.
  public init(_ mailbox: Mailbox<Message>, on loop: EventLoop, _ body: @escaping (Message) -> Void)
    throws(SystemError)
  {
    self.mailbox = mailbox
    self.body = body
    super.init(loop: loop, owning: try mailbox.duplicateWakeUp())
    open()
  }

  public override func becameReady(_ news: Readiness) {
    loop.enqueue(self, for: .receiveRequests)
  }

  public override func run(_ phase: Phase) {
    readiness.remove(.readable)
    for message in mailbox.takeAll() where !isClosed { body(message) }
  }
}
