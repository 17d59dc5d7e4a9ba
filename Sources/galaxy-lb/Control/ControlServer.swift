import EventLoop
import SystemCalls
import UpstreamPool

/// What a request comes to.
enum ControlReply {
  case response(ControlResponse)
  case stream(ProgressStream)
}

/// Serves a listening socket on the main loop: the control socket with everything, or the address of the metrics with
/// these alone.
final class ControlServer: Channel {
  /// What is served.
  enum Audience {
    case control(ControlPermission)
    case metricsOnly
  }

  private let plane: ControlPlane
  private let audience: Audience
  private var connections: [ControlConnection] = []

  /// More connections than this are not kept open at a time.
  static let maximumConnections = 64
  /// Milliseconds to wait out a lack of descriptors.
  private static let pauseWhenExhausted: Int64 = 100

  /// Takes a listening socket, and serves it until `stop`.
  init(_ loop: EventLoop, owning descriptor: Int32, plane: ControlPlane, for audience: Audience) {
    self.plane = plane
    self.audience = audience
    super.init(loop: loop, owning: descriptor)
    open()
  }

  /// In bytes. Nothing that is for everybody has a body.
  var largestBody: Int {
    if case .control = audience { 65_536 } else { 0 }
  }

  var isStopping: Bool { plane.isStopping }

  /// Closes the socket and all connections.
  func stop() {
    close()
    for connection in connections { connection.end() }
  }

  override func becameReady(_ news: Readiness) { loop.enqueue(self, for: .receiveRequests) }

  override func deadlinePassed() { loop.enqueue(self, for: .receiveRequests) }

  override func run(_ phase: Phase) {
    while true {
      switch accept(from: descriptor) {
      case .connection(let number, _): adopt(number)
      case .aborted: continue
      case .none: return
      case .exhausted(let error), .failed(let error):
        plane.log.error("cannot accept control connections", ["error": error])
        loop.setDeadline(of: self, in: Self.pauseWhenExhausted)
        return
      }
    }
  }

  private func adopt(_ number: Int32) {
    // One that is idle makes room: a client that holds many open must not lock an administrator out.
    if connections.count >= Self.maximumConnections { connections.first { $0.isIdle }?.end() }
    guard connections.count < Self.maximumConnections else {
      plane.log.warning("control connection refused", ["limit": Self.maximumConnections])
      _ = Descriptor(owning: number)
      return
    }
    let connection = ControlConnection(self, owning: number)
    connections.append(connection)
    connection.begin()
  }

  func forget(_ connection: ControlConnection) {
    connections.removeAll { $0 === connection }
  }

  // MARK: Requests

  /// Carries a request out.
  ///
  /// - Parameter socket: the connection that it came on.
  func reply(to request: ControlRequest, from socket: Int32) -> ControlReply {
    do throws(ControlFailure) {
      let call = try ControlCall(request)
      switch audience {
      case .metricsOnly:
        guard call == .metrics else { throw ControlFailure(404, "no such resource, expected /metrics") }
      case .control(let permission):
        guard call.isReading || permission.allowsChanges(of: socket) else {
          throw ControlFailure(403, "permission denied: \(ControlPermission.rule)")
        }
      }
      return try plane.carryOut(call)
    } catch {
      return .response(ControlResponse(error))
    }
  }
}

extension ControlPlane {
  fileprivate func carryOut(_ call: ControlCall) throws(ControlFailure) -> ControlReply {
    switch call {
    case .status: return .response(ControlResponse(statusDocument))
    case .upstreams:
      return .response(
        ControlResponse(["upstreams": .array(upstreams.map { document($0.upstream, of: $0.pool) })]))
    case .upstream(let poolName, let name):
      let (pool, upstream) = try upstream(name, in: poolName)
      return .response(ControlResponse(document(upstream, of: pool)))
    case .metrics: return .response(ControlResponse(metrics: metricsText))
    case .reload:
      guard reload() else {
        throw ControlFailure(
          422, "the configuration can't be used, the old one stays in force; the log says what is wrong")
      }
      return .response(ControlResponse(["reloads": .integer(reloads)]))
    case .change(let poolName, let name, let change):
      let (pool, upstream) = try upstream(name, in: poolName)
      return carryOut(change, upstream, pool)
    case .restartState: return .response(ControlResponse(restart.document))
    case .restart(let request): return .stream(try restart.begin(request))
    case .abortRestart:
      try restart.abort()
      return .response(ControlResponse(["aborting": true]))
    }
  }

  private func carryOut(_ change: ControlCall.Change, _ upstream: Upstream, _ pool: Pool) -> ControlReply {
    switch change {
    case .drain(let reason, let waits, let timeout):
      let barrier = set(.draining, reason: reason, for: upstream, of: pool)
      if waits { return .stream(DrainProgress(upstream, of: pool, barrier, timeout: timeout)) }
    case .ready: set(.ready, reason: nil, for: upstream, of: pool)
    case .maintenance(let reason): set(.maintenance, reason: reason, for: upstream, of: pool)
    case .weight(let weight): setWeight(weight, of: upstream, in: pool)
    }
    return .response(ControlResponse(document(upstream, of: pool)))
  }
}
