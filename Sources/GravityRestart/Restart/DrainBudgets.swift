/// The kinds of work that a drain waits for, each with a budget of its own.
public enum DrainClass: UInt8, Hashable, Sendable, CaseIterable {
  case ordinary
  case upload
  case download
  /// Server-sent events: ended at an event boundary at once, as the browser comes back by itself.
  case eventStream
  /// A WebSocket or another tunnel: closed when its budget has run out.
  case tunnel
}

/// A number for each class of work.
public struct WorkInFlight: Hashable, Sendable {
  private var counts: [Int]

  /// None at all.
  public init() { counts = Array(repeating: 0, count: DrainClass.allCases.count) }

  public subscript(_ kind: DrainClass) -> Int {
    get { counts[Int(kind.rawValue)] }
    set { counts[Int(kind.rawValue)] = newValue }
  }

  public var total: Int { counts.reduce(0, +) }
}

/// How long a drain waits, in milliseconds from its beginning.
public struct DrainBudgets: Hashable, Sendable {
  public var ordinary: Int64 = 120_000
  public var upload: Int64 = 600_000
  public var download: Int64 = 600_000
  /// For the boundary after an event to come.
  public var eventStream: Int64 = 10_000
  /// Until tunnels are asked to close.
  public var tunnel: Int64 = 10_000
  /// From there until those are cut that did not close (RFC 6455 7.1.1: the peer answers the Close frame).
  public var tunnelClosing: Int64 = 5_000
  /// From the last cut of what is left until the upstream is restarted although leases are still alive.
  public var afterLastCut: Int64 = 2_000

  public init() {}

  /// When what is left of a class is cut, in milliseconds from the beginning of the drain.
  public func cut(_ kind: DrainClass) -> Int64 {
    switch kind {
    case .ordinary: ordinary
    case .upload: upload
    case .download: download
    case .eventStream: eventStream
    case .tunnel: tunnel + tunnelClosing
    }
  }

  /// No drain takes longer.
  public var limit: Int64 { DrainClass.allCases.map(cut).max()! + afterLastCut }
}
