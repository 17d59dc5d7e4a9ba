import EventLoop
import JSON
import UpstreamPool

/// Tells how a drain goes on: what is in flight, by class, whenever that changes and at least every second, until
/// nothing is, the time is over, or somebody has changed their mind.
///
/// The upstream stays draining when the client goes, or the time is over: who said so decides when it is ready again.
final class DrainProgress: ProgressStream {
  private let pool: Pool
  private let upstream: Upstream
  private let barrier: TurnBarrier
  private let timeout: Int64?
  private var startedAt: Int64 = 0
  private var lastReport: Int64 = 0
  private var reported: [Int] = []

  /// Milliseconds between two looks, and the longest time without a line.
  private static let lookInterval: Int64 = 50
  private static let reportInterval: Int64 = 1_000

  /// - Parameter timeout: milliseconds; nil for as long as it takes.
  init(_ upstream: Upstream, of pool: Pool, _ barrier: TurnBarrier, timeout: Int64?) {
    self.upstream = upstream
    self.pool = pool
    self.barrier = barrier
    self.timeout = timeout
  }

  override func begin(on connection: ControlConnection) {
    super.begin(on: connection)
    startedAt = connection.loop.now
    look()
  }

  override func deadlinePassed() { look() }

  private func look() {
    guard let loop = connection?.loop else { return }
    let counts = inFlight
    if upstream.state.administrative == .ready {
      finish(line("cancelled", counts))
    } else if barrier.isPassed, upstream.inFlight == 0 {
      finish(line("drained", counts))
    } else if let timeout, loop.now - startedAt >= timeout {
      finish(line("timed_out", counts))
    } else {
      if counts != reported || loop.now - lastReport >= Self.reportInterval {
        reported = counts
        lastReport = loop.now
        report(line("draining", counts))
      }
      loop.setDeadline(of: self, in: Self.lookInterval)
    }
  }

  /// By traffic class.
  private var inFlight: [Int] { TrafficClass.allCases.map(upstream.inFlight) }

  private func line(_ event: String, _ counts: [Int]) -> JSON {
    [
      "event": .string(event), "pool": .string(pool.name), "upstream": .string(upstream.settings.name),
      "in_flight": inFlightDocument(counts),
      "elapsed": .seconds(milliseconds: (connection?.loop.now ?? startedAt) - startedAt),
    ]
  }
}
