import EventLoop
import Glibc
import SystemCalls
import UpstreamPool

/// The running proxy: the workers, and the main thread's loop for signals.
final class Service {
  private enum Message: Sendable {
    case workerStarted
    case workerEnded
    case requestsLost
  }

  private let loop: EventLoop
  private let log: Log
  private let reload: @Sendable () -> Settings?
  private let mailbox: Mailbox<Message>
  private let ownPaths: [String]
  private let control: ControlListeners
  private let census: Census
  private var plane: ControlPlane!
  private var controlServers: [ControlServer] = []
  private let accessLog: AccessLogWriter
  private var site: Site
  private var workers: [WorkerThread] = []
  private var probers: [(pool: Pool, prober: HealthProber)] = []
  /// Nil when the system has none for this process.
  private var socketWatch: SocketWatch?
  /// Where the public sockets listen.
  private let addresses: [String]
  private var startingWorkers = 0
  private var runningWorkers = 0
  private var isStopping = false
  /// What is under way when the process is told to stop is not waited for any more.
  private var isOutOfPatience = false
  private var patience: ShutdownDeadline?

  init(
    site: Site, listeners: PublicListeners, control: ControlListeners, accessLog: AccessLogWriter, log: Log,
    reload: @escaping @Sendable () -> Settings?
  ) throws(SystemError) {
    self.site = site
    self.accessLog = accessLog
    self.log = log
    self.reload = reload
    addresses = listeners.addresses
    ownPaths = listeners.ownPaths + [control.metricsPath].compactMap { $0 }
    loop = try EventLoop()
    mailbox = try Mailbox()
    self.control = control
    census = Census(workers: site.loops)
    census.lostRequests.onNews { [mailbox] in mailbox.post(.requestsLost) }
    for (number, sockets) in listeners.byThread.enumerated() {
      let worker = try WorkerThread(
        number: number, site: site, accessLog: accessLog.current, listeners: sockets, census: census,
        log: log,
        onStart: { [mailbox] in mailbox.post(.workerStarted) },
        onEnd: { [mailbox] in mailbox.post(.workerEnded) })
      workers.append(worker)
      startingWorkers += 1
      runningWorkers += 1
    }
    plane = ControlPlane(
      site: site, census: census, log: log, tellWorkers: { [unowned self] in tellWorkers($0) },
      reload: { [unowned self] in reloadConfiguration() })
    plane.restart = GracefulRestart(plane, on: loop, log: log) { [unowned self] in endIfDone() }
  }

  /// Serves until a signal, and the last worker, end it. Returns the exit status.
  func run() -> Int32 {
    do {
      let reader = try MailboxReader(mailbox, on: loop) { [unowned self] message in
        switch message {
        case .workerStarted: workerStarted()
        case .workerEnded: workerEnded()
        case .requestsLost: plane.takeLostRequests()
        }
      }
      loop.onSignal(SIGTERM) { [unowned self] in stop("SIGTERM") }
      loop.onSignal(SIGINT) { [unowned self] in stop("SIGINT") }
      loop.onSignal(SIGHUP) { [unowned self] in _ = reloadConfiguration() }
      loop.onSignal(SIGUSR1) { [unowned self] in accessLog.reopen() }
      socketWatch = makeSocketWatch()
      probePools()
      serveControl()
      loop.run()
      reader.close()
    } catch {
      log.error("cannot start", ["error": error])
      tellWorkers(.cut)
    }
    for (_, prober) in probers { prober.stop() }
    socketWatch?.close()
    control.control?.remove()
    for server in controlServers { server.stop() }
    for worker in workers { worker.join() }
    accessLog.finish()
    for path in ownPaths { unlink(path) }
    // The handlers go with the loop, and the default of a second SIGTERM would turn an orderly end into a death.
    Thread.blockSignals()
    log.notice("stopped")
    return isStopping ? 0 : 1
  }

  private func serveControl() {
    if let socket = control.control {
      let permission = ControlPermission(user: geteuid(), group: site.settings.controlGroup?.number)
      controlServers.append(
        ControlServer(loop, owning: socket.descriptor, plane: plane, for: .control(permission)))
    }
    if let socket = control.metrics {
      controlServers.append(ControlServer(loop, owning: socket, plane: plane, for: .metricsOnly))
    }
  }

  private func tellWorkers(_ message: WorkerMessage) {
    for worker in workers { worker.mailbox.post(message) }
  }

  private func makeSocketWatch() -> SocketWatch? {
    do throws(SystemError) {
      return try SocketWatch(on: loop) { [log] folder, error in
        log.info("the sockets in a folder are not watched", ["folder": folder, "error": error])
      }
    } catch {
      log.info("no sockets are watched", ["error": error])
      return nil
    }
  }

  /// Begins to probe the pools of the configuration that are not probed yet, and ends the probes of those that went.
  /// The sockets of all are watched.
  private func probePools() {
    for (pool, prober) in probers where !site.pools.contains(where: { $0 === pool }) { prober.stop() }
    probers.removeAll { entry in !site.pools.contains { $0 === entry.pool } }
    for pool in site.pools where pool.settings.health.isProbed {
      guard !probers.contains(where: { $0.pool === pool }) else { continue }
      for upstream in pool.upstreams {
        probers.append((pool, HealthProber(upstream, of: pool.settings, on: loop)))
      }
    }
    socketWatch?.watch(site.pools, probers: probers.map(\.prober))
  }

  /// With the last one the proxy is ready, and says so.
  private func workerStarted() {
    startingWorkers -= 1
    guard startingWorkers == 0 else { return }
    for address in addresses { log.notice("listening", ["address": address]) }
    ServiceNotification.send("READY=1", log: log)
    plane.restart.startWhatWasLeft()
  }

  private func workerEnded() {
    runningWorkers -= 1
    // A worker never ends by itself but for a fault; then the others should not go on half.
    if !isStopping { tellWorkers(.cut) }
    endIfDone()
  }

  /// Nothing is left to do: the workers have ended, and no restart would leave a gunicorn stopped.
  private func endIfDone() {
    if runningWorkers == 0, !plane.restart.isBusy || isOutOfPatience { loop.stop() }
  }

  private func stop(_ name: String) {
    guard !isStopping else {
      log.warning("stopping at once", ["signal": name])
      isOutOfPatience = true
      tellWorkers(.cut)
      endIfDone()
      return
    }
    isStopping = true
    plane.isStopping = true
    log.notice("stopping", ["signal": name])
    ServiceNotification.send("STOPPING=1", log: log)
    tellWorkers(.drain)
    plane.restart.stop()
    let patience = ShutdownDeadline { [unowned self] in
      log.warning("the shutdown time-out has passed, what is still under way is cut")
      isOutOfPatience = true
      tellWorkers(.cut)
      endIfDone()
    }
    loop.setDeadline(of: patience, in: site.settings.timeouts.shutdown)
    self.patience = patience
  }

  /// False when what was found can't be used.
  private func reloadConfiguration() -> Bool {
    guard !isStopping else { return false }
    ServiceNotification.send("RELOADING=1\nMONOTONIC_USEC=\(loop.preciseNanoseconds() / 1000)", log: log)
    defer { ServiceNotification.send("READY=1", log: log) }
    guard let settings = reload() else {
      log.error("the configuration is not valid, the old one stays in force")
      plane.refusedReloads += 1
      return false
    }
    do {
      let next = try Site(settings, replacing: site, log: log)
      try accessLog.use(settings.accessLog)
      warnOfWhatNeedsRestart(settings)
      site = next
      plane.site = next
      plane.reloads += 1
      log.level = settings.logLevel
      tellWorkers(.use(next, accessLog.current))
      probePools()
      log.notice("configuration reloaded")
      return true
    } catch {
      log.error("the configuration can't be used, the old one stays in force", ["error": "\(error)"])
      plane.refusedReloads += 1
      return false
    }
  }

  private func warnOfWhatNeedsRestart(_ next: Settings) {
    let now = site.settings
    let changed = [
      ("listen", now.listen != next.listen), ("threads", now.threads != next.threads),
      ("control", now.control != next.control), ("control_group", now.controlGroup != next.controlGroup),
      ("metrics", now.metrics != next.metrics), ("user", now.runAs != next.runAs),
      ("defer_accept", now.deferAccept != next.deferAccept),
    ]
    for (name, isChanged) in changed where isChanged {
      log.warning("this setting changes only with a restart", ["setting": name])
    }
  }
}

/// When the patience with what is in flight ends.
private final class ShutdownDeadline: Timed {
  private let body: () -> Void

  init(_ body: @escaping () -> Void) { self.body = body }

  override func deadlinePassed() { body() }
}
