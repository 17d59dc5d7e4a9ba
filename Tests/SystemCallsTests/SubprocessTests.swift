import Foundation
import Synchronization
import SystemCalls
import Testing

/// Far more than any program here takes: a bound for the case that something is wrong.
private let patience = Duration.seconds(60)

private func shell(_ script: String) -> Subprocess {
  Subprocess("/bin/sh", ["-c", script])
}

extension Subprocess {
  fileprivate func run() throws -> Outcome {
    try run(within: WaitLimit(until: .after(patience)))
  }
}

/// True once the process has ended, waited for by whoever is its parent or not.
private func hasEnded(_ process: Int32) throws -> Bool {
  let deadline = Deadline.after(patience)
  while !deadline.hasPassed {
    do {
      if try ProcessDescriptor(of: process).hasEnded() { return true }
    } catch {
      #expect(error.code == ESRCH)
      return true
    }
    _ = try pause(.milliseconds(5), within: WaitLimit(until: deadline))
  }
  return false
}

@Suite struct SubprocessTests {
  @Test func keepsBothStreamsApart() throws {
    let outcome = try shell("echo out; echo err >&2; exit 3").run()
    #expect(outcome.ending == .exited(status: 3))
    #expect(outcome.output.text == "out\n")
    #expect(outcome.errorOutput.text == "err\n")
  }

  @Test func mergesThemInOrder() throws {
    var command = shell("echo 1; echo 2 >&2; echo 3")
    command.mergesErrorOutput = true
    let outcome = try command.run()
    #expect(outcome.output.text == "1\n2\n3\n")
    #expect(outcome.errorOutput.bytes.isEmpty)
  }

  @Test func passesArgumentsAsTheyAre() throws {
    let words = ["a b", "", "$HOME", "'\"", "*", "ü"]
    let outcome = try Subprocess("printf", ["%s\\n"] + words).run()
    #expect(outcome.output.text == words.map { $0 + "\n" }.joined())
  }

  @Test func givesTheEnvironmentAndTheFolder() throws {
    var command = Subprocess("/usr/bin/env", [], environment: ["A": "1", "B": "x=y"])
    #expect(try command.run().output.text == "A=1\nB=x=y\n")
    command = shell("pwd -P")
    command.workingDirectory = "/usr"
    #expect(try command.run().output.text == "/usr\n")
  }

  @Test func saysBySignal() throws {
    #expect(try shell("kill -USR1 $$").run().ending == .killed(signal: SIGUSR1))
  }

  @Test(arguments: [
    ("/nowhere/program", ENOENT), ("no-program-of-this-name", ENOENT), ("/etc/passwd", EACCES), ("/", EACCES),
    ("a\0b", EINVAL),
  ])
  func saysWhyItCanNotStart(_ program: String, _ code: Int32) {
    let error = #expect(throws: SystemError.self) { try Subprocess(program, []).run() }
    #expect(error?.code == code)
  }

  @Test func aMissingFolderIsAnError() {
    var command = shell("true")
    command.workingDirectory = "/nowhere"
    let error = #expect(throws: SystemError.self) { try command.run() }
    #expect(error?.code == ENOENT)
  }

  /// The threads of the process have all signals blocked, and it ignores SIGPIPE.
  @Test func theChildHasNoSignalBlockedOrIgnored() throws {
    signal(SIGPIPE, SIG_IGN)
    let result = Mutex<Result<String, any Error>?>(nil)
    let thread = try SystemCalls.Thread {
      let outcome = Result {
        try Subprocess("grep", ["-E", "^Sig(Blk|Ign):", "/proc/self/status"]).run().output.text
      }
      result.withLock { $0 = outcome }
    }
    thread.join()
    let text = try #require(try result.withLock { $0 }?.get())
    let masks = text.split(separator: "\n").map { UInt64($0.split(separator: "\t")[1], radix: 16) }
    try #require(masks.count == 2)
    #expect(masks[0] == 0)
    // glibc leaves its own two, 32 and 33 (nptl(7)), ignored in what it spawns, and takes them when it needs them.
    #expect(masks[1].map { $0 & ~0x1_8000_0000 } == 0)
  }

  @Test func theChildInheritsNothingElse() throws {
    // Without close-on-exec, as a library might open it.
    let number = open("/dev/null", O_RDONLY)
    #expect(number > 2)
    defer { close(number) }
    let script = "readlink /proc/$$/fd/0; echo $$; cut -d ' ' -f 6 /proc/$$/stat; ls /proc/$$/fd"
    let lines = try shell(script).run().output.text.split(separator: "\n")
    try #require(lines.count >= 3)
    #expect(lines[0] == "/dev/null")
    // A session of its own has the number of its leader (proc(5)).
    #expect(lines[1] == lines[2])
    #expect(lines[3...] == ["0", "1", "2"])
  }

  @Test func keepsTheEndOfLongOutput() throws {
    var command = shell("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done")
    command.outputLimit = 100
    let output = try command.run().output
    #expect(output.bytes.count == 100)
    #expect(output.text.hasSuffix("19998\n19999\n"))
    let all = (0..<20000).reduce(0) { $0 + "\($1)\n".utf8.count }
    #expect(output.dropped == all - 100)
  }

  @Test func endsTheWholeGroupAtTheDeadline() throws {
    // The child takes no notice of SIGTERM, the grandchild holds the pipes open.
    var command = shell("trap '' TERM; sleep 1000 & echo $$ $!; while :; do wait; done")
    command.grace = .milliseconds(50)
    let outcome = try command.run(within: WaitLimit(until: .after(.milliseconds(500))))
    #expect(outcome.ending == .timedOut)
    let processes = outcome.output.text.split(whereSeparator: \.isWhitespace).compactMap { Int32($0) }
    try #require(processes.count == 2)
    for process in processes { #expect(try hasEnded(process)) }
    // Waited for, so that no zombie stays: there is no such child any more.
    #expect(waitpid(processes[0], nil, WNOHANG) == -1)
  }

  @Test func sigtermIsEnoughForWhoListens() throws {
    let command = shell("trap 'echo bye; exit 0' TERM; echo here; while :; do sleep 0.01; done")
    let outcome = try command.run(within: WaitLimit(until: .after(.milliseconds(500))))
    #expect(outcome.ending == .timedOut)
    #expect(outcome.output.text == "here\nbye\n")
  }

  @Test func aProgramThatNeverStopsPrintingIsEnded() throws {
    var command = Subprocess("yes", [])
    command.outputLimit = 10
    command.grace = .milliseconds(50)
    let outcome = try command.run(within: WaitLimit(until: .after(.milliseconds(200))))
    #expect(outcome.ending == .timedOut)
    #expect(outcome.output.bytes.count == 10)
  }

  @Test func whatItLeavesRunningLivesOnAndHoldsNobody() throws {
    let outcome = try shell("sleep 1000 & echo $!").run()
    #expect(outcome.ending == .exited(status: 0))
    let process = try #require(Int32(outcome.output.text.dropLast()))
    let descriptor = try ProcessDescriptor(of: process)
    #expect(try !descriptor.hasEnded())
    try descriptor.send(SIGKILL)
    #expect(try hasEnded(process))
  }

  @Test func cancellationEndsIt() throws {
    let cancellation = try Cancellation()
    let file = NSTemporaryDirectory() + "subprocess-\(UUID().uuidString)"
    defer { unlink(file) }
    let thread = try SystemCalls.Thread {
      // Once it runs.
      let deadline = Deadline.after(patience)
      while FileStatus(of: file) == nil, !deadline.hasPassed { usleep(2000) }
      cancellation.cancel()
    }
    let limit = WaitLimit(until: .after(patience), cancellation: cancellation)
    let outcome = try shell("echo $$; touch '\(file)'; sleep 1000").run(within: limit)
    thread.join()
    #expect(outcome.ending == .cancelled)
    #expect(try hasEnded(#require(Int32(outcome.output.text.dropLast()))))
    // Once cancelled nothing gets far.
    #expect(try shell("sleep 1000").run(within: limit).ending == .cancelled)
  }
}

@Suite struct WaitingTests {
  @Test func deadlines() {
    #expect(Deadline.after(.zero).hasPassed)
    #expect(Deadline.after(.seconds(-5)).hasPassed)
    #expect(!Deadline.after(patience).hasPassed)
    #expect(!Deadline.after(.seconds(Int64.max)).hasPassed)
    #expect(Deadline.after(.seconds(1)) < .after(.seconds(2)))
  }

  @Test func whatIsReadyComesBeforeTheDeadline() throws {
    let wakeUp = try WakeUp()
    let number = try wakeUp.duplicate()
    defer { close(number) }
    let over = WaitLimit(until: .after(.zero))
    #expect(try wait(for: number, POLLIN, within: over) == .timedOut)
    wakeUp.signal()
    #expect(try wait(for: number, POLLIN, within: over) == .ready)
    let cancellation = try Cancellation()
    cancellation.cancel()
    let cancelled = WaitLimit(until: .after(patience), cancellation: cancellation)
    #expect(try wait(for: number, POLLIN, within: cancelled) == .cancelled)
    #expect(try pause(patience, within: cancelled) == .cancelled)
  }
}
