import EventLoop
import Synchronization
import SystemCalls

/// One gunicorn behind the proxy, shared by all loops: who it is, its states, and what it is doing.
public final class Upstream: Sendable {
  public let settings: UpstreamSettings
  /// The address to connect to, looked up when the configuration was read.
  public let address: SocketAddress
  /// Its place in its pool.
  public let index: Int
  /// What each loop counts, by the loop's number.
  public let statistics: [UpstreamStatistics]

  let ledger: UpstreamLedger
  /// A copy of `Knowledge.health.state` that balancing reads without a lock.
  private let operational: Atomic<UInt8>
  private let silenceExcusedUntil = Atomic<Int64>(0)
  /// True while the next success or failure could change something.
  private let isUnsettled: Atomic<Bool>
  private let weightInForce: Atomic<Int>
  /// When it came back, for `slow_start`; 0 for never.
  private let cameBackAt = Atomic<Int64>(0)
  private let generationInForce = Atomic<Int>(0)
  private let processInForce: Atomic<Int32>
  private let knowledge: Mutex<Knowledge>
  private let observer: @Sendable (Upstream, UpstreamEvent) -> Void

  /// What is known under the lock.
  private struct Knowledge {
    var health: UpstreamHealth
    var incarnation: Incarnation?
    var transitions = 0
    /// When the operational state became what it is, in milliseconds of the monotonic clock.
    var since: Int64
  }

  /// - Parameters:
  ///   - loops: the number of loops that will count.
  ///   - now: milliseconds of the monotonic clock.
  ///   - predecessor: the same gunicorn in the configuration before a reload. Its administrative state, its work, its
  ///     counters and what is known about its health go on; so does a weight that was set meanwhile, unless the
  ///     configuration now says another one than before.
  ///   - observer: called on whatever thread notices it when something about this upstream has changed.
  public init(
    _ settings: UpstreamSettings, health: HealthSettings, index: Int, address: SocketAddress, loops: Int,
    now: Int64, replacing predecessor: Upstream? = nil,
    observer: @escaping @Sendable (Upstream, UpstreamEvent) -> Void
  ) {
    self.settings = settings
    self.index = index
    self.address = address
    self.observer = observer
    let ledger = predecessor?.ledger ?? UpstreamLedger(loops: loops, now: now)
    self.ledger = ledger
    statistics = ledger.statistics
    let before = predecessor?.knowledge.withLock { $0 }
    var knowledge = before ?? Knowledge(health: UpstreamHealth(health, now: now), since: now)
    knowledge.health.adopt(health)
    let keepsWeight = predecessor?.settings.weight == settings.weight
    weightInForce = Atomic(keepsWeight ? predecessor?.weight ?? settings.weight : settings.weight)
    operational = Atomic(knowledge.health.state.rawValue)
    isUnsettled = Atomic(knowledge.health.state != .up || knowledge.health.isSuspicious)
    processInForce = Atomic(knowledge.incarnation?.process ?? 0)
    self.knowledge = Mutex(knowledge)
  }

  // MARK: State

  public var state: UpstreamState {
    UpstreamState(
      ledger.state, OperationalState(rawValue: operational.load(ordering: .relaxed))!)
  }

  /// When it may be chosen; nil for not at all.
  var rank: Pool.Rank? {
    let state = state
    if state.isEligible { return settings.backup ? .eligibleBackup : .eligible }
    return state.isLastResort ? .lastResort : nil
  }

  /// Says what people or a coordinator want of it. The reason is shown to users while nothing else serves.
  ///
  /// A loop that is choosing an upstream at this very moment may still begin one lease after this has returned; see
  /// `UpstreamLease`.
  public func setAdministrative(
    _ state: AdministrativeState, reason: String? = nil, now: Int64 = EventLoop.monotonicMilliseconds()
  ) {
    guard ledger.set(state, reason: reason, now: now) else { return }
    Standing.noteChange()
    observer(self, .administrative(state))
  }

  /// Why it is draining or in maintenance, in the words of whoever said so.
  public var administrativeReason: String? { ledger.reason }

  /// Since when it has its administrative state, in milliseconds of the monotonic clock.
  public var administrativeSince: Int64 { ledger.since }

  /// Since when it has its operational state, in milliseconds of the monotonic clock.
  public var operationalSince: Int64 { knowledge.withLock { $0.since } }

  /// Its share beside the others; `settings.weight` until somebody changes it.
  public var weight: Int {
    get { weightInForce.load(ordering: .relaxed) }
    set {
      weightInForce.store(newValue, ordering: .relaxed)
      Standing.noteChange()
    }
  }

  /// How much of what its weight would bring it gets, in per cent, 1 to 100: all of it, until a restart wants to see
  /// first how it does. It has nothing to do with states and weight, and goes on over a reload.
  public var share: Int {
    get { ledger.share.load(ordering: .relaxed) }
    set {
      ledger.share.store(min(max(newValue, 1), Self.wholeShare), ordering: .relaxed)
      Standing.noteChange()
    }
  }

  /// All of its share.
  public static let wholeShare = 100

  var hasPartOfShare: Bool { share < Self.wholeShare }

  /// True when both are the same gunicorn, in configurations before and after a reload: they share their
  /// administrative state, their work and their counters.
  public func isSame(as other: Upstream) -> Bool { ledger === other.ledger }

  /// How often the operational state has changed.
  public var transitions: Int { knowledge.withLock { $0.transitions } }

  /// Milliseconds since it went down, or began to start; nil while it is up.
  public func timeDown(now: Int64) -> Int64? {
    knowledge.withLock { $0.health.downSince.map { now - $0 } }
  }

  /// The weight that balancing uses: less than `weight` for a while after it came back, and never more than `share` of
  /// it.
  ///
  /// - Parameters:
  ///   - slowStart: milliseconds until it has its full share.
  ///   - now: milliseconds of the monotonic clock.
  func balancingWeight(slowStart: Int64, now: Int64) -> Int {
    let full = weight * Self.weightScale
    let most = max(full * share / Self.wholeShare, 1)
    guard slowStart > 0 else { return most }
    let since = cameBackAt.load(ordering: .relaxed)
    guard since != 0, now - since < slowStart else { return most }
    return min(max(full * Int(max(now - since, 0)) / Int(slowStart), full / 10, 1), most)
  }

  /// Weights are multiplied by this, so that a part of a small weight is still a number.
  static let weightScale = 100

  // MARK: Work

  /// Leases alive, over all loops and classes.
  public var inFlight: Int { ledger.leases.all }

  /// Leases of one class that are alive, over all loops. Not one moment's number while several loops change it.
  func inFlight(_ traffic: TrafficClass) -> Int { statistics.reduce(0) { $0 + $1.inFlight(traffic) } }

  /// What it has to do and has not begun to answer. What has had its answer and stays open is not in it: downloads, event
  /// streams, tunnels.
  var unanswered: Int { inFlight(.ordinary) + inFlight(.upload) }

  /// So many requests at a time are at work in it while others wait, unless `maximumConnections` says how many it can
  /// have; from then on each answer lets the next one go.
  var admissionWindow: Int { ledger.admission.withLock { $0.size } }

  /// To be called at a regular pace, so that it is known what this upstream usually has to do.
  func noteUsualWork() {
    guard state.isEligible else { return }
    let unanswered = unanswered
    ledger.admission.withLock { $0.note(atWork: unanswered) }
  }

  /// How much more work it may have by `maximumConnections`; nil when nothing is said about that.
  var room: Int? {
    settings.maximumConnections.map { max(0, $0 - ledger.placesTaken.load(ordering: .relaxed)) }
  }

  /// True while it may have more work.
  public var hasRoom: Bool { room != 0 }

  // MARK: Health

  /// The upstream has answered traffic.
  ///
  /// - Parameters:
  ///   - generation: that of the connection; nil for the one in force. An earlier one says nothing: it is the answer of
  ///     who listened there before.
  ///   - now: milliseconds of the monotonic clock.
  public func noteSuccess(generation: Int? = nil, now: Int64) {
    // The common case costs one load: only a failure unsettles it.
    guard isUnsettled.load(ordering: .relaxed), isInForce(generation) else { return }
    update(now) { $0.trafficSucceeded(now: now) }
  }

  /// A failure of this upstream; the parameters are those of `noteSuccess`.
  public func noteFailure(_ failure: UpstreamFailure, generation: Int? = nil, now: Int64) {
    guard isInForce(generation) else { return }
    update(now) { $0.trafficFailed(failure, now: now) }
  }

  private func isInForce(_ generation: Int?) -> Bool {
    generation == nil || generation == self.generation
  }

  /// A probe was answered well.
  public func noteGoodProbe(now: Int64) {
    update(now) { $0.probeSucceeded(now: now) }
  }

  /// A probe found nobody, or got no good answer.
  public func noteBadProbe(isUnreachable: Bool, now: Int64) {
    guard isUnreachable || now >= silenceExcusedUntil.load(ordering: .relaxed) else { return }
    update(now) { $0.probeFailed(isUnreachable ? .unreachable : .noGoodAnswer, now: now) }
  }

  /// Until then a probe without a good answer says nothing, because its workers are being replaced and their socket keeps
  /// what comes for them. In milliseconds of the monotonic clock; what is over, such as 0, ends it.
  public func excuseSilence(until moment: Int64) { silenceExcusedUntil.store(moment, ordering: .relaxed) }

  /// True for the one caller who is to try an upstream that is down and not probed.
  func takeTrial(now: Int64) -> Bool {
    var isTaken = false
    update(now) { isTaken = $0.takeTrial(now: now) }
    return isTaken
  }

  private func update(_ now: Int64, _ change: (inout UpstreamHealth) -> Void) {
    let (before, after) = knowledge.withLock { knowledge in
      let before = knowledge.health.state
      change(&knowledge.health)
      let after = knowledge.health.state
      if before != after {
        knowledge.transitions += 1
        knowledge.since = now
      }
      isUnsettled.store(after != .up || knowledge.health.isSuspicious, ordering: .relaxed)
      if after == .up, before != .up { cameBackAt.store(now, ordering: .relaxed) }
      operational.store(after.rawValue, ordering: .relaxed)
      // While it is locked: another loop that finds this state here must not choose by the one before.
      if before != after { Standing.noteChange() }
      return (before, after)
    }
    if before != after { observer(self, .operational(after)) }
  }

  // MARK: The socket's file

  /// The file of its unix socket was removed or moved away: nobody can connect, which counts as a connection that was
  /// refused, and connections that are kept are not used again.
  func noteSocketRemoved(now: Int64) {
    generationInForce.wrappingAdd(1, ordering: .relaxed)
    // The next one is another file, even if the same process makes it.
    processInForce.store(0, ordering: .relaxed)
    // Where nobody could connect before it is no news.
    if state.operational != .down { observer(self, .socketRemoved) }
    update(now) { $0.socketRemoved(now: now) }
  }

  /// There is a file of its unix socket again, or another one.
  func noteSocketMade(now: Int64) {
    observer(self, .socketMade)
    update(now) { $0.socketMade(now: now) }
  }

  // MARK: Incarnations

  /// Rises with every new incarnation, and when its socket is removed: connections of an older one are not used again.
  public var generation: Int { generationInForce.load(ordering: .relaxed) }

  /// Connections that were made until now are not used again.
  public func retireConnections() { generationInForce.wrappingAdd(1, ordering: .relaxed) }

  /// The process that was seen last behind the path; nil for TCP, or before the first connection.
  public var incarnation: Incarnation? { knowledge.withLock { $0.incarnation } }

  /// Looks who is at the other end of a new connection. True when it is another process than before; what was known
  /// about that one is forgotten then.
  public func noteConnection(_ socket: Int32, now: Int64) -> Bool {
    guard case .unix(let path) = settings.endpoint, let peer = PeerCredentials(of: socket) else {
      return false
    }
    if peer.process == processInForce.load(ordering: .relaxed) { return false }
    guard let seen = Incarnation(of: socket, path: path) else { return false }
    return noteIncarnation(seen, now: now)
  }

  private func noteIncarnation(_ seen: Incarnation, now: Int64) -> Bool {
    let isAnother = knowledge.withLock { knowledge in
      let known = knowledge.incarnation
      knowledge.incarnation = seen
      processInForce.store(seen.process, ordering: .relaxed)
      return known.map { !$0.isSameListener(as: seen) } ?? false
    }
    guard isAnother else { return false }
    generationInForce.wrappingAdd(1, ordering: .relaxed)
    update(now) { $0.incarnationChanged(now: now) }
    observer(self, .incarnation(seen))
    return true
  }
}
