import EventLoop
import SystemCalls

/// A public listening socket on one loop.
final class ClientListener: Channel {
  private unowned(unsafe) let worker: Worker
  /// Waits out a lack of descriptors.
  private static let pauseWhenExhausted: Int64 = 100
  /// So many connections in one turn, so that those that are there get theirs.
  private static let acceptsPerTurn = 64

  init(_ worker: Worker, owning descriptor: Int32) {
    self.worker = worker
    super.init(loop: worker.loop, owning: descriptor)
    open()
  }

  override func becameReady(_ news: Readiness) {
    loop.enqueue(self, for: .receiveRequests)
  }

  override func run(_ phase: Phase) {
    // As many as are there, because one accept(2) too many makes a whole socket before it finds nobody, and costs several
    // times as much as to ask. Who comes later is told of.
    let waiting = waitingConnections(on: descriptor) ?? Self.acceptsPerTurn
    for _ in 0..<min(waiting, Self.acceptsPerTurn) {
      guard acceptOne() else { return }
    }
    if waiting >= Self.acceptsPerTurn { loop.enqueue(self, for: .receiveRequests) }
  }

  /// False when there is no more to accept for now.
  private func acceptOne() -> Bool {
    switch accept(from: descriptor) {
    case .connection(let number, let peer):
      guard worker.census.clientCount < worker.site.settings.limits.connections else {
        worker.refuse(number, peer)
        return true
      }
      worker.adopt(number, peer)
      return true
    case .aborted: return true
    case .none: return false
    case .exhausted(let error), .failed(let error):
      worker.log.error("cannot accept connections", ["error": error])
      loop.setDeadline(of: self, in: Self.pauseWhenExhausted)
      return false
    }
  }

  override func deadlinePassed() {
    loop.enqueue(self, for: .receiveRequests)
  }

  /// Accepts what has connected already, and no more.
  func stop() {
    while !isClosed, acceptOne() {}
    close()
  }
}
