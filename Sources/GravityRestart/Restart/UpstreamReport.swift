/// What happened to one upstream of a restart. Times in milliseconds; nil for what it did not come to.
public struct UpstreamReport: Hashable, Sendable {
  public enum Fate: Hashable, Sendable {
    case untouched
    case restarted
    case failed(UpstreamFault)
  }

  public let name: String
  public internal(set) var fate = Fate.untouched
  /// From the beginning of the drain to the order to restart.
  public internal(set) var drainTime: Int64?
  /// In flight when the drain began.
  public internal(set) var waitedFor = WorkInFlight()
  /// Cut because its budget ran out.
  public internal(set) var cut = WorkInFlight()
  /// Still alive at the restart, although everything had been cut.
  public internal(set) var leftOver = WorkInFlight()
  /// Drains that were undone, because other upstreams went down or the restart stopped.
  public internal(set) var drainsUndone = 0
  /// From the order to restart until it was carried out.
  public internal(set) var restartTime: Int64?
  /// From there until it was ready.
  public internal(set) var readinessTime: Int64?
  public internal(set) var probationTime: Int64?
  public internal(set) var versionBefore: String?
  public internal(set) var versionAfter: String?
  public internal(set) var incarnationBefore: ServerIncarnation?
  public internal(set) var incarnationAfter: ServerIncarnation?
  /// How often it got another incarnation without the restart's doing.
  public internal(set) var foreignRestarts = 0
  /// The first failures of users' requests, at most `keptFailures`.
  public private(set) var failures: [RequestFailure] = []
  public private(set) var failureCount = 0

  /// A report stays readable, and bounded, however much fails.
  public static let keptFailures = 20

  init(name: String) { self.name = name }

  mutating func add(_ failure: RequestFailure) {
    failureCount += 1
    if failures.count < Self.keptFailures { failures.append(failure) }
  }
}
