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

  /// The descriptor, readable while a signal waits; borrowed.
  var number: Int32 { descriptor.number }

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

  /// Waits for a signal and takes it (poll(2)). False when there was none in so many milliseconds; nil waits for ever.
  public func wait(milliseconds: Int64?) -> Bool {
    var wish = pollfd(fd: descriptor.number, events: Int16(POLLIN), revents: 0)
    let limit = milliseconds.map { Int32(clamping: max(0, $0)) } ?? -1
    // An interruption only makes the wait longer, and who calls this has signals blocked or can wait.
    guard (try? retryingInterrupts("poll") { poll(&wish, 1, limit) }) ?? 0 > 0 else { return false }
    clear()
    return true
  }

  /// A descriptor of its own for the reader, who owns it.
  public func duplicate() throws(SystemError) -> Int32 {
    try retryingInterrupts("fcntl") { fcntl(descriptor.number, F_DUPFD_CLOEXEC, 0) }
  }
}
