import Synchronization

/// How many leases of an upstream are alive, counted by each loop in cache lines of its own: a number that several loops
/// change is in none of their processors' caches when it is needed.
final class LeaseCounts: Sendable {
  // Sendable because it is never reassigned, and what it points to are atomics.
  private nonisolated(unsafe) let lines: UnsafeMutablePointer<Line>
  private let loops: Int

  /// One loop's count.
  struct Line: ~Copyable {
    fileprivate let count = Atomic<Int>(0)
    private let padding = CacheLinePadding()

    var current: Int { count.load(ordering: .relaxed) }
  }

  init(loops: Int) {
    self.loops = loops
    lines = .allocate(capacity: loops)
    for loop in 0..<loops { (lines + loop).initialize(to: Line()) }
  }

  deinit {
    lines.deinitialize(count: loops)
    lines.deallocate()
  }

  /// What all loops have. Not one moment's number while several of them change it; but 0 only if none has one, as long as
  /// none begins one.
  var all: Int { (0..<loops).reduce(0) { $0 + lines[$1].current } }

  /// What one loop has, in the memory of this object.
  func line(of loop: Int) -> UnsafePointer<Line> {
    precondition(loop >= 0 && loop < loops)
    return UnsafePointer(lines + loop)
  }

  // Whoever looks after a change whether somebody waits must not do so before the change is seen by those who join: each
  // of the two does first its part and then looks at the other's.

  func begin(loop: Int) {
    precondition(loop >= 0 && loop < loops)
    lines[loop].count.wrappingAdd(1, ordering: .sequentiallyConsistent)
  }

  func end(loop: Int) {
    precondition(loop >= 0 && loop < loops)
    lines[loop].count.wrappingSubtract(1, ordering: .sequentiallyConsistent)
  }
}
