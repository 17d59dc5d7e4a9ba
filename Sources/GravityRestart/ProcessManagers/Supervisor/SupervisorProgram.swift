/// What supervisor tells about one of its programs (`supervisor.getProcessInfo`).
struct SupervisorProgram: Hashable, Sendable {
  /// The states of a program (supervisor/states.py, `ProcessStates`).
  enum State: Int, Sendable {
    case stopped = 0
    case starting = 10
    case running = 20
    case backoff = 30
    case stopping = 40
    case exited = 100
    case fatal = 200
    case unknown = 1000
  }

  /// As its commands take it: `GROUP:NAME`, or the name alone if the group has the same one.
  var name: String
  var state: State
  /// As supervisor prints it, in capitals.
  var stateName: String
  /// 0 when it has no process.
  var process: Int
  /// When it was last started, by the clock of `now`, in seconds; 0 for never.
  var start: Int
  var now: Int
  var exitStatus: Int
  /// What went wrong with the last attempt to start it.
  var spawnError: String

  /// Reads one structure of the answer.
  init(_ value: XMLRPCValue) throws(XMLRPCError) {
    guard case .structure(let members) = value else {
      throw XMLRPCError(description: "found no structure, expected a program's information")
    }
    let program = try Self.text("name", in: members)
    let group = try Self.text("group", in: members)
    name = group == program ? program : "\(group):\(program)"
    let number = try Self.number("state", in: members)
    guard let state = State(rawValue: number) else {
      throw XMLRPCError(
        description: "found the state \(number), which no version of supervisor is known to have")
    }
    self.state = state
    stateName = try Self.text("statename", in: members)
    process = try Self.number("pid", in: members)
    start = try Self.number("start", in: members)
    now = try Self.number("now", in: members)
    exitStatus = try Self.number("exitstatus", in: members)
    spawnError = try Self.text("spawnerr", in: members)
  }

  private static func text(
    _ key: String, in members: [String: XMLRPCValue]
  ) throws(XMLRPCError) -> String {
    guard case .string(let text)? = members[key] else {
      throw XMLRPCError(description: "a program's information has no text '\(key)'")
    }
    return text
  }

  private static func number(
    _ key: String, in members: [String: XMLRPCValue]
  ) throws(XMLRPCError) -> Int {
    guard case .integer(let number)? = members[key] else {
      throw XMLRPCError(description: "a program's information has no number '\(key)'")
    }
    return number
  }

  /// In the terms of all process managers.
  var status: UnitStatus {
    let shared: UnitState =
      switch state {
      case .stopped, .exited: .stopped
      case .starting: .starting
      case .running: .running
      case .backoff: .failing
      case .stopping: .stopping
      case .fatal, .unknown: .fatal
      }
    var status = UnitStatus(shared, description: summary)
    if process > 0 {
      status.process = Int32(exactly: process)
      status.uptime = .seconds(max(0, now - start))
      status.run = "\(process) since \(start)"
    }
    return status
  }

  private var summary: String {
    let error = spawnError.isEmpty ? "" : ", \(spawnError)"
    switch state {
    case .starting, .running, .stopping:
      return "supervisor says \(stateName), process \(process) since \(max(0, now - start)) s\(error)"
    case .exited: return "supervisor says \(stateName) with status \(exitStatus)\(error)"
    case .stopped, .backoff, .fatal, .unknown: return "supervisor says \(stateName)\(error)"
    }
  }
}
