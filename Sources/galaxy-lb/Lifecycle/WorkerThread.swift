import EventLoop
import SystemCalls
import UpstreamPool

/// What the main thread tells a worker.
enum WorkerMessage: Sendable {
  /// Serve with this configuration from now on.
  case use(Site, AccessLog?)
  /// The turn of a request that waits for this pool has come.
  case admit(Pool, WaitingLine.Ticket)
  /// The upstream takes no new work: close the idle connections to it, and say so.
  case closeKept(Upstream, TurnBarrier)
  /// End its event streams, each after the event that is under way.
  case endEventStreams(Upstream)
  /// Close its WebSockets, with a Close frame to both ends.
  case closeTunnels(Upstream)
  /// End its work of this class at once.
  case cutTraffic(TrafficClass, Upstream)
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
  ///   - number: its place among the workers.
  ///   - listeners: listening sockets, owned by the worker from now on.
  ///   - onStart: called on the worker's thread when it is about to serve.
  ///   - onEnd: called on the worker's thread when it has ended.
  init(
    number: Int, site: Site, accessLog: AccessLog?, listeners: [Int32], census: Census, log: Log,
    onStart: @escaping @Sendable () -> Void = {}, onEnd: @escaping @Sendable () -> Void
  ) throws(SystemError) {
    let mailbox = try Mailbox<WorkerMessage>()
    self.mailbox = mailbox
    thread = try Thread {
      do throws(SystemError) {
        try Self.run(
          mailbox, number: number, site: site, accessLog: accessLog, listeners: listeners, census: census,
          log: log, onStart: onStart)
      } catch {
        log.error("a worker ended", ["error": error])
      }
      onEnd()
    }
  }

  private static func run(
    _ mailbox: Mailbox<WorkerMessage>, number: Int, site: Site, accessLog: AccessLog?, listeners: [Int32],
    census: Census, log: Log, onStart: () -> Void
  ) throws(SystemError) {
    let loop = try EventLoop()
    let worker = Worker(
      loop: loop, number: number, site: site, accessLog: accessLog, census: census, log: log
    ) { pool, ticket in
      mailbox.post(.admit(pool, ticket))
    }
    let listeners = listeners.map { ClientListener(worker, owning: $0) }
    let reader = try MailboxReader(mailbox, on: loop) { message in
      switch message {
      case .use(let site, let accessLog): worker.use(site, accessLog: accessLog)
      case .admit(let pool, let ticket): worker.admit(pool, ticket)
      case .closeKept(let upstream, let barrier):
        worker.closeKept(to: upstream)
        barrier.pass()
      case .endEventStreams(let upstream): worker.endEventStreams(of: upstream)
      case .closeTunnels(let upstream): worker.closeTunnels(of: upstream)
      case .cutTraffic(let traffic, let upstream): worker.cut(traffic, of: upstream)
      case .drain:
        for listener in listeners { listener.stop() }
        worker.drain { loop.stop() }
      case .cut: loop.stop()
      }
    }
    onStart()
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
