import Synchronization

/// A number that one thread writes and others read: an add is a plain load and store.
public struct SingleWriterCounter: ~Copyable, Sendable {
  private let value = Atomic<Int>(0)

  public init() {}

  public var current: Int { value.load(ordering: .relaxed) }

  /// To be called by the writing thread only.
  public func add(_ amount: Int = 1) {
    value.store(value.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }
}

/// Keeps what is in front of it and what is behind it in different cache lines, also where a processor fetches them in
/// pairs: what one thread writes all the time must not take from another's caches what that one needs.
public struct CacheLinePadding: Sendable {
  private let bytes = InlineArray<16, UInt64>(repeating: 0)

  public init() {}
}

/// What one loop counts about one upstream. Written by that loop alone.
public final class UpstreamStatistics: Sendable {
  private let front = CacheLinePadding()
  /// Requests sent, retries included.
  public let requests = SingleWriterCounter()
  /// Connections made, and requests that found one kept.
  public let connects = SingleWriterCounter()
  public let reuses = SingleWriterCounter()
  /// Requests sent again after this upstream failed them.
  public let retries = SingleWriterCounter()
  /// Failures by `UpstreamFailure.rawValue`.
  private let failures: CounterArray
  /// Answers by the hundreds of their status, 0 to 9.
  private let statuses: CounterArray
  /// Requests in flight by `TrafficClass.rawValue`.
  private let inFlight: CounterArray
  /// Answers by the time to their first byte, see `firstByteBounds`; the last one for all that took longer.
  private let firstBytes: CounterArray
  /// The sum of these times, in microseconds.
  public let firstByteSum = SingleWriterCounter()
  private let back = CacheLinePadding()

  /// Upper bounds of the classes of time to first byte, in milliseconds.
  public static let firstByteBounds: [Int] = [
    1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000,
  ]

  public init() {
    failures = CounterArray(UpstreamFailure.allCases.count)
    statuses = CounterArray(10)
    inFlight = CounterArray(TrafficClass.allCases.count)
    firstBytes = CounterArray(Self.firstByteBounds.count + 1)
  }

  public func note(_ failure: UpstreamFailure) { failures.add(at: Int(failure.rawValue), 1) }
  public func count(of failure: UpstreamFailure) -> Int { failures[Int(failure.rawValue)] }

  /// A final response's head was received, so many nanoseconds after the request was sent.
  public func noteAnswer(status: Int, firstByte nanoseconds: Int64) {
    statuses.add(at: min(status / 100, 9), 1)
    let milliseconds = Int(nanoseconds / 1_000_000)
    var place = 0
    while place < Self.firstByteBounds.count, milliseconds >= Self.firstByteBounds[place] { place += 1 }
    firstBytes.add(at: place, 1)
    firstByteSum.add(Int(nanoseconds / 1000))
  }

  /// Answers whose status has this first digit.
  public func answers(hundreds: Int) -> Int { statuses[hundreds] }
  /// Answers in a class of `firstByteBounds`, or beyond the last.
  public func answers(firstByteClass place: Int) -> Int { firstBytes[place] }

  public func begin(_ traffic: TrafficClass) { inFlight.add(at: Int(traffic.rawValue), 1) }
  public func end(_ traffic: TrafficClass) { inFlight.add(at: Int(traffic.rawValue), -1) }
  public func inFlight(_ traffic: TrafficClass) -> Int { inFlight[Int(traffic.rawValue)] }
}

/// A fixed number of counters with one writer.
public final class CounterArray: Sendable {
  // Sendable because it is never reassigned, and what it points to are atomics.
  private nonisolated(unsafe) let base: UnsafeMutablePointer<Atomic<Int>>
  public let count: Int

  /// That many counters, all 0.
  public init(_ count: Int) {
    self.count = count
    // Of nobody else's cache lines; see `CacheLinePadding`.
    let line = MemoryLayout<CacheLinePadding>.size
    let byteCount = (count * MemoryLayout<Atomic<Int>>.stride + line - 1) / line * line
    base = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: line)
      .bindMemory(to: Atomic<Int>.self, capacity: count)
    for place in 0..<count { (base + place).initialize(to: Atomic(0)) }
  }

  deinit {
    base.deinitialize(count: count)
    base.deallocate()
  }

  /// The counter at a place below `count`.
  public subscript(_ place: Int) -> Int {
    precondition(place >= 0 && place < count)
    return base[place].load(ordering: .relaxed)
  }

  /// To be called by the writing thread only.
  public func add(at place: Int, _ amount: Int) {
    precondition(place >= 0 && place < count)
    base[place].store(base[place].load(ordering: .relaxed) &+ amount, ordering: .relaxed)
  }
}
