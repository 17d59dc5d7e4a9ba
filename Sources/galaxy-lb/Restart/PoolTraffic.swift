import GravityRestart
import UpstreamPool

/// A pool of the running proxy as a restart sees it. Upstreams are found by their names each time: a reload of the
/// configuration replaces them.
final class PoolTraffic: RestartedPool {
  private let plane: ControlPlane
  private let poolName: String
  private let names: [String]
  /// What an upstream has to have been set to, and when, so that it is a restart that keeps it out.
  private let keptOut: KeptOutUpstreams
  /// Who has to pass before no choice of before can bring an upstream work.
  private var barriers: [Int: TurnBarrier] = [:]
  private var samplesBegan: [Int: (own: UpstreamTraffic, others: UpstreamTraffic)] = [:]

  /// Nine of ten answers begin as fast as what is compared.
  fileprivate static let comparedQuantile = 0.9

  /// - Parameter names: of the upstreams, in the order of the pool.
  init(_ plane: ControlPlane, pool: String, names: [String], keptOut: KeptOutUpstreams) {
    self.plane = plane
    poolName = pool
    self.names = names
    self.keptOut = keptOut
  }

  private var pool: Pool? { plane.site.pools.first { $0.name == poolName } }

  private func find(_ upstream: Int) -> (pool: Pool, upstream: Upstream)? {
    guard let pool, let found = pool.upstreams.first(where: { $0.settings.name == names[upstream] }) else {
      return nil
    }
    return (pool, found)
  }

  // MARK: What is seen

  func administration(of upstream: Int) -> UpstreamAdministration? {
    guard let (_, found) = find(upstream) else { return nil }
    switch found.state.administrative {
    case .ready: return .ready
    case .draining: return .draining
    case .maintenance:
      return keptOut.contains(poolName, names[upstream], since: found.administrativeSince)
        ? .keptOut : .maintenance
    }
  }

  func liveness(of upstream: Int) -> UpstreamLiveness {
    switch find(upstream)?.upstream.state.operational {
    case .up: .up
    case .starting: .starting
    case .down, nil: .down
    }
  }

  func incarnation(of upstream: Int) -> ServerIncarnation? {
    find(upstream)?.upstream.incarnation.map { ServerIncarnation(inode: $0.inode, created: $0.created) }
  }

  func inFlight(of upstream: Int) -> WorkInFlight? {
    guard let (_, found) = find(upstream), barriers[upstream]?.isPassed != false else { return nil }
    var work = WorkInFlight()
    for traffic in TrafficClass.allCases {
      if let kind = DrainClass(traffic) { work[kind] += found.inFlight(traffic) }
    }
    return work
  }

  var oldestWait: Int64 { pool?.oldestWait(now: plane.now) ?? 0 }

  func sample(of upstream: Int) -> (own: TrafficSample, others: TrafficSample) {
    let now = traffic(of: upstream)
    let began = samplesBegan[upstream] ?? now
    return (TrafficSample(now.own - began.own), TrafficSample(now.others - began.others))
  }

  private func traffic(of upstream: Int) -> (own: UpstreamTraffic, others: UpstreamTraffic) {
    var own = UpstreamTraffic()
    var others = UpstreamTraffic()
    for number in names.indices {
      guard let found = find(number)?.upstream else { continue }
      let traffic = UpstreamTraffic(of: found)
      if number == upstream { own = traffic } else { others = others + traffic }
    }
    return (own, others)
  }

  // MARK: What is changed

  func drain(_ upstream: Int) {
    guard let (pool, found) = find(upstream) else { return }
    barriers[upstream] = plane.set(.draining, reason: "it is restarted", for: found, of: pool)
  }

  func endEventStreams(of upstream: Int) {
    if let (pool, found) = find(upstream) { plane.endEventStreams(of: found, in: pool) }
  }

  func closeTunnels(of upstream: Int) {
    if let (pool, found) = find(upstream) { plane.closeTunnels(of: found, in: pool) }
  }

  func cut(_ work: DrainClass, of upstream: Int) {
    if let (pool, found) = find(upstream) { plane.cut(work.trafficClass, of: found, in: pool) }
  }

  func admit(_ upstream: Int, share: Int) {
    guard let (pool, found) = find(upstream) else { return }
    found.excuseSilence(until: 0)
    plane.setShare(share, of: found, in: pool)
    takeWork(upstream, found, pool)
  }

  func resume(_ upstream: Int, excusedFor milliseconds: Int64) {
    guard let (pool, found) = find(upstream) else { return }
    found.excuseSilence(until: plane.now + milliseconds)
    takeWork(upstream, found, pool)
    pool.admitEverybody()
  }

  private func takeWork(_ upstream: Int, _ found: Upstream, _ pool: Pool) {
    // What has outlived the drain may end at a process that is about to close its connections.
    if barriers.removeValue(forKey: upstream) != nil { found.retireConnections() }
    plane.set(.ready, reason: nil, for: found, of: pool)
  }

  func beginSample(of upstream: Int) { samplesBegan[upstream] = traffic(of: upstream) }

  func keepOut(_ upstream: Int, reason: String) {
    guard let (pool, found) = find(upstream) else { return }
    found.excuseSilence(until: 0)
    plane.setShare(Upstream.wholeShare, of: found, in: pool)
    plane.set(.maintenance, reason: reason, for: found, of: pool)
    keptOut.add(poolName, names[upstream], since: found.administrativeSince)
  }

  func noteGoodProbe(of upstream: Int) {
    find(upstream)?.upstream.noteGoodProbe(now: plane.now)
  }
}

/// The upstreams that failed restarts keep out, for as long as nobody says anything else about them.
final class KeptOutUpstreams {
  private var since: [String: Int64] = [:]

  /// - Parameter since: when it was set, in milliseconds of the monotonic clock.
  func add(_ pool: String, _ upstream: String, since moment: Int64) { since["\(pool)/\(upstream)"] = moment }

  func contains(_ pool: String, _ upstream: String, since moment: Int64) -> Bool {
    since["\(pool)/\(upstream)"] == moment
  }
}

extension DrainClass {
  /// Nil for probes, which no drain waits for.
  fileprivate init?(_ traffic: TrafficClass) {
    switch traffic {
    case .ordinary: self = .ordinary
    case .upload: self = .upload
    case .download: self = .download
    case .eventStream: self = .eventStream
    case .tunnel: self = .tunnel
    case .probe: return nil
    }
  }

  var trafficClass: TrafficClass {
    switch self {
    case .ordinary: .ordinary
    case .upload: .upload
    case .download: .download
    case .eventStream: .eventStream
    case .tunnel: .tunnel
    }
  }
}

extension TrafficSample {
  fileprivate init(_ traffic: UpstreamTraffic) {
    self.init(
      requests: traffic.requests, failures: traffic.failures,
      latency: traffic.firstByteQuantile(PoolTraffic.comparedQuantile).map { Int64($0.rounded()) })
  }
}
