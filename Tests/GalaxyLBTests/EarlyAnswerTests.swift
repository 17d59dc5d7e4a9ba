import EventLoop
import Glibc
import Synchronization
import SystemCalls
import Testing
import UpstreamPool

@testable import galaxy_lb

/// One worker on its own thread, between a client and an upstream that the test plays itself.
private final class RunningWorker {
  let upstream: Descriptor
  let clientAddress: SocketAddress
  private let folder: TemporaryFolder
  private let silent: SilentLog
  private let worker: WorkerThread

  init() throws {
    folder = try TemporaryFolder()
    silent = try SilentLog()
    let (front, back) = ("\(folder.path)/front", "\(folder.path)/back")
    upstream = Descriptor(owning: try Self.listen(on: back))
    var settings = Settings()
    settings.pools = [
      PoolSettings(name: "p", upstreams: [UpstreamSettings(name: "u", endpoint: .unix(path: back))])
    ]
    settings.routes = [Route(pool: "p")]
    let site = try Site(settings, log: silent.log)
    let listener = try Self.listen(on: front)
    clientAddress = SocketAddress(unixPath: front)
    worker = try WorkerThread(
      number: 0, site: site, accessLog: nil, listeners: [listener], census: Census(workers: 1),
      log: silent.log
    ) {}
  }

  private static func listen(on path: String) throws -> Int32 {
    try Listening.sockets(on: .unix(path: path), count: 1, options: .init(deferAccept: false))[0]
  }

  deinit {
    worker.mailbox.post(.cut)
    worker.join()
  }
}

/// A socket that waits, with a bound, for what it is asked for.
private struct PatientSocket: ~Copyable {
  let descriptor: Descriptor

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

  init(acceptingFrom listener: Int32) throws {
    try Self.wait(listener, POLLIN)
    guard case .connection(let number, _) = SystemCalls.accept(from: listener) else {
      throw SystemError.last("accept4")
    }
    descriptor = Descriptor(owning: number)
  }

  func send(_ text: String) throws {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      switch bytes.withUnsafeBytes({ SystemCalls.send(descriptor.number, $0) }) {
      case .bytes(let count): bytes = bytes.dropFirst(count)
      case .wouldBlock: try Self.wait(descriptor.number, POLLOUT)
      case .end, .failed: throw SystemError.last("send")
      }
    }
  }

  /// Receives until what has come ends in `ending`.
  func receive(until ending: String) throws -> String {
    var received: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while !received.suffix(ending.utf8.count).elementsEqual(ending.utf8) {
      switch buffer.withUnsafeMutableBytes({ SystemCalls.receive(descriptor.number, into: $0) }) {
      case .bytes(let count): received += buffer[..<count]
      case .wouldBlock: try Self.wait(descriptor.number, POLLIN)
      case .end, .failed: throw SystemError(call: "recv", code: ECONNRESET)
      }
    }
    return String(decoding: received, as: UTF8.self)
  }

  /// Receives exactly `text`, and nothing of what follows.
  func receive(exactly text: String) throws {
    var buffer = [UInt8](repeating: 0, count: text.utf8.count)
    var count = 0
    while count < buffer.count {
      let result = buffer.withUnsafeMutableBytes {
        SystemCalls.receive(descriptor.number, into: UnsafeMutableRawBufferPointer(rebasing: $0[count...]))
      }
      switch result {
      case .bytes(let more): count += more
      case .wouldBlock: try Self.wait(descriptor.number, POLLIN)
      case .end, .failed: throw SystemError(call: "recv", code: ECONNRESET)
      }
    }
    #expect(buffer.elementsEqual(text.utf8))
  }
}

@Suite struct EarlyAnswerTests {
  /// Guards against a connection that is kept for another request while the end of a body has not gone out on it: its
  /// upstream, which answered early, would read the next request as that end (RFC 9112 9.3, 9.6).
  ///
  /// The body is larger than what the upstream's socket takes, by less than what the proxy reads ahead: so the proxy
  /// has all of it, and has not sent all of it, when the answer comes. A unix socket takes its buffer of 208 KiB and up
  /// to one piece of 64 KiB more.
  @Test(arguments: [290_000, 300_000, 310_000])
  func aConnectionWithAnUnsentBodyIsNotKept(_ length: Int) throws {
    let running = try RunningWorker()
    let client = try PatientSocket(connectingTo: running.clientAddress)
    try client.send("POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: \(length)\r\n\r\n")
    let first = try PatientSocket(acceptingFrom: running.upstream.number)
    try first.receive(exactly: "POST /first HTTP/1.1\r\n")
    try client.send(String(repeating: "b", count: length))
    try first.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
    _ = try client.receive(until: "\r\n\r\nearly")

    try client.send("GET /second HTTP/1.1\r\nHost: h\r\n\r\n")
    let second = try PatientSocket(acceptingFrom: running.upstream.number)
    let head = try second.receive(until: "\r\n\r\n")
    #expect(head.hasPrefix("GET /second HTTP/1.1\r\n"))
    try second.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
    #expect(try client.receive(until: "late").hasPrefix("HTTP/1.1 200 OK\r\n"))
  }
}
