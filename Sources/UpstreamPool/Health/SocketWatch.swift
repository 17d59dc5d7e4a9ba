import EventLoop
import SystemCalls

/// Watches the folders of the upstreams' unix sockets: a gunicorn that is told to stop removes its socket before it
/// ends its connections, so that whoever sees that at once sends it nothing more; and one that starts is asked as soon
/// as its socket is there. Probes and traffic find out without it, only later. Confined to a loop.
public final class SocketWatch: Channel {
  /// The socket of one upstream.
  private struct Socket {
    let upstream: Upstream
    let prober: HealthProber?
    let path: String
    let folder: String
    let name: [UInt8]

    /// Nil for TCP.
    init?(_ upstream: Upstream, _ prober: HealthProber?) {
      guard case .unix(let path) = upstream.settings.endpoint else { return nil }
      self.upstream = upstream
      self.prober = prober
      self.path = path
      let slash = path.lastIndex(of: "/")
      folder = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
      name = Array(path[(slash.map(path.index(after:)) ?? path.startIndex)...].utf8)
    }
  }

  private let folders: FolderWatch
  private var sockets: [Socket] = []
  /// The watches of folders.
  private var watches: [String: Int32] = [:]
  /// Sockets by watch: two paths may lead to the same folder.
  private var watched: [Int32: [Socket]] = [:]
  /// Folders that can't be watched now, and have been told.
  private var unwatched: Set<String> = []
  private let onUnwatched: (_ folder: String, SystemError) -> Void

  /// Milliseconds between looks after the folders, while one is not watched or nobody listens at one of the sockets.
  private static let lookInterval: Int64 = 1_000

  /// Watches nothing before `watch`; ends with `close`.
  ///
  /// - Parameter onUnwatched: called once with each folder that can't be watched, because there is none, or it may not
  ///   be read, or the user's watches are used up (inotify(7)). It is tried again while it is needed.
  public init(
    on loop: EventLoop, onUnwatched: @escaping (_ folder: String, SystemError) -> Void
  ) throws(SystemError) {
    let folders = try FolderWatch()
    let descriptor = try folders.duplicate()
    self.folders = folders
    self.onUnwatched = onUnwatched
    super.init(loop: loop, owning: descriptor)
    open()
  }

  /// Watches the sockets of these pools, in place of those of before.
  ///
  /// - Parameter probers: those of the upstreams that are probed.
  public func watch(_ pools: [Pool], probers: [HealthProber]) {
    sockets = pools.flatMap(\.upstreams).compactMap { upstream in
      Socket(upstream, probers.first { $0.upstream === upstream })
    }
    unwatched.formIntersection(sockets.map(\.folder))
    watchFolders()
  }

  /// Watches all folders that there are. One that is watched already stays so without a gap.
  private func watchFolders() {
    let before = watches
    watches = [:]
    watched = [:]
    for (folder, sockets) in Dictionary(grouping: sockets, by: \.folder) {
      do throws(SystemError) {
        let watch = try folders.add(folder)
        watches[folder] = watch
        watched[watch, default: []] += sockets
        let wasUnwatched = unwatched.remove(folder) != nil
        if wasUnwatched || before[folder].map({ $0 != watch }) == true {
          for socket in sockets { lookForNew(socket) }
        }
      } catch {
        if unwatched.insert(folder).inserted { onUnwatched(folder, error) }
      }
    }
    for watch in before.values where watched[watch] == nil { folders.remove(watch) }
    lookLater()
  }

  /// A folder that is removed while somebody listens on a socket that was in it does not tell so: its inode stays. So
  /// it is looked whether the path leads to the same folder.
  private func lookLater() {
    if !unwatched.isEmpty || sockets.contains(where: { $0.upstream.state.operational == .down }) {
      loop.setDeadline(of: self, in: Self.lookInterval)
    }
  }

  public override func deadlinePassed() { watchFolders() }

  // MARK: What has happened

  public override func becameReady(_ news: Readiness) {
    loop.enqueue(self, for: .receiveRequests)
  }

  /// One read in a turn: a folder in which much happens must not keep the loop from other work.
  public override func run(_ phase: Phase) {
    var isToBeRenewed = false
    let hasRead = folders.read { watch, change, name in
      switch change {
      case .appeared: for socket in sockets(in: watch, named: name) { made(socket) }
      case .disappeared: for socket in sockets(in: watch, named: name) { compare(socket) }
      case .folderGone where watched[watch] != nil, .overflow: isToBeRenewed = true
      case .folderGone: break
      }
    }
    if isToBeRenewed {
      watchFolders()
      for socket in sockets { compare(socket) }
    }
    if deadline == Timed.never { lookLater() }
    if hasRead { loop.enqueue(self, for: .receiveRequests) } else { readiness.remove(.readable) }
  }

  private func sockets(in watch: Int32, named name: UnsafeRawBufferPointer) -> [Socket] {
    watched[watch]?.filter { $0.name.count == name.count && $0.name.elementsEqual(name) } ?? []
  }

  /// Something went, or may have gone unseen. If what is there now is what was connected to last, the news is older
  /// than that connection.
  private func compare(_ socket: Socket) {
    let file = FileStatus(of: socket.path)
    if let file, socket.upstream.incarnation?.isBehind(file) == true { return }
    socket.upstream.noteSocketRemoved(now: loop.now)
    socket.prober?.socketRemoved()
    if file != nil { made(socket) }
  }

  /// A folder is seen again: there may be a socket that nobody has told about.
  private func lookForNew(_ socket: Socket) {
    if socket.upstream.state.operational != .up, FileStatus(of: socket.path) != nil { made(socket) }
  }

  private func made(_ socket: Socket) {
    socket.upstream.noteSocketMade(now: loop.now)
    socket.prober?.socketMade()
  }
}
