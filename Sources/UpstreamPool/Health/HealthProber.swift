import EventLoop
import Glibc
import HTTP1
import SystemCalls

/// Asks one upstream, again and again, whether it works: an HTTP request of the proxy's own on a connection of its
/// own, so that a socket that accepts but does not answer is not taken for one that works. Confined to a loop.
public final class HealthProber: Timed {
  private unowned(unsafe) let loop: EventLoop
  let upstream: Upstream
  private let settings: HealthSettings
  private let request: [UInt8]
  private var probe: ProbeConnection?
  private var isStopped = false
  /// When the next probe of an upstream that is up is due, in milliseconds of the loop's clock.
  private var nextWhenUp: Int64 = 0
  private var random = SystemRandomNumberGenerator()
  private var promptProbesLeft = 0

  /// Milliseconds between probes of a socket that was made just now: whoever made it need not listen yet.
  private static let promptInterval: Int64 = 20
  /// So many of these probes may find nobody.
  private static let promptProbes = 10

  /// Begins with a first probe at once; ends with `stop`.
  public init(_ upstream: Upstream, of pool: PoolSettings, on loop: EventLoop) {
    self.loop = loop
    self.upstream = upstream
    settings = pool.health
    let head =
      "GET \(pool.healthPath) HTTP/1.1\r\nHost: localhost\r\nUser-Agent: galaxy-lb\r\nAccept: */*\r\n"
    request = Array((head + "Connection: close\r\n\r\n").utf8)
    super.init()
    loop.setDeadline(of: self, in: 0)
  }

  /// Ends the probes, and the one under way.
  public func stop() {
    isStopped = true
    loop.remove(self)
    abandonProbe()
  }

  /// The socket was removed: what a probe under way asks is who listened there before.
  func socketRemoved() {
    guard !isStopped else { return }
    promptProbesLeft = 0
    guard probe != nil else { return }
    abandonProbe()
    scheduleNext()
  }

  /// A socket was made: asks at once.
  func socketMade() {
    guard !isStopped else { return }
    promptProbesLeft = Self.promptProbes
    abandonProbe()
    begin()
  }

  private func abandonProbe() {
    probe?.close()
    probe = nil
  }

  public override func deadlinePassed() {
    guard !isStopped else { return }
    upstream.noteUsualWork()
    if let probe {
      // The time-out of the one under way.
      probe.close()
      finished(.noGoodAnswer)
      return
    }
    // Traffic may find out between two probes that something is wrong; then the next one must not take its time.
    if upstream.state.operational == .up, loop.now < nextWhenUp {
      lookWithOthers()
    } else {
      begin()
    }
  }

  private func begin() {
    switch connect(to: upstream.address) {
    case .connected(let descriptor): ask(on: descriptor, isConnected: true)
    case .inProgress(let descriptor): ask(on: descriptor, isConnected: false)
    // A full backlog says nothing about health; the next probe may find room.
    case .busy: scheduleNext()
    case .failed(let error):
      finished(error.code == ENOENT || error.code == ECONNREFUSED ? .unreachable : .noGoodAnswer)
    }
  }

  private func ask(on descriptor: Int32, isConnected: Bool) {
    loop.setDeadline(of: self, in: settings.timeout)
    _ = upstream.noteConnection(descriptor, now: loop.now)
    let probe = ProbeConnection(
      loop, owning: descriptor, request: request, expected: settings.expectedStatus
    ) {
      [unowned self] in finished($0)
    }
    self.probe = probe
    probe.begin(isConnected: isConnected)
  }

  private func finished(_ verdict: ProbeVerdict) {
    guard !isStopped else { return }
    probe = nil
    switch verdict {
    case .good:
      promptProbesLeft = 0
      upstream.noteGoodProbe(now: loop.now)
    case .unreachable: upstream.noteBadProbe(isUnreachable: true, now: loop.now)
    case .noGoodAnswer: upstream.noteBadProbe(isUnreachable: false, now: loop.now)
    }
    scheduleNext()
  }

  private func scheduleNext() {
    nextWhenUp = loop.now + jittered(settings.interval)
    if promptProbesLeft > 0, upstream.state.operational == .down {
      promptProbesLeft -= 1
      look(in: min(Self.promptInterval, settings.intervalWhenDown))
    } else if upstream.state.operational == .up {
      lookWithOthers()
    } else {
      look(in: jittered(settings.intervalWhenDown))
    }
  }

  /// Looks at a moment that the upstreams of a pool have in common, so that the loop wakes up once for all of them;
  /// unless a probe is due before.
  private func lookWithOthers() {
    let interval = settings.intervalWhenDown
    let common = (loop.now / interval + 1) * interval
    look(in: min(common, nextWhenUp) - loop.now)
  }

  private func look(in milliseconds: Int64) {
    loop.setDeadline(of: self, in: milliseconds)
  }

  /// A fifth more or less, so that the probes of many proxies, or of many upstreams, do not fall on one moment.
  private func jittered(_ interval: Int64) -> Int64 {
    let spread = max(interval / 5, 1)
    return interval + Int64.random(in: -spread...spread, using: &random)
  }
}

/// What a probe has found.
enum ProbeVerdict: Sendable {
  case good
  /// Nobody accepts.
  case unreachable
  /// Another status, no HTTP, an end before the answer's, or nothing in time.
  case noGoodAnswer
}

/// The connection of one probe: sends the request, reads the whole answer, gives the verdict once.
private final class ProbeConnection: Channel {
  private let request: [UInt8]
  private let expected: ClosedRange<Int>
  private let verdict: (ProbeVerdict) -> Void
  private var isSent = false
  private var inbound = ByteBuffer()
  private var body: BodyRelay?
  private var isGood = false

  /// More of an answer than this is not read.
  private static let largestAnswer = 256 * 1024
  private static let limits = HeadLimits(line: 65_536, head: 65_536, fields: 256)

  init(
    _ loop: EventLoop, owning descriptor: Int32, request: [UInt8], expected: ClosedRange<Int>,
    verdict: @escaping (ProbeVerdict) -> Void
  ) {
    self.request = request
    self.expected = expected
    self.verdict = verdict
    super.init(loop: loop, owning: descriptor)
  }

  func begin(isConnected: Bool) {
    open()
    if isConnected { loop.enqueue(self, for: .sendRequests) } else { watchWrites() }
  }

  override func becameReady(_ news: Readiness) {
    if news.contains(.writable) { loop.enqueue(self, for: .sendRequests) }
    if news.contains(.readable) { loop.enqueue(self, for: .receiveResponses) }
  }

  override func run(_ phase: Phase) {
    if phase == .sendRequests { send() } else { receive() }
  }

  private func finish(_ result: ProbeVerdict) {
    close()
    verdict(result)
  }

  private func send() {
    guard !isSent else { return }
    unwatchWrites()
    guard !hasFailed() else {
      finish(.unreachable)
      return
    }
    isSent = true
    // A request of some hundred bytes fits into an empty socket buffer, or there is something wrong.
    let result = request.withUnsafeBytes { SystemCalls.send(descriptor, $0) }
    if result != .bytes(request.count) { finish(.noGoodAnswer) }
  }

  private func receive() {
    while !isClosed {
      let room = inbound.reserve(8192)
      switch receive(into: room) {
      case .bytes(let count):
        inbound.commit(count)
        if inbound.count > Self.largestAnswer { finish(.noGoodAnswer) } else { read() }
      case .wouldBlock: return
      case .end: finish(isGood && body?.mayEnd == true ? .good : .noGoodAnswer)
      case .failed: finish(isSent ? .noGoodAnswer : .unreachable)
      }
    }
  }

  /// Reads the head from what was received so far; the body is counted, not kept.
  private func read() {
    if body == nil {
      var head = ResponseHead()
      let progress = inbound.withSpan {
        head.read($0, limits: Self.limits, context: ResponseContext(isHead: false))
      }
      switch progress {
      case .incomplete: return
      case .rejected:
        finish(.noGoodAnswer)
        return
      case .complete(let byteCount):
        inbound.consume(byteCount)
        guard !head.isInterim else {
          if !inbound.isEmpty { read() }
          return
        }
        isGood = expected.contains(head.status)
        body = BodyRelay(head.framing, writesChunks: false, keepsTrailers: false, trailerLimits: Self.limits)
      }
    }
    readBody()
  }

  private func readBody() {
    let count = inbound.count
    let slack = BodyRelay.slack
    let rejected = withUnsafeTemporaryAllocation(byteCount: count + 2 * slack, alignment: 1) { memory in
      UnsafeMutableRawBufferPointer(rebasing: memory[slack...]).copyMemory(from: inbound.bytes)
      return body!.relay(memory, slack..<slack + count).rejection != nil
    }
    inbound.removeAll()
    if rejected {
      finish(.noGoodAnswer)
    } else if body!.isComplete {
      finish(isGood ? .good : .noGoodAnswer)
    }
  }
}
