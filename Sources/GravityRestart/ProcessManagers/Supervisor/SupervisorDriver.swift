import SystemCalls
import YAML

/// Restarts programs of supervisor through its XML-RPC interface (the manual's "XML-RPC API Documentation"): stop,
/// then start, each of which returns at once. `galaxyctl graceful` and `restart` are never used: they update the
/// configuration first, which may restart everything.
public struct SupervisorDriver: ProcessManagerDriver {
  public let name = "supervisor"
  public let restartSteps = [RestartStep.stop, .start]

  private let interface: SupervisorInterface

  /// - Parameter endpoint: `[unix_http_server]` or `[inet_http_server]` of supervisord's configuration.
  public init(_ endpoint: Endpoint, credentials: SupervisorCredentials? = nil) {
    interface = SupervisorInterface(endpoint: endpoint, credentials: credentials)
  }

  public func checkAccess(within limit: WaitLimit) throws(ProcessManagerError) -> ManagerAccess {
    let method = "supervisor.getState"
    guard case .structure(let state) = try interface.value(of: method, within: limit),
      case .string(let stateName)? = state["statename"]
    else { throw interface.malformed("its state is no structure", method) }
    guard stateName == "RUNNING" else {
      throw ProcessManagerError(
        .unreachable, "supervisor at \(interface.endpoint) says \(stateName), expected RUNNING",
        advice: "try again when it is up")
    }
    let version = try text(of: "supervisor.getSupervisorVersion", within: limit)
    let interfaceVersion = try text(of: "supervisor.getAPIVersion", within: limit)
    guard interfaceVersion.hasPrefix("3.") else {
      throw ProcessManagerError(
        .refused, "supervisor \(version) has version \(interfaceVersion) of its interface, expected 3",
        advice: "use supervisor 3 or 4")
    }
    return ManagerAccess(description: "supervisor \(version) at \(interface.endpoint)")
  }

  public func inspect(
    _ target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> UnitStatus {
    try Self.checkName(target.unit)
    return try information(target.unit, within: limit)?.status
      ?? UnitStatus(
        .missing, description: "supervisor has no program '\(target.unit)'\(hint(target.unit, within: limit))"
      )
  }

  public func perform(
    _ step: RestartStep, on target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> String {
    try Self.checkName(target.unit)
    switch step {
    case .stop: try stop(target.unit, within: limit)
    case .start: try start(target.unit, within: limit)
    case .restart, .reload: throw .unsupported(step, by: self)
    }
    return ""
  }

  private func stop(_ unit: String, within limit: WaitLimit) throws(ProcessManagerError) {
    // false: it doesn't wait, which would take up to the program's stopwaitsecs.
    let parameters = [XMLRPCCall.Parameter.string(unit), .boolean(false)]
    guard
      case .fault(let fault, let text) = try interface.call(
        "supervisor.stopProcess", parameters, within: limit)
    else { return }
    switch fault {
    case .notRunning: return
    case .badName: throw unknown(unit, within: limit)
    default: throw refused("stop", unit, text)
    }
  }

  private func start(_ unit: String, within limit: WaitLimit) throws(ProcessManagerError) {
    // supervisord 4.3 fails inside when a program is to be started that has not yet ended.
    if let program = try information(unit, within: limit), program.state == .stopping {
      throw ProcessManagerError(
        .wrongState, "supervisor can't start '\(unit)' while it stops",
        advice: "wait until it is seen stopped")
    }
    // false: it doesn't wait, which would take startsecs and still not mean that it answers.
    let parameters = [XMLRPCCall.Parameter.string(unit), .boolean(false)]
    guard
      case .fault(let fault, let text) = try interface.call(
        "supervisor.startProcess", parameters, within: limit)
    else { return }
    switch fault {
    case .alreadyStarted: return
    case .badName: throw unknown(unit, within: limit)
    case .noFile, .notExecutable:
      throw ProcessManagerError(
        .startFailed, "supervisor can't start '\(unit)': \(text)",
        advice: "correct the command of this program, then run `galaxyctl update`")
    case .spawnError, .abnormalTermination:
      let state = try information(unit, within: limit)?.status.description
      throw ProcessManagerError(
        .startFailed, "'\(unit)' did not start: \(state ?? text)",
        advice: "its log says why (`galaxyctl pm tail \(unit)`)")
    default: throw refused("start", unit, text)
    }
  }

  /// Nil when supervisor has no such program.
  private func information(
    _ unit: String, within limit: WaitLimit
  ) throws(ProcessManagerError) -> SupervisorProgram? {
    let method = "supervisor.getProcessInfo"
    switch try interface.call(method, [.string(unit)], within: limit) {
    case .value(let value): return try program(value, method)
    case .fault(.badName, _): return nil
    case .fault(_, let text): throw refused("look at", unit, text)
    }
  }

  private func program(
    _ value: XMLRPCValue, _ method: String
  ) throws(ProcessManagerError) -> SupervisorProgram {
    do throws(XMLRPCError) {
      return try SupervisorProgram(value)
    } catch {
      throw interface.malformed(error.description, method)
    }
  }

  private func text(
    of method: String, within limit: WaitLimit
  ) throws(ProcessManagerError) -> String {
    guard case .string(let text) = try interface.value(of: method, within: limit) else {
      throw interface.malformed("no text", method)
    }
    return text
  }

  private func refused(_ verb: String, _ unit: String, _ text: String) -> ProcessManagerError {
    ProcessManagerError(
      .refused, "supervisor refuses to \(verb) '\(unit)': \(text)", advice: "supervisord.log may say more")
  }

  private func unknown(_ unit: String, within limit: WaitLimit) -> ProcessManagerError {
    ProcessManagerError(
      .unknownUnit, "supervisor has no program '\(unit)'\(hint(unit, within: limit))",
      advice: "run `galaxyctl update` if it is new in Galaxy's configuration; `galaxyctl pm status` lists all"
    )
  }

  /// The name that comes nearest among those that there are, or nothing.
  private func hint(_ unit: String, within limit: WaitLimit) -> String {
    guard case .array(let values)? = try? interface.value(of: "supervisor.getAllProcessInfo", within: limit)
    else {
      return ""
    }
    let names = values.compactMap { try? SupervisorProgram($0).name }
    return nearest(unit, in: names).map { " (did you mean '\($0)'?)" } ?? ""
  }

  /// supervisor takes `GROUP:*` and `GROUP:` for all programs of a group.
  static func checkName(_ unit: String) throws(ProcessManagerError) {
    let parts = unit.split(separator: ":", omittingEmptySubsequences: false)
    let isOne = parts.count <= 2 && parts.allSatisfy { !$0.isEmpty && $0 != "*" }
    // Control characters are in no name, and XML can't express most of them.
    guard isOne, unit.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control }) else {
      throw ProcessManagerError(
        .badName, "found '\(unit)', expected the name of one program of supervisor",
        advice: "write NAME or GROUP:NAME, as `galaxyctl pm status` prints it")
    }
  }
}
