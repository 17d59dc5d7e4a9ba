import EventLoop
import SystemCalls

/// What the main thread tells a worker.
enum WorkerMessage: Sendable {
  /// Serve with this configuration from now on.
  case use(Site)
  /// Accept no more, finish what is under way, then end.
  case drain
  /// End at once.
  case cut
}

/// A thread with one event loop and its worker.
final class WorkerThread {
  let mailbox: Mailbox<WorkerMessage>
  private var thread: Thread?

  /// - Parameters:
  ///   - listeners: listening sockets, owned by the worker from now on.
  ///   - onEnd: called on the worker's thread when it has ended.
  init(
    site: Site, listeners: [Int32], census: Census, log: Log, onEnd: @escaping @Sendable () -> Void
  ) throws(SystemError) {
    let mailbox = try Mailbox<WorkerMessage>()
    self.mailbox = mailbox
    thread = try Thread {
      do throws(SystemError) {
        try Self.run(mailbox, site: site, listeners: listeners, census: census, log: log)
      } catch {
        log.error("a worker ended", ["error": error])
      }
      onEnd()
    }
  }

  private static func run(
    _ mailbox: Mailbox<WorkerMessage>, site: Site, listeners: [Int32], census: Census, log: Log
  ) throws(SystemError) {
    let loop = try EventLoop()
    let worker = Worker(loop: loop, site: site, census: census, log: log)
    let listeners = listeners.map { ClientListener(worker, owning: $0) }
    let reader = try MailboxReader(mailbox, on: loop) { message in
      switch message {
      case .use(let site): worker.use(site)
      case .drain:
        for listener in listeners { listener.stop() }
        worker.drain { loop.stop() }
      case .cut: loop.stop()
      }
    }
    loop.run()
    for listener in listeners { listener.close() }
    worker.cutAll()
    reader.close()
  }

  /// Waits until the thread has ended.
  func join() {
    if let thread = thread.take() { thread.join() }
  }
}
