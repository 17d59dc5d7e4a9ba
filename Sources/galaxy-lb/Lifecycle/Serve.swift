import EventLoop
import Glibc
import SystemCalls

/// Runs the proxy in the foreground, from the first socket to the last byte.
enum Serve {
  /// Returns the exit status: 0 after a stop that was asked for, 1 when it could not start.
  ///
  /// - Parameter reload: reads the configuration again, for SIGHUP; nil when it is not valid, which it has said.
  static func run(_ settings: Settings, log: Log, reload: @escaping @Sendable () -> Settings?) -> Int32 {
    signal(SIGPIPE, SIG_IGN)
    raiseDescriptorLimit(log)
    var madePaths: [String] = []
    do {
      let site = try Site(settings, log: log)
      let listeners = try PublicListeners(settings)
      madePaths = listeners.ownPaths
      let control = try ControlListeners(settings, log: log)
      try settings.runAs?.enter()
      // Opened as the user that will have to open it again when it is rotated.
      let accessLog = try AccessLogWriter(log: log)
      try accessLog.use(settings.accessLog)
      let service = try Service(
        site: site, listeners: listeners, control: control, accessLog: accessLog, log: log, reload: reload)
      return service.run()
    } catch {
      log.error("cannot start", ["error": "\(error)"])
      for path in madePaths { unlink(path) }
      return 1
    }
  }

  /// Every connection needs two descriptors, and the soft limit is often 1024.
  private static func raiseDescriptorLimit(_ log: Log) {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) != 0 {
      log.warning("the limit of descriptors stays low", ["limit": limit.rlim_cur])
    }
  }
}

/// The public sockets, as many for each address as there are threads.
struct PublicListeners {
  /// Sockets by thread.
  let byThread: [[Int32]]
  /// Where they listen, for the log.
  let addresses: [String]
  /// The paths of unix sockets that were made here, and go with the process.
  let ownPaths: [String]

  /// Takes what systemd passes; else makes sockets on all addresses.
  init(_ settings: Settings) throws {
    var byThread = [[Int32]](repeating: [], count: settings.threads)
    var addresses: [String] = []
    var ownPaths: [String] = []
    let inherited = try Listening.inherited()
    for socket in inherited {
      addresses.append(Listening.localAddress(of: socket))
      byThread[0].append(socket)
      for thread in 1..<max(1, settings.threads) { byThread[thread].append(try Listening.duplicate(socket)) }
    }
    if inherited.isEmpty {
      for endpoint in settings.listen {
        let sockets: [Int32]
        do {
          sockets = try Listening.sockets(
            on: endpoint, count: settings.threads, options: .init(deferAccept: settings.deferAccept))
          if case .unix(let path) = endpoint {
            ownPaths.append(path)
            try settings.runAs?.takeOver(path)
          }
        } catch {
          for path in ownPaths { unlink(path) }
          throw ListenFailure(endpoint: endpoint, reason: "\(error)")
        }
        addresses.append(Listening.localAddress(of: sockets[0]))
        for (thread, socket) in sockets.enumerated() { byThread[thread].append(socket) }
      }
    }
    self.byThread = byThread
    self.addresses = addresses
    self.ownPaths = ownPaths
  }
}

/// A public address that can't be listened on.
struct ListenFailure: Error, CustomStringConvertible {
  let endpoint: Endpoint
  let reason: String

  var description: String { "cannot listen on \(endpoint): \(reason)" }
}

extension RunAs {
  /// Makes a file, not what a link points to, that of the user and group that the process will be.
  func takeOver(_ path: String) throws(SystemError) {
    try retryingInterrupts("lchown") { lchown(path, user, group) }
  }

  /// Becomes this user for good: supplementary groups, group, user, in this order (credentials(7)).
  func enter() throws(SystemError) {
    if geteuid() == user, getegid() == group { return }
    try retryingInterrupts("initgroups") { initgroups(userName, group) }
    try retryingInterrupts("setgid") { setgid(group) }
    try retryingInterrupts("setuid") { setuid(user) }
  }
}
