import Glibc

/// A thread of its own for an event loop, with all signals blocked, so that only the main thread sees them.
public struct Thread: ~Copyable {
  private let handle: pthread_t

  /// Starts `body`. Throws when the system has no thread left.
  public init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    var handle = pthread_t()
    let start = Unmanaged.passRetained(Start(body))
    let code = pthread_create(&handle, nil, { runThread($0) }, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw SystemError(call: "pthread_create", code: code)
    }
    self.handle = handle
  }

  /// Waits until the thread has ended.
  public consuming func join() {
    pthread_join(handle, nil)
  }

  /// Lets it end by itself.
  public consuming func detach() {
    pthread_detach(handle)
  }

  /// Lets no signal reach the calling thread any more (pthread_sigmask(3)). A thread that has done its work and is about
  /// to end the process calls it, so that a signal which comes late doesn't change the exit status.
  public static func blockSignals() {
    var all = sigset_t()
    sigfillset(&all)
    pthread_sigmask(SIG_SETMASK, &all, nil)
  }

  fileprivate final class Start: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
}

private func runThread(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
  Unmanaged<Thread.Start>.fromOpaque(argument!).takeRetainedValue().body()
  return nil
}
