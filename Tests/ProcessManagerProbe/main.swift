// Drives the process managers' drivers for tests in another language, one operation a run, one JSON object on
// standard output.
//
// Usage: process-manager-probe MANAGER OPERATION TARGET SECONDS
//   MANAGER    supervisor:ADDRESS, systemd:user, systemd:system, signal:listener, signal:PIDFILE
//   OPERATION  access, inspect, stop, start, restart, reload: one call of the driver
//              walk: all steps of a restart, and then what a watch makes of what can be seen
//              descriptors: how many are open before and after twenty calls
//   TARGET     the unit; for signal the upstream's address
//   SECONDS    the limit of the whole run

import Foundation
import GravityRestart
import SystemCalls

/// What is printed; what does not apply is left out.
struct Report: Encodable {
  var error: String?
  var message: String?
  var advice: String?
  var access: String?
  var doubts: [String]?
  var state: String?
  var process: Int32?
  var seconds: Int64?
  var run: String?
  var restarts: Int?
  var workers: [Int32]?
  var warnings: [String]?
  var description: String?
  var output: String?
  var verdict: String?
  var reason: String?
  var descriptors: [Int]?
}

extension Report {
  init(_ status: UnitStatus) {
    state = status.state.rawValue
    process = status.process
    seconds = status.uptime?.components.seconds
    run = status.run
    restarts = status.automaticRestarts
    workers = status.workers
    warnings = status.warnings
    description = status.description
  }
}

func driver(_ text: String) -> (any ProcessManagerDriver)? {
  let parts = text.split(separator: ":", maxSplits: 1).map(String.init)
  guard parts.count == 2 else { return nil }
  switch parts[0] {
  case "supervisor": return (try? Endpoint(parsing: parts[1])).map { SupervisorDriver($0) }
  case "systemd": return SystemdDriver(userMode: parts[1] == "user")
  case "signal": return SignalDriver(parts[1] == "listener" ? .listener : .file(parts[1]))
  default: return nil
  }
}

func openDescriptors() -> Int { names(inFolder: "/proc/self/fd").count }

/// A restart as its coordinator makes it, without the traffic.
func walk(
  _ driver: any ProcessManagerDriver, _ target: RestartTarget, _ limit: WaitLimit
) throws -> Report {
  let before = try driver.inspect(target, within: limit)
  for step in driver.restartSteps.dropLast() {
    _ = try driver.perform(step, on: target, within: limit)
    while try driver.inspect(target, within: limit).state != .stopped, !limit.deadline.hasPassed {
      _ = try pause(.milliseconds(10), within: limit)
    }
  }
  guard let last = driver.restartSteps.last else { return Report(error: "a restart without steps") }
  var watch = StartWatch(last, before: before)
  let output = try driver.perform(last, on: target, within: limit)
  while true {
    let status = try driver.inspect(target, within: limit)
    var report = Report(status)
    report.output = output
    switch watch.judge(status) {
    case .waiting:
      report.verdict = "waiting"
      if limit.deadline.hasPassed { return report }
      _ = try pause(.milliseconds(10), within: limit)
      continue
    case .started: report.verdict = "started"
    case .retrying(let reason): (report.verdict, report.reason) = ("retrying", reason)
    case .failed(let reason): (report.verdict, report.reason) = ("failed", reason)
    }
    return report
  }
}

func perform(
  _ operation: String, _ driver: any ProcessManagerDriver, _ target: RestartTarget, _ limit: WaitLimit
) throws -> Report {
  switch operation {
  case "access":
    let access = try driver.checkAccess(within: limit)
    return Report(access: access.description, doubts: access.doubts)
  case "inspect": return Report(try driver.inspect(target, within: limit))
  case "walk": return try walk(driver, target, limit)
  case "descriptors":
    _ = try driver.inspect(target, within: limit)
    let before = openDescriptors()
    for _ in 0..<20 { _ = try driver.inspect(target, within: limit) }
    return Report(descriptors: [before, openDescriptors()])
  default:
    guard let step = RestartStep(rawValue: operation) else { return Report(error: "no such operation") }
    return Report(output: try driver.perform(step, on: target, within: limit))
  }
}

let arguments = Array(CommandLine.arguments.dropFirst())
guard arguments.count == 4, let driver = driver(arguments[0]), let seconds = Double(arguments[3]) else {
  fatalError("usage: process-manager-probe MANAGER OPERATION TARGET SECONDS")
}
let target = RestartTarget(
  unit: arguments[2], pool: "main", upstream: "gunicorn0",
  endpoint: (try? Endpoint(parsing: arguments[2])) ?? .unix(path: "/nowhere"))
let limit = WaitLimit(until: .after(.seconds(seconds)))
var report: Report
do {
  report = try perform(arguments[1], driver, target, limit)
} catch let error as ProcessManagerError {
  report = Report(
    error: error.kind.rawValue, message: error.message, advice: error.advice, output: error.output)
}
let encoder = JSONEncoder()
encoder.outputFormatting = [.sortedKeys]
print(String(decoding: try encoder.encode(report), as: UTF8.self))
