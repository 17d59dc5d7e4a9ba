import Glibc
import SystemCalls
import Testing

@Suite struct TimerDescriptorTests {
  private static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// Whether its moment comes within so many seconds.
  private static func comes(_ timer: borrowing TimerDescriptor, within seconds: Int64) throws -> Bool {
    try SystemCalls.wait(
      for: timer.number, Int32(POLLIN), within: WaitLimit(until: .after(.seconds(seconds)))) == .ready
  }

  @Test func comesAndNotEarly() throws {
    let timer = try TimerDescriptor()
    for delay: Int64 in [1, 7, 30] {
      let moment = Self.now() + delay
      timer.set(milliseconds: moment)
      #expect(try Self.comes(timer, within: 60))
      #expect(Self.now() >= moment)
    }
  }

  @Test func aMomentThatHasPassedComesAtOnce() throws {
    let timer = try TimerDescriptor()
    timer.set(milliseconds: 1)
    #expect(try Self.comes(timer, within: 60))
  }

  @Test func isSilentUntilItIsSetAndAfterItWasPutOff() throws {
    let timer = try TimerDescriptor()
    #expect(try !Self.comes(timer, within: 0))
    timer.set(milliseconds: 1)
    #expect(try Self.comes(timer, within: 60))
    timer.set(milliseconds: Self.now() + 3_600_000)
    #expect(try !Self.comes(timer, within: 0))
  }
}
