import Glibc
import SystemCalls

/// Notes of the units that a restart has stopped and not yet started, each a file in a folder: if the proxy ends in
/// between, the next one starts them.
public struct StoppedUnits: Hashable, Sendable {
  /// Nil when nothing can be kept.
  public var folder: String?

  public init(folder: String?) { self.folder = folder }

  /// An upstream that was left stopped.
  public struct Entry: Hashable, Sendable {
    public var pool: String
    public var upstream: String
    public var unit: String
  }

  private static let ending = ".stopped"
  private static let largestNote = 4096

  /// Notes that the unit is about to be stopped. Answers what is wrong with that, if something is.
  func add(_ target: RestartTarget) -> String? {
    guard let folder, let path = path(target) else { return nil }
    do throws(SystemError) {
      try makeFolders(folder, mode: 0o755)
      let lines = [target.pool, target.upstream, target.unit].map { "\($0)\n" }.joined()
      try writeFile(path, Array(lines.utf8), mode: 0o600)
      return nil
    } catch {
      return
        "\(target.upstream): it could not be noted in \(folder) that it is stopped, so that it stays stopped if "
        + "galaxy-lb is killed before it is started: \(error)"
    }
  }

  /// The unit was started, or nobody needs to.
  public func remove(pool: String, upstream: String) {
    if let path = path(pool, upstream) { unlink(path) }
  }

  func remove(_ target: RestartTarget) { remove(pool: target.pool, upstream: target.upstream) }

  /// What an earlier proxy has left.
  public func left() -> [Entry] {
    guard let folder else { return [] }
    return names(inFolder: folder).filter { $0.hasSuffix(Self.ending) }.compactMap { name in
      guard let bytes = readFile("\(folder)/\(name)", atMost: Self.largestNote) else { return nil }
      let lines = String(decoding: bytes, as: UTF8.self).split(
        separator: "\n", omittingEmptySubsequences: false)
      guard lines.count == 4 else { return nil }
      return Entry(pool: "\(lines[0])", upstream: "\(lines[1])", unit: "\(lines[2])")
    }
  }

  /// Starts a unit that an earlier proxy has left stopped, unless somebody else has, and forgets the note. Blocks within
  /// the limit.
  ///
  /// - Parameters:
  ///   - target: the upstream, as the configuration has it now.
  ///   - service: what restarts it.
  /// - Returns: true when it was this that has started it.
  public func start(
    _ target: RestartTarget, _ service: UpstreamService, within limit: WaitLimit
  ) throws(ProcessManagerError) -> Bool {
    guard let driver = service.manager?.driver, driver.restartSteps.contains(.start) else {
      remove(target)
      return false
    }
    let status = try driver.inspect(target, within: limit)
    guard status.state == .stopped || status.state == .stopping else {
      remove(target)
      return false
    }
    while try driver.inspect(target, within: limit).state == .stopping {
      let end = try? pause(.milliseconds(100), within: limit)
      if end == .cancelled || limit.deadline.hasPassed {
        throw ProcessManagerError(
          .timedOut, "\(target.unit) still stops", advice: "start it when it has ended")
      }
    }
    _ = try driver.perform(.start, on: target, within: limit)
    remove(target)
    return true
  }

  private func path(_ target: RestartTarget) -> String? { path(target.pool, target.upstream) }

  /// Names have no `/` in them, and no `,`.
  private func path(_ pool: String, _ upstream: String) -> String? {
    folder.map { "\($0)/\(pool),\(upstream)\(Self.ending)" }
  }
}
