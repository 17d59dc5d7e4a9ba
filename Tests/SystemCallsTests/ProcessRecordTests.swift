import Glibc
import Testing

@testable import SystemCalls

@Suite struct ProcessRecordTests {
  @Test func thisProcess() throws {
    let record = try #require(ProcessRecord(of: getpid()))
    #expect(record.parent == getppid())
    #expect(record.user == geteuid())
    #expect(record.arguments == CommandLine.arguments)
    #expect(record.age > .zero && record.age < .seconds(86_400))
    #expect(ProcessRecord.children(of: getppid()).contains(getpid()))
  }

  @Test func noProcess() {
    // Beyond the largest number that there can be (proc(5), pid_max).
    #expect(ProcessRecord(of: 1 << 23) == nil)
    let error = #expect(throws: SystemError.self) { _ = try ProcessDescriptor(of: 1 << 23) }
    #expect(error?.code == ESRCH)
  }

  /// A program may have any name of up to 15 bytes.
  @Test(arguments: ["sh", "a) b (c)", ") S 9 9", "", "\u{FFFD}"])
  func namesDoNotConfuse(_ name: String) throws {
    let text = "77 (\(name)) S 5 6 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 999 9"
    let (parent, start) = try #require(ProcessRecord.parseStatus(Array(text.utf8)))
    #expect(parent == 5)
    #expect(start == 123_456)
  }

  @Test(arguments: [
    "", "77", "77 (sh", "77 (sh) S 5", "77 (sh) S x 6 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 1 9",
  ])
  func refusesOtherText(_ text: String) {
    #expect(ProcessRecord.parseStatus(Array(text.utf8)) == nil)
  }
}
