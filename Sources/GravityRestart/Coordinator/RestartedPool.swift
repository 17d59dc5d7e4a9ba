/// The traffic of a pool as a restart sees and changes it. Upstreams by their number in the plan.
///
/// Confined to the thread that drives the restart; nothing here blocks.
public protocol RestartedPool: AnyObject {
  /// What is wanted of an upstream; nil when the configuration has it no longer.
  func administration(of upstream: Int) -> UpstreamAdministration?

  /// What the health checks and traffic know of it.
  func liveness(of upstream: Int) -> UpstreamLiveness

  /// Who was behind it at the last new connection; nil when that can't be told.
  func incarnation(of upstream: Int) -> ServerIncarnation?

  /// The work that it has; nil as long as a choice that was made before it drained may still bring it more.
  func inFlight(of upstream: Int) -> WorkInFlight?

  /// What traffic has shown since `beginSample` of this upstream.
  func sample(of upstream: Int) -> (own: TrafficSample, others: TrafficSample)

  /// Milliseconds that the request that waits longest for an upstream has waited until now.
  var oldestWait: Int64 { get }

  /// No new work, idle connections closed.
  func drain(_ upstream: Int)

  /// Its server-sent events end, each after the next event.
  func endEventStreams(of upstream: Int)

  /// Its tunnels are asked to close: a WebSocket by a Close frame with 1001 (RFC 6455 7.4.1).
  func closeTunnels(of upstream: Int)

  /// All work of a class ends at once.
  func cut(_ work: DrainClass, of upstream: Int)

  /// It takes work again, so many per cent of its share.
  func admit(_ upstream: Int, share: Int)

  /// It takes work again, all of its share, and all that wait at once. For so many milliseconds at most, or until it is
  /// admitted or kept out, it need not answer probes.
  func resume(_ upstream: Int, excusedFor milliseconds: Int64)

  /// What it shows from now on is looked at.
  func beginSample(of upstream: Int)

  /// Into maintenance, for this reason, until people or another restart bring it back.
  func keepOut(_ upstream: Int, reason: String)

  /// A probe of the restart got a good answer.
  func noteGoodProbe(of upstream: Int)
}

/// What is wanted of an upstream, by whomever.
public enum UpstreamAdministration: Hashable, Sendable {
  case ready
  case draining
  case maintenance
  /// Kept out by a restart that failed.
  case keptOut

  /// What it means to a restart that did not say so itself.
  var standing: UpstreamStanding {
    switch self {
    case .ready: .ready
    case .draining, .maintenance: .withdrawn
    case .keptOut: .keptOut
    }
  }
}
