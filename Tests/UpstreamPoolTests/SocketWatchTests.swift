import EventLoop
import Foundation
import SystemCalls
import Testing

@testable import UpstreamPool

/// An upstream on a socket in a folder of the test, which is watched, and whoever listens there.
private final class Bench {
  let loop: EventLoop
  let watch: SocketWatch
  let pool: Pool
  let folder: String
  let path: String
  private let root = "/tmp/sockets-\(UUID().uuidString.prefix(8))"
  private let told = Told()
  private var prober: HealthProber?
  private var listeners: [Int32] = []
  private(set) var connections: [Int32] = []
  /// Whoever listens accepts, and lets others wait for the answer.
  var isSilent = false

  private final class Told { var folders: [String] = [] }

  var upstream: Upstream { pool.upstreams[0] }
  var operational: OperationalState { upstream.state.operational }
  /// Those that could not be watched, as often as it was told.
  var unwatchedFolders: [String] { told.folders }

  /// - Parameter isProbed: at first once, then never again within the time of a test.
  init(isProbed: Bool = false, hasFolder: Bool = true) throws {
    folder = "\(root)/run"
    path = "\(folder)/a.sock"
    try makeFolders(hasFolder ? folder : root, mode: 0o755)
    var settings = PoolSettings(
      name: "p", upstreams: [UpstreamSettings(name: "u", endpoint: .unix(path: path))])
    settings.health.isProbed = isProbed
    settings.health.interval = 3_600_000
    settings.health.intervalWhenDown = 3_600_000
    loop = try EventLoop()
    let upstream = Upstream(
      settings.upstreams[0], health: settings.health, index: 0, address: SocketAddress(unixPath: path),
      loops: 1, now: loop.now
    ) { _, _ in }
    pool = Pool(settings, upstreams: [upstream])
    watch = try SocketWatch(on: loop) { [told] folder, _ in told.folders.append(folder) }
    if isProbed { prober = HealthProber(upstream, of: settings, on: loop) }
  }

  deinit {
    prober?.stop()
    watch.close()
    for descriptor in listeners + connections { close(descriptor) }
    try? FileManager.default.removeItem(atPath: root)
  }

  func begin() { watch.watch([pool], probers: [prober].compactMap { $0 }) }

  // MARK: Whoever listens

  func bind() throws {
    let listener = try retryingInterrupts("socket") { socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0) }
    listeners.append(listener)
    _ = try retryingInterrupts("bind") {
      SocketAddress(unixPath: path).withPointer { Glibc.bind(listener, $0, $1) }
    }
  }

  func listen() throws {
    _ = try retryingInterrupts("fcntl") { fcntl(listeners.last!, F_SETFL, O_NONBLOCK) }
    _ = try retryingInterrupts("listen") { Glibc.listen(listeners.last!, 16) }
  }

  func startServer() throws {
    try bind()
    try listen()
  }

  func remove(_ path: String? = nil) { #expect(unlink(path ?? self.path) == 0) }

  private func serve() {
    guard let listener = listeners.last, case .connection(let descriptor, _) = accept(from: listener) else {
      return
    }
    // It stays open, because what it gets is not read.
    connections.append(descriptor)
    if !isSilent { answer(descriptor) }
  }

  func answer(_ descriptor: Int32) {
    _ = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8).withUnsafeBytes { send(descriptor, $0) }
  }

  // MARK: The loop

  /// Runs the loop, and whoever listens, until something holds. False when it does not within a long time.
  func run(until holds: @escaping () -> Bool) -> Bool {
    var isTrue = false
    let look = Look { [unowned self] looks in
      serve()
      isTrue = holds()
      return isTrue || looks == 2_000
    }
    look.begin(on: loop)
    return isTrue
  }

  /// Runs the loop until what happened before is known: it is told in order.
  func settle() throws {
    let last = UpstreamSettings(name: "last", endpoint: .unix(path: "\(folder)/last"))
    let witness = Upstream(
      last, health: HealthSettings(), index: 0, address: SocketAddress(unixPath: "\(folder)/last"), loops: 1,
      now: loop.now
    ) { _, _ in }
    watch.watch([pool, Pool(PoolSettings(name: "w", upstreams: [last]), upstreams: [witness])], probers: [])
    try writeFile("\(folder)/last", [], mode: 0o600)
    remove("\(folder)/last")
    #expect(run { witness.state.operational == .down })
    begin()
  }

  /// What a request does that needs a new connection.
  func connect() throws {
    guard case .connected(let descriptor) = SystemCalls.connect(to: upstream.address) else {
      throw SystemError.last("connect")
    }
    connections.append(descriptor)
    _ = upstream.noteConnection(descriptor, now: loop.now)
  }
}

/// Looks every few milliseconds, and ends the loop when it has seen what it looks for.
private final class Look: Timed {
  private let isOver: (Int) -> Bool
  private var looks = 0
  private unowned var loop: EventLoop!

  init(_ isOver: @escaping (_ looks: Int) -> Bool) { self.isOver = isOver }

  func begin(on loop: EventLoop) {
    self.loop = loop
    loop.setDeadline(of: self, in: 0)
    loop.run()
    loop.remove(self)
  }

  override func deadlinePassed() {
    looks += 1
    if isOver(looks) { loop.stop() } else { loop.setDeadline(of: self, in: 10) }
  }
}

/// No interval of a probe or a trial is short enough here that it could be what the tests see.
@Suite struct SocketWatchTests {
  @Test func oneThatIsRemovedIsDown() throws {
    let bench = try Bench()
    try bench.startServer()
    bench.begin()
    try bench.connect()
    let generation = bench.upstream.generation
    bench.remove()
    #expect(bench.run { bench.operational == .down })
    #expect(bench.upstream.generation == generation + 1, "kept connections are not used again")
  }

  @Test func oneThatIsMovedAwayIsDownUntilItIsMovedBack() throws {
    let bench = try Bench()
    try bench.startServer()
    bench.begin()
    rename(bench.path, "\(bench.folder)/away")
    #expect(bench.run { bench.operational == .down })
    rename("\(bench.folder)/away", bench.path)
    #expect(bench.run { bench.upstream.takeTrial(now: bench.loop.now) })
  }

  @Test func otherNamesMeanNothing() throws {
    let bench = try Bench()
    try bench.startServer()
    bench.begin()
    let generation = bench.upstream.generation
    for name in ["a.soc", "a.sock2", "b.sock"] {
      try writeFile("\(bench.folder)/\(name)", [], mode: 0o600)
      bench.remove("\(bench.folder)/\(name)")
    }
    try bench.settle()
    #expect(bench.operational == .up && bench.upstream.generation == generation)
  }

  @Test func oneThatComesIsTriedAtOnce() throws {
    let bench = try Bench()
    bench.begin()
    bench.upstream.noteFailure(.unreachable, now: bench.loop.now + 3_600_000)
    try bench.startServer()
    #expect(bench.run { bench.upstream.takeTrial(now: bench.loop.now) })
  }

  @Test func oneThatComesIsProbedAtOnce() throws {
    let bench = try Bench(isProbed: true)
    bench.begin()
    #expect(bench.run { bench.operational == .down }, "the first probe")
    try bench.startServer()
    #expect(bench.run { bench.operational == .up })
    bench.remove()
    #expect(bench.run { bench.operational == .down })
    try bench.startServer()
    #expect(bench.run { bench.operational == .up })
  }

  /// bind(2) makes the socket, and whoever connects before listen(2) is refused.
  @Test func oneThatRefusesAtFirstIsProbedAgain() throws {
    let bench = try Bench(isProbed: true)
    try bench.startServer()
    bench.begin()
    #expect(bench.run { bench.operational == .up })
    rename(bench.path, "\(bench.folder)/before")
    #expect(bench.run { bench.operational == .down })
    try bench.bind()
    var looks = 0
    #expect(
      bench.run {
        looks += 1
        return looks == 3
      })
    #expect(bench.operational == .down)
    try bench.listen()
    #expect(bench.run { bench.operational == .up })
  }

  /// Guards against the answer of one that stops being taken for that of the next one.
  @Test func anAnswerToAProbeComesTooLate() throws {
    let bench = try Bench(isProbed: true)
    bench.isSilent = true
    try bench.startServer()
    bench.begin()
    #expect(bench.run { bench.connections.count == 1 })
    #expect(bench.operational == .starting)
    bench.remove()
    #expect(bench.run { bench.operational == .down })
    bench.answer(bench.connections[0])
    try bench.settle()
    #expect(bench.operational == .down)
  }

  /// Guards against an upstream that is taken down because of its predecessor, when this is told late.
  @Test func whatIsOlderThanTheLastConnectionMeansNothing() throws {
    let bench = try Bench()
    try bench.startServer()
    bench.begin()
    try bench.connect()
    bench.remove()
    try bench.startServer()
    // This process was seen to listen before, which alone would be taken for the same incarnation.
    bench.upstream.noteSocketRemoved(now: bench.loop.now)
    try bench.connect()
    bench.upstream.noteSuccess(now: bench.loop.now)
    let generation = bench.upstream.generation
    try bench.settle()
    #expect(bench.operational == .up && bench.upstream.generation == generation)
  }

  /// There is a socket, but not the one that was connected to: it has to be tried.
  @Test func oneThatWasReplacedIsTried() throws {
    let bench = try Bench()
    try bench.startServer()
    bench.begin()
    try bench.connect()
    let generation = bench.upstream.generation
    bench.remove()
    try bench.startServer()
    try bench.settle()
    #expect(bench.upstream.generation > generation)
    #expect(bench.upstream.takeTrial(now: bench.loop.now))
  }

  @Test func allUpstreamsOfASocketAreTold() throws {
    let bench = try Bench()
    let other = try Bench()
    try bench.startServer()
    let settings = bench.upstream.settings
    let twin = Upstream(
      settings, health: HealthSettings(), index: 0, address: bench.upstream.address, loops: 1, now: 0
    ) { _, _ in }
    let second = Pool(PoolSettings(name: "q", upstreams: [settings]), upstreams: [twin])
    bench.watch.watch([bench.pool, second, other.pool], probers: [])
    bench.remove()
    #expect(bench.run { bench.operational == .down && twin.state.operational == .down })
    #expect(other.operational == .up)
  }

  /// What a reload leaves out is not watched any more, and what stays has no gap.
  @Test func otherPoolsTakeThePlace() throws {
    let bench = try Bench()
    let other = try Bench()
    try bench.startServer()
    try other.startServer()
    bench.watch.watch([bench.pool, other.pool], probers: [])
    other.remove()
    bench.remove()
    bench.begin()
    #expect(bench.run { bench.operational == .down })
    #expect(other.operational == .up)
  }

  @Test func aFolderThatIsMadeLater() throws {
    let bench = try Bench(isProbed: true, hasFolder: false)
    bench.begin()
    bench.begin()
    #expect(bench.run { bench.operational == .down }, "the first probe")
    #expect(bench.unwatchedFolders == [bench.folder], "it is told once")
    try makeFolders(bench.folder, mode: 0o755)
    try bench.startServer()
    #expect(bench.run { bench.operational == .up })
    bench.remove()
    #expect(bench.run { bench.operational == .down })
    #expect(bench.unwatchedFolders == [bench.folder])
  }

  /// Its sockets go with it, and come with the next one of that path.
  @Test(arguments: [false, true])
  func aFolderThatGoes(isMoved: Bool) throws {
    let bench = try Bench(isProbed: true)
    try bench.startServer()
    bench.begin()
    #expect(bench.run { bench.operational == .up })
    if isMoved {
      rename(bench.folder, bench.folder + "-before")
    } else {
      try FileManager.default.removeItem(atPath: bench.folder)
    }
    #expect(bench.run { bench.operational == .down && bench.unwatchedFolders == [bench.folder] })
    try makeFolders(bench.folder, mode: 0o755)
    try bench.startServer()
    #expect(bench.run { bench.operational == .up })
  }

  /// More happens beside the socket than the kernel keeps for a reader: nothing about the socket is missed.
  @Test func moreThanCanBeTold() throws {
    let limit = try #require(readFile("/proc/sys/fs/inotify/max_queued_events", atMost: 32))
    let events = try #require(Int(String(decoding: limit.prefix { $0 != 0x0a }, as: UTF8.self)))
    try #require(events <= 100_000)
    let bench = try Bench()
    try bench.startServer()
    bench.begin()
    for number in 0...events / 2 {
      // Another name each time, because events that repeat are told once.
      let path = "\(bench.folder)/\(number)"
      #expect(mkdir(path, 0o755) == 0 && rmdir(path) == 0)
    }
    bench.remove()
    #expect(bench.run { bench.operational == .down })
  }
}
