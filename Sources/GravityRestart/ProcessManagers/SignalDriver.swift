import Glibc
import SystemCalls

/// Makes a gunicorn replace its workers by a HUP to its master (gunicorn's manual, "Signal Handling"): the socket
/// stays open and the old workers finish what they have begun. New code is loaded only without preload, where each
/// worker loads it; a master that has preloaded Galaxy keeps the old code.
///
/// The process is held on to (pidfd_open(2)) before it is looked at, so the signal reaches the one that was looked at
/// or none.
public struct SignalDriver: ProcessManagerDriver {
  public let name = "signal"
  public let restartSteps = [RestartStep.reload]

  /// How the master is found.
  public enum Source: Hashable, Sendable {
    /// The process that listens on the upstream's unix socket (SO_PEERCRED, unix(7)), or the master of that worker.
    case listener
    /// The file that gunicorn writes with `--pid`.
    case file(String)
  }

  /// What is known beforehand.
  private enum Knowledge: Hashable {
    case source(Source)
    case process(Int32)
  }

  private let knowledge: Knowledge

  public init(_ source: Source) {
    knowledge = .source(source)
  }

  /// - Parameter process: the master, which a process manager has started.
  init(process: Int32) {
    knowledge = .process(process)
  }

  /// A master with what is known of it, or that there is none, and why.
  private enum Search: ~Copyable {
    case found(ProcessDescriptor, ProcessRecord)
    case none(String)
  }

  /// A connection to a socket whose backlog is full can only be tried again (connect(2)).
  private static let busyPause = Duration.milliseconds(20)
  /// gunicorn removes its pid file and writes it again on each HUP, whoever has sent that.
  private static let rewriteTime = Duration.seconds(1)
  private static let rewritePause = Duration.milliseconds(10)

  public func checkAccess(within limit: WaitLimit) throws(ProcessManagerError) -> ManagerAccess {
    switch knowledge {
    case .source(.listener): ManagerAccess(description: "HUP to the gunicorn behind the upstream's socket")
    case .source(.file(let path)): ManagerAccess(description: "HUP to the gunicorn that \(path) names")
    case .process(let number): ManagerAccess(description: "HUP to the gunicorn of process \(number)")
    }
  }

  public func inspect(
    _ target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> UnitStatus {
    switch try findMaster(target, within: limit) {
    case .none(let reason): return UnitStatus(.stopped, description: reason)
    case .found(let descriptor, let record):
      let workers = ProcessRecord.children(of: descriptor.process)
      var status = UnitStatus(
        .running, description: "gunicorn, master process \(descriptor.process), \(workers.count) workers")
      status.process = descriptor.process
      status.uptime = record.age
      status.run = "\(descriptor.process) since \(record.startTicks)"
      status.workers = workers
      return status
    }
  }

  public func perform(
    _ step: RestartStep, on target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> String {
    guard step == .reload else { throw .unsupported(step, by: self) }
    switch try findMaster(target, within: limit) {
    case .none(let reason):
      throw ProcessManagerError(.wrongState, reason, advice: "start it: a HUP only reaches what runs")
    case .found(let descriptor, _):
      do throws(SystemError) {
        try descriptor.send(SIGHUP)
      } catch {
        let process = descriptor.process
        if error.code == EPERM { throw Self.notAllowed(process) }
        throw ProcessManagerError(
          .wrongState, "process \(process) can't be sent a HUP: \(error)",
          advice: "look whether it still runs")
      }
      return ""
    }
  }

  /// The master, checked: it is gunicorn, no worker, and this user may send it signals.
  private func findMaster(
    _ target: RestartTarget, within limit: WaitLimit
  ) throws(ProcessManagerError) -> Search {
    let process: Int32
    let place: String
    switch knowledge {
    case .source(.listener):
      guard case .unix(let path) = target.endpoint else {
        throw ProcessManagerError(
          .unsupported, "who listens at \(target.endpoint) can't be told, it is no unix socket",
          advice: "let gunicorn write a pid file (--pid) and name it")
      }
      place = path
      switch try listener(at: path, within: limit) {
      case .success(let found): process = found
      case .failure(let absence): return .none(absence.reason)
      }
    case .source(.file(let path)):
      place = path
      guard let bytes = try readPidFile(path, within: limit) else {
        return .none("there is no pid file \(path)")
      }
      let text = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
      guard text.count == 1, let number = Int32(text[0]) else {
        throw ProcessManagerError(
          .wrongProcess, "\(path) holds no process number",
          advice: "name the file that gunicorn writes with --pid")
      }
      process = number
    case .process(let number):
      place = "its process manager"
      process = number
    }
    guard process > 1, process != getpid() else {
      throw Self.wrong(process, place, "that is never gunicorn (a socket that systemd has opened says 1)")
    }
    return try check(process, place)
  }

  /// Nil when there is none, and not only for the moment in which gunicorn writes it again.
  private func readPidFile(_ path: String, within limit: WaitLimit) throws(ProcessManagerError) -> [UInt8]? {
    let limit = limit.atMost(Self.rewriteTime)
    while true {
      if let bytes = readFile(path, atMost: 64) { return bytes }
      let end = try? pause(Self.rewritePause, within: limit)
      if end == .cancelled { throw .cancelled("the look at \(path)") }
      if limit.deadline.hasPassed { return nil }
    }
  }

  private func check(_ process: Int32, _ place: String) throws(ProcessManagerError) -> Search {
    let descriptor: ProcessDescriptor
    do throws(SystemError) {
      descriptor = try ProcessDescriptor(of: process)
    } catch {
      guard error.code == ESRCH else {
        throw Self.wrong(process, place, "it can't be looked at: \(error)")
      }
      return .none("process \(process), which \(place) names, has ended")
    }
    guard ProcessRecord.isRunning(process), let record = ProcessRecord(of: process) else {
      return .none("process \(process), which \(place) names, has ended")
    }
    switch GunicornMaster.role(of: record.arguments, parent: ProcessRecord(of: record.parent)?.arguments) {
    case .master: break
    // Workers on asyncio call listen(2) again, so the peer of a connection is the one that has started last.
    case .worker where knowledge == .source(.listener): return try check(record.parent, place)
    case .worker:
      throw Self.wrong(process, place, "it is a worker of gunicorn's, \(record.parent) is its master")
    case .other: throw Self.wrong(process, place, "it is no gunicorn: '\(record.arguments.first ?? "")'")
    }
    guard geteuid() == 0 || record.user == geteuid() else { throw Self.notAllowed(process) }
    return .found(descriptor, record)
  }

  private struct Absence: Error {
    var reason: String
  }

  /// Who called listen(2) on the socket at `path`, or why that can't be told now.
  private func listener(
    at path: String, within limit: WaitLimit
  ) throws(ProcessManagerError) -> Result<Int32, Absence> {
    guard path.utf8.count <= Endpoint.longestUnixPath else {
      return .failure(Absence(reason: "\(path) is too long for a socket"))
    }
    while true {
      switch connect(to: SocketAddress(unixPath: path)) {
      case .connected(let number), .inProgress(let number):
        let connection = Descriptor(owning: number)
        guard let peer = PeerCredentials(of: connection.number) else {
          throw ProcessManagerError(
            .wrongProcess, "the process behind \(path) can't be seen from here",
            advice:
              "galaxy-lb and gunicorn run in different containers: use a command, or a pid file of this one")
        }
        return .success(peer.process)
      case .busy:
        let end = try? pause(Self.busyPause, within: limit)
        if end == .cancelled { throw .cancelled("the look at \(path)") }
        if limit.deadline.hasPassed {
          throw ProcessManagerError(
            .timedOut, "\(path) takes no connection", advice: "gunicorn hangs or is overloaded: restart it")
        }
      case .failed(let error):
        guard error.code == EACCES else {
          return .failure(Absence(reason: "nobody listens at \(path): \(error)"))
        }
        throw ProcessManagerError(
          .permissionDenied, "no permission to connect to \(path)",
          advice: "let galaxy-lb's user into its folder")
      }
    }
  }

  private static func wrong(_ process: Int32, _ place: String, _ reason: String) -> ProcessManagerError {
    ProcessManagerError(
      .wrongProcess, "found process \(process) by \(place): \(reason)",
      advice: "expected is the master of the gunicorn that serves this upstream")
  }

  private static func notAllowed(_ process: Int32) -> ProcessManagerError {
    ProcessManagerError(
      .permissionDenied, "no permission to send signals to process \(process)",
      advice: "run galaxy-lb as the same user as gunicorn, or as root")
  }
}
