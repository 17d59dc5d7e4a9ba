import CLinux
import Glibc

/// An eventfd(2): any thread signals it, one thread waits for it to be readable.
public struct WakeUp: ~Copyable, Sendable {
  private let descriptor: Descriptor

  public init() throws(SystemError) {
    descriptor = Descriptor(
      owning: try retryingInterrupts("eventfd") {
        eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
      })
  }

  /// Makes the descriptor readable.
  public func signal() {
    var one: UInt64 = 1
    // It fails only with 2^64-1 signals unread, when the reader is woken anyway.
    _ = write(descriptor.number, &one, 8)
  }

  /// Takes all signals so far.
  public func clear() {
    var counter: UInt64 = 0
    _ = read(descriptor.number, &counter, 8)
  }

  /// A descriptor of its own for the reader, who owns it.
  public func duplicate() throws(SystemError) -> Int32 {
    try retryingInterrupts("fcntl") { fcntl(descriptor.number, F_DUPFD_CLOEXEC, 0) }
  }
}
