import CLinux
import Glibc

/// One moment of CLOCK_MONOTONIC that is waited for like data (timerfd_create(2)).
public struct TimerDescriptor: ~Copyable {
  private let descriptor: Descriptor

  /// A timer that is set to no moment yet.
  public init() throws(SystemError) {
    descriptor = Descriptor(
      owning: try retryingInterrupts("timerfd_create") {
        timerfd_create(CLOCK_MONOTONIC, Int32(TFD_NONBLOCK) | Int32(TFD_CLOEXEC))
      })
  }

  /// The descriptor, readable once the moment has come and until the timer is set again; borrowed.
  public var number: Int32 { descriptor.number }

  /// Waits for this moment in place of any other, in milliseconds of CLOCK_MONOTONIC, 1 or more. One that has passed
  /// comes at once.
  public func set(milliseconds moment: Int64) {
    var setting = itimerspec()
    setting.it_value = timespec(tv_sec: Int(moment / 1000), tv_nsec: Int(moment % 1000) * 1_000_000)
    // It fails for bad arguments only.
    timerfd_settime(descriptor.number, Int32(TFD_TIMER_ABSTIME), &setting, nil)
  }
}
