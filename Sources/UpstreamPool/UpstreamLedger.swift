import Synchronization

/// What is wanted of an upstream, and what it has to do, over all configurations in which it keeps its name and its
/// address: a reload makes a new `Upstream` of it, and what was drained must stay drained, and work that began before
/// must still count.
final class UpstreamLedger: Sendable {
  /// What each loop counts, by the loop's number.
  let statistics: [UpstreamStatistics]
  /// Leases alive, over all classes.
  let leases: LeaseCounts
  /// Those among them that began where `maximumConnections` was set, counted in one place, so that all loops together
  /// keep to it. What began before a reload has set it is not among them.
  let placesTaken = Atomic<Int>(0)
  /// Per cent of its traffic that it gets.
  let share = Atomic<Int>(Upstream.wholeShare)
  /// How many it gets at a time from those that wait.
  let admission = Mutex(AdmissionWindow())
  private let administrative = Atomic<UInt8>(AdministrativeState.ready.rawValue)
  private let wish: Mutex<Wish>

  private struct Wish {
    var reason: String?
    var since: Int64
  }

  init(loops: Int, now: Int64) {
    statistics = (0..<loops).map { _ in UpstreamStatistics() }
    leases = LeaseCounts(loops: loops)
    wish = Mutex(Wish(since: now))
  }

  var state: AdministrativeState { AdministrativeState(rawValue: administrative.load(ordering: .relaxed))! }
  var reason: String? { wish.withLock { $0.reason } }
  /// Milliseconds of the monotonic clock.
  var since: Int64 { wish.withLock { $0.since } }

  /// False when the state was this one already.
  func set(_ state: AdministrativeState, reason: String?, now: Int64) -> Bool {
    wish.withLock {
      $0.reason = reason
      guard administrative.exchange(state.rawValue, ordering: .relaxed) != state.rawValue else {
        return false
      }
      $0.since = now
      return true
    }
  }
}
