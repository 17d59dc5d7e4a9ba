import Foundation
import Synchronization
import SystemCalls
import Testing

@testable import GravityRestart

private let patience = WaitLimit(until: .after(.seconds(60)))

private func target(_ endpoint: Endpoint) -> RestartTarget {
  RestartTarget(unit: "", pool: "main", upstream: "gunicorn0", endpoint: endpoint)
}

/// A child with a command line of the test's choice, ended with this value.
private final class Sleeper {
  private final class Ending: Sendable {
    let value = Mutex<Subprocess.Ending?>(nil)
  }

  let number: Int32
  private let cancellation: Cancellation
  private let ending = Ending()

  /// - Parameter site: holds a file of it.
  init(_ title: String, in site: Site) throws {
    let file = site.root + "/sleeper"
    // exec -a gives the program another name, which is all that is looked at.
    let script = "echo $$ > \"$1\"; exec -a \"$0\" sleep 1000"
    let command = Subprocess("/bin/bash", ["-c", script, title, file])
    let cancellation = try Cancellation()
    let limit = WaitLimit(until: .after(.seconds(60)), cancellation: cancellation)
    let ending = self.ending
    _ = try SystemCalls.Thread {
      let came = try? command.run(within: limit).ending
      ending.value.withLock { $0 = came }
    }
    self.cancellation = cancellation
    var number: Int32?
    while number == nil, !limit.deadline.hasPassed {
      usleep(1000)
      let text = readFile(file, atMost: 20).map { String(decoding: $0, as: UTF8.self) } ?? ""
      number = Int32(text.dropLast()).flatMap { ProcessRecord(of: $0)?.arguments.first == title ? $0 : nil }
    }
    self.number = try #require(number)
  }

  deinit { cancellation.cancel() }

  /// How it has ended, once it has.
  func wait() -> Subprocess.Ending? {
    let deadline = Deadline.after(.seconds(60))
    while !deadline.hasPassed {
      if let ending = ending.value.withLock({ $0 }) { return ending }
      usleep(1000)
    }
    return nil
  }
}

@Suite struct GunicornMasterTests {
  private func role(_ arguments: [String], parent: [String] = ["/sbin/init"]) -> GunicornMaster.Role {
    GunicornMaster.role(of: arguments, parent: parent)
  }

  @Test(arguments: [
    ["gunicorn: master [galaxy]"], ["gunicorn", "app:app"], ["/venv/bin/gunicorn", "app:app"],
    ["/venv/bin/python", "/venv/bin/gunicorn", "app:app"],
    ["python3.11", "-u", "-X", "dev", "/venv/bin/gunicorn", "a"],
    ["python3", "-m", "gunicorn", "a"], ["/usr/bin/pypy3", "bin/gunicorn"], ["gunicorn3"],
  ])
  func masters(_ arguments: [String]) {
    #expect(role(arguments) == .master)
    // Whoever forked it with the same command line is the master.
    if !arguments[0].contains(":") { #expect(role(arguments, parent: arguments) == .worker) }
  }

  @Test(arguments: [
    [], ["sleep", "5"], ["vim", "gunicorn.conf.py"], ["python", "script.py", "gunicorn"],
    ["python", "-c", "x"],
    ["python", "-m", "http.server", "gunicorn"], ["python"], ["/opt/gunicorn/bin/other"],
  ])
  func others(_ arguments: [String]) {
    #expect(role(arguments) == .other)
  }

  @Test func titledWorkers() {
    #expect(role(["gunicorn: worker [galaxy]"]) == .worker)
  }
}

@Suite struct SignalDriverTests {
  @Test func aPidFile() throws {
    let site = try Site(galaxyCode: false)
    let driver = SignalDriver(.file(site.root + "/g.pid"))
    let somewhere = target(.tcp(host: "127.0.0.1", port: 1))
    #expect(try driver.inspect(somewhere, within: patience).state == .stopped)

    let sleeper = try Sleeper("gunicorn: master [x]", in: site)
    try site.write("\(sleeper.number)\n", to: "g.pid")
    let status = try driver.inspect(somewhere, within: patience)
    #expect(status.state == .running)
    #expect(status.process == sleeper.number)
    #expect(status.workers.isEmpty)
    #expect(try driver.perform(.reload, on: somewhere, within: patience) == "")
    // A sleep ends by the HUP, which shows that it came.
    #expect(sleeper.wait() == .killed(signal: SIGHUP))
    #expect(try driver.inspect(somewhere, within: patience).state == .stopped)
    let error = #expect(throws: ProcessManagerError.self) {
      try driver.perform(.reload, on: somewhere, within: patience)
    }
    #expect(error?.kind == .wrongState)
  }

  /// gunicorn removes it and writes it again on a HUP.
  @Test func aPidFileThatIsJustWrittenAgain() throws {
    let site = try Site(galaxyCode: false)
    let sleeper = try Sleeper("gunicorn: master [x]", in: site)
    let file = site.root + "/g.pid"
    let text = "\(sleeper.number)\n"
    _ = try SystemCalls.Thread {
      usleep(50_000)
      try? text.write(toFile: file, atomically: true, encoding: .utf8)
    }
    let driver = SignalDriver(.file(file))
    #expect(try driver.inspect(target(.unix(path: "/nowhere")), within: patience).process == sleeper.number)
  }

  @Test(arguments: ["", "x", "-5", "0", "1", "12 13", "99999999999"])
  func pidFilesWithSomethingElse(_ text: String) throws {
    let site = try Site(galaxyCode: false)
    try site.write(text, to: "g.pid")
    let error = #expect(throws: ProcessManagerError.self) {
      try SignalDriver(.file(site.root + "/g.pid")).perform(
        .reload, on: target(.unix(path: "/nowhere")), within: patience)
    }
    #expect(error?.kind == .wrongProcess)
  }

  @Test(arguments: ["sleep", "gunicorn: worker [x]"])
  func processesOfAnotherKind(_ title: String) throws {
    let site = try Site(galaxyCode: false)
    let sleeper = try Sleeper(title, in: site)
    try site.write("\(sleeper.number)", to: "g.pid")
    let error = #expect(throws: ProcessManagerError.self) {
      try SignalDriver(.file(site.root + "/g.pid")).perform(
        .reload, on: target(.unix(path: "/nowhere")), within: patience)
    }
    #expect(error?.kind == .wrongProcess)
    #expect(try !ProcessDescriptor(of: sleeper.number).hasEnded())
  }

  /// This process listens itself, which is never the gunicorn that is meant.
  @Test func aListenerThatIsNoGunicorn() throws {
    let server = try ScriptedServer([.silence, .silence])
    let error = #expect(throws: ProcessManagerError.self) {
      try SignalDriver(.listener).perform(.reload, on: target(server.endpoint), within: patience)
    }
    #expect(error?.kind == .wrongProcess)
    #expect(
      try SignalDriver(.listener).inspect(target(.unix(path: "/nowhere")), within: patience).state == .stopped
    )
    let network = #expect(throws: ProcessManagerError.self) {
      try SignalDriver(.listener).inspect(target(.tcp(host: "127.0.0.1", port: 1)), within: patience)
    }
    #expect(network?.kind == .unsupported)
  }
}
