import Synchronization
import SystemCalls

/// One gunicorn behind the proxy, shared by all loops: who it is, its states, and what it is doing.
public final class Upstream: Sendable {
  public let settings: UpstreamSettings
  /// The address to connect to, looked up when the configuration was read.
  public let address: SocketAddress
  /// Its place in its pool.
  public let index: Int
  private let administrative = Atomic<UInt8>(AdministrativeState.ready.rawValue)
  /// A copy of `health.state` that balancing reads without a lock.
  private let operational = Atomic<UInt8>(OperationalState.up.rawValue)
  private let health = Mutex(PassiveHealth())
  private let leases = Atomic<Int>(0)
  private let transitions: @Sendable (Upstream, OperationalState) -> Void

  /// - Parameter onTransition: called on whatever thread notices it when the operational state has changed.
  public init(
    _ settings: UpstreamSettings, index: Int, address: SocketAddress,
    onTransition: @escaping @Sendable (Upstream, OperationalState) -> Void
  ) {
    self.settings = settings
    self.index = index
    self.address = address
    transitions = onTransition
  }

  public var state: UpstreamState {
    UpstreamState(
      AdministrativeState(rawValue: administrative.load(ordering: .relaxed))!,
      OperationalState(rawValue: operational.load(ordering: .relaxed))!)
  }

  /// Leases alive, over all loops and classes.
  public var inFlight: Int { leases.load(ordering: .relaxed) }

  /// Counts one piece of work from now until the lease goes.
  public func lease() -> UpstreamLease {
    leases.wrappingAdd(1, ordering: .relaxed)
    return UpstreamLease(self)
  }

  fileprivate func returnLease() {
    leases.wrappingSubtract(1, ordering: .releasing)
  }

  /// The upstream has answered.
  public func noteSuccess() {
    // The common case costs one load: only a failure takes the state away from `up`.
    guard operational.load(ordering: .relaxed) != OperationalState.up.rawValue || hasFailures else { return }
    hasFailuresFlag.store(false, ordering: .relaxed)
    update { $0.succeeded() }
  }

  /// A failure of this upstream; `now` in milliseconds of the monotonic clock.
  public func noteFailure(_ failure: UpstreamFailure, now: Int64) {
    hasFailuresFlag.store(true, ordering: .relaxed)
    update { $0.failed(failure, now: now) }
  }

  /// True for the one caller who is to try an upstream that is down.
  func takeTrial(now: Int64) -> Bool {
    let (taken, state) = health.withLock { ($0.takeTrial(now: now), $0.state) }
    operational.store(state.rawValue, ordering: .relaxed)
    return taken
  }

  private let hasFailuresFlag = Atomic<Bool>(false)
  private var hasFailures: Bool { hasFailuresFlag.load(ordering: .relaxed) }

  private func update(_ change: (inout PassiveHealth) -> Bool) {
    let (changed, state) = health.withLock { (change(&$0), $0.state) }
    operational.store(state.rawValue, ordering: .relaxed)
    if changed { transitions(self, state) }
  }
}

/// One piece of work that an upstream has. It can't be copied, and counts for as long as it lives: an upstream is
/// drained when no lease of it is alive.
public struct UpstreamLease: ~Copyable {
  public let upstream: Upstream

  fileprivate init(_ upstream: Upstream) {
    self.upstream = upstream
  }

  deinit {
    upstream.returnLease()
  }
}
