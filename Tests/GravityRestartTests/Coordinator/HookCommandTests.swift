import SystemCalls
import Testing

@testable import GravityRestart

@Suite struct HookCommandTests {
  private func run(_ line: String, reason: String? = nil, timeout: Int64 = 10_000) throws
    -> RestartReport.Hook
  {
    let hook = HookCommand(
      hook: .onHalt, command: RestartCommand(.shell(line)), pools: ["main", "other"], reason: reason,
      timeout: timeout)
    return hook.run(try Cancellation())
  }

  @Test func itFindsWhatItIsAbout() throws {
    let hook = try run(
      "echo $GALAXY_LB_HOOK: $GALAXY_LB_POOLS, $GALAXY_LB_REASON; echo too >&2", reason: "it broke")
    #expect(hook.failure == nil)
    #expect(hook.output == "on_halt: main other, it broke\ntoo\n")
  }

  @Test func aFailureIsSaid() throws {
    let hook = try run("exit 3")
    #expect(hook.failure == "the hook 'on_halt' (exit 3) ended with status 3")
  }

  @Test func itMayNotTakeForEver() throws {
    let hook = try run("sleep 60", timeout: 100)
    #expect(hook.failure == "the hook 'on_halt' (sleep 60) took too long and was ended")
  }

  @Test func aProgramThatIsMissingIsSaid() throws {
    let command = RestartCommand(.program("/nowhere/program", arguments: []))
    let hook = HookCommand(hook: .before, command: command, pools: ["main"], reason: nil, timeout: 1_000)
    let result = hook.run(try Cancellation())
    #expect(result.failure?.contains("can't be run") == true)
  }
}
