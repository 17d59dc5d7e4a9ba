import SystemCalls

/// Upstreams that serve the same Galaxy, shared by all loops.
public final class Pool: Sendable {
  public let settings: PoolSettings
  public let upstreams: [Upstream]
  /// Requests that wait for one of them.
  public let line: WaitingLine
  /// True when it is said of one of them how many requests it can have.
  private let isLimited: Bool

  /// - Precondition: at least one and at most `UpstreamSet.capacity` upstreams, each with its address.
  public init(_ settings: PoolSettings, upstreams: [Upstream]) {
    precondition(!upstreams.isEmpty && upstreams.count <= UpstreamSet.capacity)
    self.settings = settings
    self.upstreams = upstreams
    line = WaitingLine(settings.hold)
    isLimited = upstreams.contains { $0.settings.maximumConnections != nil }
  }

  public var name: String { settings.name }

  /// Who may be chosen, from the best to the last resort.
  enum Rank: CaseIterable {
    case eligible
    case eligibleBackup
    case lastResort
  }

  /// True when some upstream takes new work, now or as soon as it has less to do.
  public var hasEligible: Bool { upstreams.contains { $0.state.isEligible } }

  /// For how many milliseconds the request that waits longest has waited now; nil when nobody waits.
  ///
  /// - Parameter now: milliseconds of the monotonic clock.
  public func oldestWait(now: Int64) -> Int64? { line.oldestWait(now: now) }

  /// What users are told while nothing is eligible: the reason of a maintenance.
  public var notice: String? {
    upstreams.lazy.filter { $0.state.administrative == .maintenance }.compactMap(\.administrativeReason).first
  }

  /// True when nothing is eligible but something is expected back: it is being drained for a restart, it starts, or
  /// it has not been down for longer than requests are held.
  public func isExpectedBack(now: Int64) -> Bool {
    upstreams.contains { upstream in
      let state = upstream.state
      switch (state.administrative, state.operational) {
      case (.maintenance, _): return false
      case (.draining, _): return true
      case (.ready, .up): return true
      case (.ready, _): return (upstream.timeDown(now: now) ?? 0) < settings.hold.time
      }
    }
  }

  /// True when people have taken all of it out of service: nobody needs to wait.
  public var isInMaintenance: Bool { upstreams.allSatisfy { $0.state.administrative == .maintenance } }

  /// Calls those that wait, as many as there is room for. To be called when an upstream has become eligible, or has
  /// less to do.
  ///
  /// - Parameter now: to be given a few times a second while somebody waits, in milliseconds of the monotonic clock:
  ///   work that takes long must not keep those that wait, see `AdmissionPace`.
  public func admitWaiting(now: Int64? = nil) {
    guard line.isOccupied else { return }
    line.admit(now: now) {
      var room = WaitingLine.Room()
      for upstream in upstreams where upstream.state.isEligible {
        room.upstreams += 1
        if let free = upstream.room {
          room.atOnce += free
          room.atAll += free
        } else {
          room.atOnce += max(0, upstream.admissionWindow - upstream.unanswered)
          room.atAll += Self.unlimited
        }
      }
      return room
    }
  }

  /// Whether a request that comes now may go its way though others wait. Where it is said how many an upstream can have,
  /// nobody passes: a place that is free belongs to the one that has waited longest.
  func letsPass() -> Bool { !isLimited && line.letPass() }

  /// Calls all that wait, and whoever comes until nobody does, be it too many at once: for an upstream that was kept
  /// from them for a moment only.
  public func admitEverybody() {
    line.open()
    admitWaiting()
  }

  /// More than there can be requests, and so little that sums of it are numbers.
  private static let unlimited = 1 << 32
}
