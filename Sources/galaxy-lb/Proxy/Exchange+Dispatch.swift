import EventLoop
import SystemCalls
import UpstreamPool

/// Carries out what `Placement` decides: connects, waits, or answers that there is no upstream.
extension Exchange {
  /// A request that must not be sent twice goes only on a connection that was used so recently that gunicorn, which
  /// closes after 2 s, can't have ended it meanwhile.
  private static let youngConnection: Int64 = 1_000

  /// Sends the request on its way.
  func dispatch() {
    let connectTimeout = worker.site.settings.timeouts.connect
    while true {
      switch placement.next(&pool.selector, key: key, now: worker.loop.now, connectTimeout: connectTimeout) {
      case .use(let chosen):
        // Counted before there is a connection, so that all loops together keep to its limit. If another loop was
        // faster, it is full at the next look.
        lease = chosen.leaseIfRoom(trafficClass)
        guard lease != nil else { continue }
        if reach(chosen) { return }
        lease = nil
      case .waitInLine(let milliseconds):
        waitInLine(atMost: milliseconds)
        return
      case .pause(let milliseconds):
        worker.loop.setDeadline(of: self, in: milliseconds)
        return
      case .giveUp(let reason):
        giveUp(reason)
        return
      }
    }
  }

  private func giveUp(_ reason: Placement.GiveUp) {
    switch reason {
    case .nothingEligible: answer(status: 503, .noUpstream)
    case .waitedTooLong: answer(status: 503, .holdExpired)
    case .failed(.busy): answer(status: 503, .upstreamFailed(.busy))
    case .failed(.connectTimedOut): answer(status: 504, .upstreamFailed(.connectTimedOut))
    case .failed(let failure): answer(status: 502, .upstreamFailed(failure))
    }
  }

  // MARK: Connections

  /// Sends it on a kept or a new connection to this upstream. True when the request has gone its way.
  private func reach(_ local: LocalUpstream) -> Bool {
    if let kept = takeKeptConnection(to: local) {
      attach(kept, isReused: true)
      return true
    }
    let now = worker.loop.now
    let chosen = local.upstream
    switch SystemCalls.connect(to: chosen.address) {
    case .connected(let descriptor):
      let wasEligible = chosen.state.isEligible
      // Another process than before has to show first that it answers; nothing was sent to it yet.
      if chosen.noteConnection(descriptor, now: now), wasEligible, !chosen.state.isEligible {
        _ = Descriptor(owning: descriptor)
        return false
      }
      attach(connection(to: local, owning: descriptor, isConnecting: false), isReused: false)
      return true
    case .inProgress(let descriptor):
      attach(connection(to: local, owning: descriptor, isConnecting: true), isReused: false)
      return true
    case .busy: placement.wasBusy(chosen)
    case .failed(let error) where error.isExhaustion:
      worker.log.error("no connection to an upstream can be made", ["error": error])
      lease = nil
      answer(status: 503, .resourcesExhausted)
      return true
    case .failed(let error):
      worker.log.debug("upstream unreachable", ["upstream": chosen.settings.name, "error": error])
      local.statistics.note(.unreachable)
      chosen.noteFailure(.unreachable, now: now)
      placement.failed(chosen, .unreachable)
    }
    return false
  }

  private func connection(
    to local: LocalUpstream, owning descriptor: Int32, isConnecting: Bool
  ) -> UpstreamConnection {
    UpstreamConnection(worker, pool, local, owning: descriptor, isConnecting: isConnecting)
  }

  private func takeKeptConnection(to chosen: LocalUpstream) -> UpstreamConnection? {
    guard !needsFreshConnection else { return nil }
    return pool.takeKept(
      chosen.index, generation: chosen.upstream.generation,
      maximumIdle: state.isIdempotent ? .max : Self.youngConnection, now: worker.loop.now)
  }

  /// Sends the request on a connection to the upstream that `lease` is of.
  private func attach(_ connection: UpstreamConnection, isReused: Bool) {
    connection.statistics.requests.add()
    if isReused { connection.statistics.reuses.add() } else { connection.statistics.connects.add() }
    upstream = connection
    if lastPlace != nil { record.retries += 1 }
    lastPlace = connection.upstream.index
    record.sentAt = worker.loop.nowNanoseconds
    connection.carry(self, isReused: isReused)
  }

  // MARK: Waiting

  /// The pause after full backlogs, or the time of waiting in line, is over.
  func waitIsOver() {
    if ticket != nil { leaveLine() } else { placement.pauseIsOver() }
    dispatch()
  }

  /// Waits, its body unread, until an upstream has room for it.
  private func waitInLine(atMost milliseconds: Int64) {
    let joined = pool.pool.line.join(
      owner: worker.number, bytes: request.count + client.inbound.count,
      since: placement.waitingSince ?? worker.loop.now)
    guard let ticket = joined else {
      answer(status: 503, .holdRefused)
      return
    }
    self.ticket = ticket
    pool.hold(self, ticket)
    worker.loop.setDeadline(of: self, in: milliseconds)
    // An upstream may have become free between the last look and the joining.
    pool.admitWaiting()
  }

  /// Gives its place up, if it has one.
  func leaveLine() {
    guard let ticket else { return }
    self.ticket = nil
    pool.letGo(ticket)
    // When its turn has come at this very moment, the message that says so finds nobody, and is answered there.
    _ = pool.pool.line.leave(ticket)
    noteWaited()
  }

  /// Its turn has come.
  func turnHasCome() {
    let waited = noteWaited()
    let pool = self.pool.pool
    ticket = nil
    worker.loop.remove(self)
    placement.turnHasCome()
    dispatch()
    // Only now, when its lease counts, is it no longer on its way.
    pool.line.arrive(waited: waited)
    pool.admitWaiting()
  }

  /// Writes down, and returns, for how many milliseconds it has waited.
  @discardableResult
  private func noteWaited() -> Int64 {
    guard let since = placement.waitingSince else { return 0 }
    let waited = worker.loop.now - since
    record.held = waited * 1_000_000
    return waited
  }

  /// While it waits: tries an upstream that nobody has asked for a while, if there is one. Only traffic can find out
  /// about those that are not probed.
  func tryWhileWaiting() {
    let now = worker.loop.now
    guard let local = pool.selector.chooseTrial(excluding: UpstreamSet(), now: now) else { return }
    lease = local.leaseIfRoom(trafficClass)
    guard lease != nil else { return }
    let chosen = local.upstream
    switch SystemCalls.connect(to: chosen.address) {
    case .connected(let descriptor):
      _ = chosen.noteConnection(descriptor, now: now)
      proceed(connection(to: local, owning: descriptor, isConnecting: false))
    case .inProgress(let descriptor):
      proceed(connection(to: local, owning: descriptor, isConnecting: true))
    case .busy: lease = nil
    case .failed:
      lease = nil
      chosen.noteFailure(.unreachable, now: now)
    }
  }

  private func proceed(_ connection: UpstreamConnection) {
    leaveLine()
    worker.loop.remove(self)
    attach(connection, isReused: false)
  }
}
