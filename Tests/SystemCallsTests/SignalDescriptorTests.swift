import Glibc
import Synchronization
import SystemCalls
import Testing

@Suite(.serialized) struct SignalDescriptorTests {
  /// What `body` finds on a thread of its own, whose mask nobody else has.
  private func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) throws -> Result? {
    let result = Mutex<Result?>(nil)
    let thread = try SystemCalls.Thread {
      let found = body()
      result.withLock { $0 = found }
    }
    thread.join()
    return result.withLock { $0 }
  }

  @Test func readsWhatWasSent() throws {
    let found = try onThread { () -> [Int32?] in
      guard let signals = try? SignalDescriptor([SIGWINCH, SIGCONT]) else { return [] }
      let before = signals.next()
      raise(SIGWINCH)
      let end = try? SystemCalls.wait(
        for: signals.number, Int32(POLLIN), within: WaitLimit(until: .after(.seconds(60))))
      return [before, end == .ready ? signals.next() : 0, signals.next()]
    }
    #expect(found == [nil, SIGWINCH, nil])
  }

  @Test func leavesIgnoredOnesAlone() throws {
    let found = try onThread { () -> [Int32?] in
      let before = signal(SIGUSR1, SIG_IGN)
      defer { signal(SIGUSR1, before) }
      guard let signals = try? SignalDescriptor([SIGUSR1, SIGUSR2]) else { return [] }
      raise(SIGUSR1)
      raise(SIGUSR2)
      return [signals.next(), signals.next()]
    }
    #expect(found == [SIGUSR2, nil])
  }
}
