import EventLoop
import SystemCalls
import UpstreamPool

/// How an exchange comes to an upstream: at once, after a while, or not at all.
extension Exchange {
  /// Milliseconds between two attempts at upstreams whose backlogs are all full.
  private static let busyPause: Int64 = 10
  /// A request that must not be sent twice goes only on a connection that was used so recently that gunicorn, which
  /// closes after 2 s, can't have ended it meanwhile.
  private static let youngConnection: Int64 = 1_000

  /// Sends a new request on its way.
  func dispatch() {
    if state.attempts == 0 { pool.selector.noteRequest() }
    // Those that wait were here first.
    if heldSince == 0, pool.pool.line.isOccupied {
      waitInLine()
    } else {
      chooseUpstream()
    }
  }

  private func chooseUpstream() {
    if attempt(.eligible) { return }
    if sawBusyUpstream {
      waitForBusyUpstream()
    } else if mayWait {
      waitInLine()
    } else if !attempt(.anything) {
      if sawBusyUpstream { waitForBusyUpstream() } else { giveUp() }
    }
  }

  /// Tries the upstreams within `scope`, one after the other. True when the request has gone its way.
  private func attempt(_ scope: PoolSelector.Scope) -> Bool {
    while let chosen = pool.selector.choose(scope, excluding: tried, now: worker.loop.now) {
      if let kept = takeKeptConnection(to: chosen) {
        attach(kept, isReused: true)
        return true
      }
      if connect(to: chosen, scope) { return true }
    }
    return false
  }

  private func takeKeptConnection(to chosen: Upstream) -> UpstreamConnection? {
    guard !needsFreshConnection else { return nil }
    return pool.takeKept(
      chosen.index, generation: chosen.generation,
      maximumIdle: state.isIdempotent ? .max : Self.youngConnection, now: worker.loop.now)
  }

  /// Makes a connection. True when the request has gone its way; otherwise this upstream is out for it.
  private func connect(to chosen: Upstream, _ scope: PoolSelector.Scope) -> Bool {
    let now = worker.loop.now
    switch SystemCalls.connect(to: chosen.address) {
    case .connected(let descriptor):
      // Another process than before has to show first that it answers; nothing was sent to it yet.
      if chosen.noteConnection(descriptor, now: now), scope == .eligible, !chosen.state.isEligible {
        _ = Descriptor(owning: descriptor)
        return false
      }
      attach(
        UpstreamConnection(worker, pool, chosen, owning: descriptor, isConnecting: false), isReused: false)
      return true
    case .inProgress(let descriptor):
      attach(
        UpstreamConnection(worker, pool, chosen, owning: descriptor, isConnecting: true), isReused: false)
      return true
    case .busy:
      sawBusyUpstream = true
      tried.insert(chosen.index)
    case .failed(let error) where error.isExhaustion:
      worker.log.error("no connection to an upstream can be made", ["error": error])
      answer(status: 503, .resourcesExhausted)
      return true
    case .failed(let error):
      worker.log.debug("upstream unreachable", ["upstream": chosen.settings.name, "error": error])
      pool.statistics(chosen).note(.unreachable)
      chosen.noteFailure(.unreachable, now: now)
      lastFailure = .unreachable
      tried.insert(chosen.index)
    }
    return false
  }

  private func attach(_ connection: UpstreamConnection, isReused: Bool) {
    let chosen = connection.upstream
    let statistics = pool.statistics(chosen)
    statistics.requests.add()
    if isReused { statistics.reuses.add() } else { statistics.connects.add() }
    lease = chosen.lease(trafficClass, loop: worker.number)
    upstream = connection
    record.upstreamName = chosen.settings.name
    record.sentAt = worker.loop.nowNanoseconds
    connection.carry(self, isReused: isReused)
  }

  private func giveUp() {
    if let lastFailure {
      answer(status: lastFailure == .connectTimedOut ? 504 : 502, .upstreamFailed(lastFailure))
    } else {
      answer(status: 503, .noUpstream)
    }
  }

  // MARK: Full backlogs

  /// All backlogs are full. That passes quickly, so the request waits within the connect time-out.
  private func waitForBusyUpstream() {
    let loop = worker.loop
    if connectingSince == 0 { connectingSince = loop.now }
    guard loop.now - connectingSince < worker.site.settings.timeouts.connect else {
      answer(status: 503, .upstreamFailed(.busy))
      return
    }
    loop.setDeadline(of: self, in: Self.busyPause)
  }

  /// The pause after full backlogs, or the time of waiting in line, is over.
  func waitIsOver() {
    if ticket != nil {
      leaveLine()
      answer(status: 503, .holdExpired)
    } else {
      sawBusyUpstream = false
      tried = UpstreamSet()
      chooseUpstream()
    }
  }

  // MARK: Waiting in line

  /// Whether there will be an upstream for it: one that is full now, or one that is expected back.
  private var mayWait: Bool {
    let upstreams = pool.pool.upstreams
    if upstreams.contains(where: { $0.state.isEligible && !tried.contains($0.index) }) { return true }
    if pool.pool.hasEligible { return false }
    return pool.pool.settings.hold.time > 0 && pool.pool.isExpectedBack(now: worker.loop.now)
  }

  /// The longest wait: as long as requests are held, and at least as long as a connection may take.
  private var longestWait: Int64 {
    max(pool.pool.settings.hold.time, worker.site.settings.timeouts.connect)
  }

  /// Waits, its body unread, until an upstream has room for it.
  private func waitInLine() {
    let loop = worker.loop
    if heldSince == 0 { heldSince = loop.now }
    let left = longestWait - (loop.now - heldSince)
    guard left > 0 else {
      answer(status: 503, .holdExpired)
      return
    }
    guard let ticket = pool.pool.line.join(owner: worker.number, bytes: request.count + client.inbound.count)
    else {
      answer(status: 503, .holdRefused)
      return
    }
    self.ticket = ticket
    pool.hold(self, ticket)
    loop.setDeadline(of: self, in: left)
    // An upstream may have become free between the last look and the joining.
    pool.pool.admitWaiting()
  }

  /// Gives its place up, if it has one.
  func leaveLine() {
    guard let ticket else { return }
    self.ticket = nil
    pool.letGo(ticket)
    // When its turn has come at this very moment, the message that says so finds nobody, and is answered there.
    _ = pool.pool.line.leave(ticket)
    noteHeld()
  }

  /// Its turn has come.
  func turnHasCome() {
    ticket = nil
    worker.loop.remove(self)
    let line = pool.pool.line
    noteHeld()
    sawBusyUpstream = false
    tried = UpstreamSet()
    chooseUpstream()
    line.arrive(waited: worker.loop.now - heldSince)
  }

  private func noteHeld() {
    record.held = (worker.loop.now - heldSince) * 1_000_000
  }

  /// While it waits: tries an upstream that nobody has asked for a while, if there is one. Only traffic can find out
  /// about those that are not probed.
  func tryWhileWaiting() {
    let now = worker.loop.now
    guard let chosen = pool.selector.chooseTrial(excluding: UpstreamSet(), now: now) else { return }
    switch SystemCalls.connect(to: chosen.address) {
    case .connected(let descriptor):
      _ = chosen.noteConnection(descriptor, now: now)
      proceed(UpstreamConnection(worker, pool, chosen, owning: descriptor, isConnecting: false))
    case .inProgress(let descriptor):
      proceed(UpstreamConnection(worker, pool, chosen, owning: descriptor, isConnecting: true))
    case .busy: break
    case .failed: chosen.noteFailure(.unreachable, now: now)
    }
  }

  private func proceed(_ connection: UpstreamConnection) {
    leaveLine()
    worker.loop.remove(self)
    attach(connection, isReused: false)
  }
}
