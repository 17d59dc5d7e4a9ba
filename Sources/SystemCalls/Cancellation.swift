import Synchronization

/// A wish that blocking calls come back at once. Once said it stays.
public final class Cancellation: Sendable {
  private let wakeUp: WakeUp
  private let isSet = Atomic<Bool>(false)

  public init() throws(SystemError) {
    wakeUp = try WakeUp()
  }

  /// Ends the calls that wait under it, and all later ones. From any thread.
  public func cancel() {
    isSet.store(true, ordering: .releasing)
    wakeUp.signal()
  }

  public var isCancelled: Bool { isSet.load(ordering: .acquiring) }

  /// Readable once it is cancelled; borrowed.
  var descriptor: Int32 { wakeUp.number }
}
