/// What is known of all upstreams of the pool apart from the restart's own doing.
struct PoolAvailability: Hashable, Sendable {
  private(set) var standing: [UpstreamStanding]
  private(set) var liveness: [UpstreamLiveness]

  init(_ upstreams: [PlannedUpstream]) {
    standing = upstreams.map(\.standing)
    liveness = upstreams.map(\.liveness)
  }

  mutating func note(_ event: WalkEvent, of upstream: Int) {
    switch event {
    case .liveness(let seen): liveness[upstream] = seen
    case .standing(let wanted): standing[upstream] = wanted
    case .inFlight, .handedOver, .restartDone, .restartFailed, .processFailed, .probed, .sampled,
      .incarnationChanged, .requestFailed:
      break
    }
  }

  /// The restart itself has made it ready, or keeps it out.
  mutating func set(_ wanted: UpstreamStanding, of upstream: Int) { standing[upstream] = wanted }

  /// True when it would serve if the restart left it alone.
  func isEligible(_ upstream: Int) -> Bool { standing[upstream] == .ready && liveness[upstream] == .up }
}
