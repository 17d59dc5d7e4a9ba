import HTTP1
import UpstreamPool

/// What one loop counts about its clients. Written by that loop alone.
final class WorkerStatistics: Sendable {
  private let front = CacheLinePadding()
  /// Client connections that were accepted to be served.
  let connections = SingleWriterCounter()
  /// Client connections that were refused because there were too many.
  let refusedConnections = SingleWriterCounter()
  private let ends = CounterArray(EndReason.all.count)
  private let back = CacheLinePadding()

  /// A request, or what was to be one, has ended.
  func note(_ reason: EndReason) { ends.add(at: reason.number, 1) }

  func count(of reason: EndReason) -> Int { ends[reason.number] }
}

extension EndReason {
  /// Every reason there is; `number` is the place in it.
  static let all: [EndReason] =
    [
      .completed, .tunnelClosed, .clientLeft, .clientTimedOut, .noUpstream, .holdExpired, .holdRefused,
      .noRoute,
      .resourcesExhausted, .stopped, .drainExpired,
    ] + Rejection.allCases.map { .requestRejected($0) } + UpstreamFailure.allCases.map { .upstreamFailed($0) }

  private static let firstRejection = 11

  var number: Int {
    switch self {
    case .completed: 0
    case .tunnelClosed: 1
    case .clientLeft: 2
    case .clientTimedOut: 3
    case .noUpstream: 4
    case .holdExpired: 5
    case .holdRefused: 6
    case .noRoute: 7
    case .resourcesExhausted: 8
    case .stopped: 9
    case .drainExpired: 10
    case .requestRejected(let reason): Self.firstRejection + Int(reason.rawValue)
    case .upstreamFailed(let failure):
      Self.firstRejection + Rejection.allCases.count + Int(failure.rawValue)
    }
  }
}
