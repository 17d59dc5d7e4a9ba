import EventLoop
import HTTP1
import Synchronization
import SystemCalls
import UpstreamPool

/// What all workers of the process count together.
final class Census: Sendable {
  private let clients = Atomic<Int>(0)
  /// What each worker counts alone, by its number.
  let workers: [WorkerStatistics]
  let lostRequests = LostRequests()

  init(workers count: Int) {
    workers = (0..<count).map { _ in WorkerStatistics() }
  }

  /// Client connections of the whole process.
  var clientCount: Int { clients.load(ordering: .relaxed) }

  func clientCame() { clients.wrappingAdd(1, ordering: .relaxed) }
  func clientWent() { clients.wrappingSubtract(1, ordering: .relaxed) }
}

/// One event loop's share of the proxy: its clients, its connections to upstreams, and the memory that they all
/// use in turn. Confined to the loop's thread.
final class Worker {
  let loop: EventLoop
  /// Its place among the workers of the process.
  let number: Int
  let log: Log
  let census: Census
  let statistics: WorkerStatistics
  /// Nil while the access log is off.
  private(set) var accessLog: AccessLogRecorder?
  private(set) var site: Site
  private(set) var pools: [LocalPool]
  /// Of configurations before a reload, while requests still wait for them.
  private var retiredPools: [LocalPool] = []
  private(set) var isStopping = false

  /// One read's worth of bytes, with room for frames on both sides. Nothing in it outlives the handling of that read.
  let scratch: UnsafeMutableRawBufferPointer
  @exclusivity(unchecked) var requestHead = RequestHead()
  @exclusivity(unchecked) var responseHead = ResponseHead()
  /// What short answers and pieces of bodies are gathered in.
  @exclusivity(unchecked) var spareMemory = SpareMemory()
  /// What bodies are spliced through.
  let pipes: PipePool
  @exclusivity(unchecked) private(set) var clients: ContiguousArray<ClientConnection> = []
  @exclusivity(unchecked) private var spareExchanges: [Exchange] = []
  private var random: RequestIDGenerator
  private var onLastClientGone: (() -> Void)?
  private let call: @Sendable (Pool, WaitingLine.Ticket) -> Void

  /// Large enough that bulk data costs few system calls, small enough to stay in the second-level cache; measured: see
  /// "What limits each workload" in docs/benchmarks.md.
  static let readSize = 112 * 1024
  /// As many as are under way on a busy server: below 2 KiB each, with the memory for a request of the usual size.
  private static let maximumSpareExchanges = 1024

  /// - Parameter call: tells this worker, from any thread, that the turn of a held request has come.
  init(
    loop: EventLoop, number: Int, site: Site, accessLog: AccessLog?, census: Census, log: Log,
    call: @escaping @Sendable (Pool, WaitingLine.Ticket) -> Void
  ) {
    self.loop = loop
    self.number = number
    self.call = call
    self.accessLog = accessLog.map { AccessLogRecorder($0, on: loop) }
    self.site = Site(forOneLoop: site)
    self.census = census
    statistics = census.workers[number]
    self.log = log
    pools = site.pools.map { LocalPool($0, loop: loop, number: number, call: call) }
    scratch = .allocate(byteCount: Self.readSize + 2 * BodyRelay.slack, alignment: 64)
    random = RequestIDGenerator()
    pipes = PipePool(loop: loop)
  }

  deinit {
    loop.remove(pipes)
    scratch.deallocate()
  }

  /// Where a read goes: the middle of `scratch`.
  var readRange: Range<Int> { BodyRelay.slack..<BodyRelay.slack + Self.readSize }
  var readRoom: UnsafeMutableRawBufferPointer { .init(rebasing: scratch[readRange]) }

  /// Copies bytes to the beginning of the read's place, and says where they are. At most `readSize`.
  func moveToScratch(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
    precondition(bytes.count <= Self.readSize)
    readRoom.copyMemory(from: bytes)
    return readRange.lowerBound..<readRange.lowerBound + bytes.count
  }

  func makeRequestID() -> (UInt64, UInt64) { (random.next(), random.next()) }

  // MARK: Clients

  /// Takes an accepted connection; the worker owns it from now on.
  func adopt(_ descriptor: Int32, _ peer: Peer) {
    census.clientCame()
    statistics.connections.add()
    let client = ClientConnection(self, owning: descriptor, peer: peer)
    client.place = clients.count
    clients.append(client)
    client.begin()
  }

  /// There are too many connections already: says so, as far as the new one's socket takes it, and closes it.
  func refuse(_ descriptor: Int32, _ peer: Peer) {
    statistics.refusedConnections.add()
    log.warning("connection limit reached", ["limit": site.settings.limits.connections])
    let client = Descriptor(owning: descriptor)
    var answer = ByteBuffer()
    ErrorAnswer.write(status: 503, isHead: false, closes: true, to: &answer)
    _ = SystemCalls.send(client.number, answer.bytes)
    endSending(client.number)
  }

  /// The client's connection is closed.
  func forget(_ client: ClientConnection) {
    census.clientWent()
    let last = clients.removeLast()
    if last !== client {
      clients[client.place] = last
      last.place = client.place
    }
    if clients.isEmpty { onLastClientGone?() }
  }

  func takeExchange(for client: ClientConnection) -> Exchange {
    let exchange = spareExchanges.popLast() ?? Exchange(self)
    exchange.client = client
    return exchange
  }

  func giveBack(_ exchange: Exchange) {
    if spareExchanges.count < Self.maximumSpareExchanges { spareExchanges.append(exchange) }
  }

  /// The turn of a held request has come.
  func admit(_ pool: Pool, _ ticket: WaitingLine.Ticket) {
    let local = pools.first { $0.pool === pool } ?? retiredPools.first { $0.pool === pool }
    if let exchange = local?.takeHeld(ticket) {
      exchange.turnHasCome()
    } else {
      // It has ended meanwhile.
      pool.line.arrive(waited: 0)
      pool.admitWaiting()
    }
  }

  // MARK: The traffic of one upstream

  /// An upstream takes no new work: its idle connections go, on this loop.
  func closeKept(to upstream: Upstream) {
    for local in pools {
      for own in local.pool.upstreams where own.isSame(as: upstream) { local.closeKept(own.index) }
    }
  }

  /// Ends its event streams, each after the event that is under way. A request that turns into one later ends so, too.
  func endEventStreams(of upstream: Upstream) {
    for exchange in exchanges(on: upstream) { exchange.endEventStream() }
  }

  /// Closes its WebSockets as far as their peers take part. A handshake that is under way is finished first.
  func closeTunnels(of upstream: Upstream) {
    for exchange in exchanges(on: upstream) { exchange.closeTunnel() }
  }

  /// Ends its work of one class now.
  func cut(_ traffic: TrafficClass, of upstream: Upstream) {
    for exchange in exchanges(on: upstream) where exchange.lease?.traffic == traffic {
      exchange.expireDrain()
    }
  }

  /// What counts as work of this upstream, also when it began before a reload. Looks at all clients: for something as
  /// rare as a restart, which requests need not pay for.
  private func exchanges(on upstream: Upstream) -> [Exchange] {
    clients.compactMap(\.exchange).filter { $0.lease?.upstream.isSame(as: upstream) ?? false }
  }

  // MARK: Reload and stop

  /// Serves what begins from now on with another configuration. What is under way ends with the old one.
  func use(_ site: Site, accessLog log: AccessLog?) {
    if accessLog?.log !== log {
      accessLog?.close()
      accessLog = log.map { AccessLogRecorder($0, on: loop) }
    }
    let old = pools
    self.site = Site(forOneLoop: site)
    pools = site.pools.map { pool in
      old.first { $0.pool === pool } ?? LocalPool(pool, loop: loop, number: number, call: call)
    }
    for pool in old where !pools.contains(where: { $0 === pool }) {
      pool.retire()
      retiredPools.append(pool)
    }
    retiredPools.removeAll { !$0.isHolding }
  }

  /// Serves the requests that are under way and closes everything else; then calls `done`.
  func drain(_ done: @escaping () -> Void) {
    isStopping = true
    onLastClientGone = done
    for client in clients.reversed() { client.prepareForStop() }
    if clients.isEmpty { done() }
  }

  /// Ends everything at once. The worker serves nobody after.
  func cutAll() {
    for client in clients.reversed() { client.stop() }
    // They refer to the worker, which would live for ever.
    spareExchanges.removeAll()
    for pool in pools { pool.closeKept() }
    accessLog?.close()
  }
}

/// Numbers for request ids by xoshiro256** (Blackman and Vigna 2019), seeded from the system. They
/// tell requests apart and are no secret.
struct RequestIDGenerator {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  init() {
    var system = SystemRandomNumberGenerator()
    state = (system.next(), system.next(), system.next(), system.next() | 1)
  }

  mutating func next() -> UInt64 {
    let product = state.1 &* 5
    let result = (product &<< 7 | product &>> 57) &* 9
    let shifted = state.1 &<< 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = state.3 &<< 45 | state.3 &>> 19
    return result
  }
}
