import CLinux
import Glibc

/// A process that is held on to: its number may be given to another process when it has ended, this value still
/// means the first one (pidfd_open(2)).
public struct ProcessDescriptor: ~Copyable, Sendable {
  /// The number it has, or had while it lived.
  public let process: Int32
  private let descriptor: Descriptor

  /// Holds on to the process that has this number now. ESRCH: there is none.
  public init(of process: Int32) throws(SystemError) {
    self.process = process
    descriptor = Descriptor(owning: try retryingInterrupts("pidfd_open") { clinux_pidfd_open(process) })
  }

  /// Readable once the process has ended; borrowed.
  var number: Int32 { descriptor.number }

  /// True once it has ended, waited for or not.
  public func hasEnded() throws(SystemError) -> Bool {
    try wait(for: descriptor.number, Int32(POLLIN), within: WaitLimit(until: .after(.zero))) == .ready
  }

  /// Sends a signal (pidfd_send_signal(2)). EPERM: the process is somebody else's; ESRCH: it has ended.
  public func send(_ signal: Int32) throws(SystemError) {
    try retryingInterrupts("pidfd_send_signal") { clinux_pidfd_send_signal(descriptor.number, signal) }
  }
}
