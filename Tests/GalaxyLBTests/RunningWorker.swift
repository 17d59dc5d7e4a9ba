import EventLoop
import Glibc
import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

/// One worker on its own thread, between clients and upstreams that the test plays itself, with what tells it things.
final class RunningWorker {
  /// The listening sockets of the upstreams.
  let upstreams: [ListeningSocket]
  let clientAddress: SocketAddress
  let census = Census(workers: 1)
  let plane: ControlPlane
  private let folder: TemporaryFolder
  private let silent: SilentLog
  private let worker: WorkerThread
  private var settings = Settings()

  /// One pool, with so many upstreams on unix sockets.
  ///
  /// - Parameter change: what else is to be set.
  init(upstreams count: Int = 1, _ change: (inout Settings) -> Void = { _ in }) throws {
    let folder = try TemporaryFolder()
    self.folder = folder
    silent = try SilentLog()
    let front = "\(folder.path)/front"
    let backs = (0..<count).map { "\(folder.path)/back\($0)" }
    upstreams = try backs.map { ListeningSocket(owning: try Self.listen(on: $0)) }
    settings.pools = [
      PoolSettings(
        name: "p",
        upstreams: backs.enumerated().map {
          UpstreamSettings(name: "u\($0.offset)", endpoint: .unix(path: $0.element))
        })
    ]
    settings.routes = [Route(pool: "p")]
    settings.threads = 1
    change(&settings)
    let site = try Site(settings, log: silent.log)
    let listener = try Self.listen(on: front)
    clientAddress = SocketAddress(unixPath: front)
    let worker = try WorkerThread(
      number: 0, site: site, accessLog: nil, listeners: [listener], census: census, log: silent.log
    ) {}
    self.worker = worker
    plane = ControlPlane(
      site: site, census: census, log: silent.log, tellWorkers: { worker.mailbox.post($0) }, reload: { false }
    )
  }

  private static func listen(on path: String) throws -> Int32 {
    try Listening.sockets(on: .unix(path: path), count: 1, options: .init(deferAccept: false))[0]
  }

  /// The only upstream's socket.
  var upstream: ListeningSocket { upstreams[0] }

  var pool: Pool { plane.site.pools[0] }

  func tell(_ message: WorkerMessage) { worker.mailbox.post(message) }

  /// Goes on with other settings.
  func reload(_ change: (inout Settings) -> Void) throws {
    change(&settings)
    let next = try Site(settings, replacing: plane.site, log: silent.log)
    plane.site = next
    tell(.use(next, nil))
  }

  deinit {
    tell(.cut)
    worker.join()
  }
}

/// Waits, with a bound, until something holds.
func eventually(
  _ what: Comment, at place: SourceLocation = #_sourceLocation, _ holds: () throws -> Bool
) rethrows {
  for _ in 0..<1_000 {
    if try holds() { return }
    _ = poll(nil, 0, 10)
  }
  Issue.record(what, sourceLocation: place)
}

/// A socket that listens.
final class ListeningSocket {
  private let descriptor: Descriptor

  init(owning number: Int32) { descriptor = Descriptor(owning: number) }

  var number: Int32 { descriptor.number }
}

/// A socket that waits, with a bound, for what it is asked for.
final class PatientSocket {
  private let descriptor: Descriptor

  private static func wait(_ descriptor: Int32, _ events: Int32) throws {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    let count = try retryingInterrupts("poll") { poll(&entry, 1, 10_000) }
    guard count == 1 else { throw SystemError(call: "poll", code: ETIMEDOUT) }
  }

  init(connectingTo address: SocketAddress) throws {
    guard case .connected(let number) = SystemCalls.connect(to: address) else {
      throw SystemError.last("connect")
    }
    descriptor = Descriptor(owning: number)
  }

  /// Nil when the connection does not stand within half a second: nobody accepts it.
  init?(establishing address: SocketAddress) throws {
    guard case .inProgress(let number) = SystemCalls.connect(to: address) else {
      throw SystemError.last("connect")
    }
    descriptor = Descriptor(owning: number)
    var entry = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
    guard try retryingInterrupts("poll", { poll(&entry, 1, 500) }) == 1 else { return nil }
  }

  init(acceptingFrom listener: ListeningSocket) throws {
    try Self.wait(listener.number, POLLIN)
    guard case .connection(let number, _) = SystemCalls.accept(from: listener.number) else {
      throw SystemError.last("accept4")
    }
    descriptor = Descriptor(owning: number)
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  func send(_ bytes: [UInt8]) throws {
    var bytes = bytes[...]
    while !bytes.isEmpty {
      switch bytes.withUnsafeBytes({ SystemCalls.send(descriptor.number, $0) }) {
      case .bytes(let count): bytes = bytes.dropFirst(count)
      case .wouldBlock: try Self.wait(descriptor.number, POLLOUT)
      case .end, .failed: throw SystemError.last("send")
      }
    }
  }

  /// Sends no more.
  func endSending() { SystemCalls.endSending(descriptor.number) }

  /// Receives what is there, at most so many bytes; nil at the end.
  private func receiveSome(_ most: Int) throws -> [UInt8]? {
    var buffer = [UInt8](repeating: 0, count: most)
    while true {
      switch buffer.withUnsafeMutableBytes({ SystemCalls.receive(descriptor.number, into: $0) }) {
      case .bytes(let count): return Array(buffer[..<count])
      case .wouldBlock: try Self.wait(descriptor.number, POLLIN)
      case .end: return nil
      case .failed: throw SystemError(call: "recv", code: ECONNRESET)
      }
    }
  }

  /// Receives until what has come ends in `ending`.
  func receive(until ending: String) throws -> String {
    String(decoding: try receive(until: Array(ending.utf8)), as: UTF8.self)
  }

  /// Receives until what has come ends in `ending`.
  func receive(until ending: [UInt8]) throws -> [UInt8] {
    var received: [UInt8] = []
    while !received.suffix(ending.count).elementsEqual(ending) {
      guard let more = try receiveSome(65_536) else { throw SystemError(call: "recv", code: ECONNRESET) }
      received += more
    }
    return received
  }

  /// Receives so many bytes, and nothing of what follows.
  func receive(_ count: Int) throws -> [UInt8] {
    var received: [UInt8] = []
    while received.count < count {
      guard let more = try receiveSome(count - received.count) else {
        throw SystemError(call: "recv", code: ECONNRESET)
      }
      received += more
    }
    return received
  }

  /// Receives exactly `text`, and nothing of what follows.
  func receive(exactly text: String) throws {
    #expect(String(decoding: try receive(text.utf8.count), as: UTF8.self) == text)
  }

  /// Receives up to a regular end.
  func receiveToEnd() throws -> [UInt8] {
    var received: [UInt8] = []
    while let more = try receiveSome(65_536) { received += more }
    return received
  }
}
