import EventLoop
import UpstreamPool

/// One loop's side of a pool: whose turn it is, the connections that are kept, and the requests that wait.
final class LocalPool: Timed {
  let pool: Pool
  var selector: PoolSelector
  /// What a request of this pool is hashed by; nil when its balancing doesn't hash.
  let requestKey: RequestKey?
  private let loop: EventLoop
  @exclusivity(unchecked) private var kept: [ContiguousArray<UpstreamConnection>]
  /// A reload has put another one in its place.
  private var isRetired = false
  private var held: [WaitingLine.Ticket: Exchange] = [:]

  /// More idle connections to one upstream than this are not kept.
  private static let maximumKept = 512
  /// Milliseconds between two looks after those that wait.
  private static let lookInterval: Int64 = 100

  /// - Parameters:
  ///   - number: of the loop.
  ///   - call: tells the loop, from any thread, that the turn of a held request has come.
  init(
    _ pool: Pool, loop: EventLoop, number: Int, call: @escaping @Sendable (Pool, WaitingLine.Ticket) -> Void
  ) {
    self.pool = pool
    self.loop = loop
    selector = PoolSelector(pool, loop: number)
    requestKey = RequestKey(pool.settings.balance)
    kept = Array(repeating: [], count: pool.upstreams.count)
    super.init()
    pool.line.register(owner: number) { [unowned pool] ticket in call(pool, ticket) }
  }

  deinit { loop.remove(self) }

  /// Calls those that wait, as many as there is room for.
  func admitWaiting() { pool.admitWaiting() }

  // MARK: Kept connections

  /// The connection to this upstream that was used last, if it belongs to its incarnation and is not known to be
  /// over. `maximumIdle` in milliseconds.
  func takeKept(_ index: Int, generation: Int, maximumIdle: Int64, now: Int64) -> UpstreamConnection? {
    while let connection = kept[index].popLast() {
      guard connection.generation == generation, connection.isReusable else {
        connection.close()
        continue
      }
      if now - connection.idleSince <= maximumIdle { return connection }
      // Those below it are older; they stay for requests that may be sent again.
      kept[index].append(connection)
      return nil
    }
    return nil
  }

  /// False when there are enough already.
  func keep(_ connection: UpstreamConnection, _ index: Int) -> Bool {
    guard !isRetired, kept[index].count < Self.maximumKept,
      connection.generation == connection.upstream.generation,
      connection.upstream.state.administrative == .ready
    else { return false }
    kept[index].append(connection)
    return true
  }

  func forget(_ connection: UpstreamConnection, _ index: Int) {
    if let place = kept[index].lastIndex(where: { $0 === connection }) { kept[index].remove(at: place) }
  }

  /// Serves only what is under way: what its connections carry now is the last, because nobody would close them when
  /// their upstream is drained.
  func retire() {
    isRetired = true
    closeKept()
  }

  func closeKept() {
    for index in kept.indices {
      for connection in kept[index] { connection.close() }
      kept[index].removeAll()
    }
  }

  /// Closes the idle connections to one upstream: it is drained, or is another one now.
  func closeKept(_ index: Int) {
    for connection in kept[index] { connection.close() }
    kept[index].removeAll()
  }

  // MARK: Requests that wait

  var isHolding: Bool { !held.isEmpty }

  func hold(_ exchange: Exchange, _ ticket: WaitingLine.Ticket) {
    held[ticket] = exchange
    if held.count == 1 { loop.setDeadline(of: self, in: Self.lookInterval) }
  }

  func letGo(_ ticket: WaitingLine.Ticket) {
    held[ticket] = nil
  }

  /// The exchange that waits with this ticket, which it gives up with this call.
  func takeHeld(_ ticket: WaitingLine.Ticket) -> Exchange? {
    held.removeValue(forKey: ticket)
  }

  /// Upstreams that nobody probes are found to be back by one of those that wait; and whatever was missed is seen now.
  override func deadlinePassed() {
    guard !held.isEmpty else { return }
    if pool.isInMaintenance {
      for exchange in held.values { exchange.waitIsOver() }
      return
    }
    held.min { $0.key < $1.key }?.value.tryWhileWaiting()
    pool.admitWaiting(now: loop.now)
    if !held.isEmpty { loop.setDeadline(of: self, in: Self.lookInterval) }
  }
}
