import CLinux
import Glibc

/// Signals that are read like data (signalfd(2)), rather than handled at any moment.
public struct SignalDescriptor: ~Copyable {
  private let descriptor: Descriptor

  /// Takes the signals out of the hands of their handlers: from now on they wait, blocked on this thread and those it
  /// starts, until they are read. A signal that is ignored (SIG_IGN) stays so: whoever starts a program in the
  /// background of a shell without job control wants it to survive Ctrl-C (POSIX 2.11 of the shell).
  public init(_ numbers: [Int32]) throws(SystemError) {
    var set = sigset_t()
    sigemptyset(&set)
    for number in numbers where !Self.isIgnored(number) { sigaddset(&set, number) }
    let code = pthread_sigmask(SIG_BLOCK, &set, nil)
    guard code == 0 else { throw SystemError(call: "pthread_sigmask", code: code) }
    descriptor = Descriptor(
      owning: try retryingInterrupts("signalfd") {
        signalfd(-1, &set, Int32(SFD_NONBLOCK) | Int32(SFD_CLOEXEC))
      })
  }

  /// The descriptor, readable while a signal waits; borrowed.
  public var number: Int32 { descriptor.number }

  /// The next signal that waits; nil when none does.
  public func next() -> Int32? {
    var information = signalfd_siginfo()
    let size = MemoryLayout<signalfd_siginfo>.size
    let count = try? retryingInterrupts("read") { read(descriptor.number, &information, size) }
    return count == size ? Int32(information.ssi_signo) : nil
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    guard sigaction(number, nil, &action) == 0 else { return false }
    // SIG_IGN is the address 1 (signal.h).
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }
}
