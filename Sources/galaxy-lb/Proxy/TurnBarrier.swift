import Synchronization

/// Passed by every loop in a turn of its own: what any of them had begun before, in the turn of that moment, is over
/// then.
final class TurnBarrier: Sendable {
  private let missing: Atomic<Int>

  /// - Parameter loops: how many have to pass.
  init(loops: Int) { missing = Atomic(loops) }

  /// Called once by each loop.
  func pass() { missing.wrappingSubtract(1, ordering: .acquiringAndReleasing) }

  /// True when all loops have passed.
  var isPassed: Bool { missing.load(ordering: .acquiring) <= 0 }
}
