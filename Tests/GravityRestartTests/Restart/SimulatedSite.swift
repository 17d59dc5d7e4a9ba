@testable import GravityRestart

/// What surrounds a simulated restart: processes and their boots, people, and users' requests.
extension Simulation {
  mutating func stop(_ upstream: Int) {
    servers[upstream].starts += 1
    servers[upstream].incarnation = nil
    servers[upstream].answers = false
    servers[upstream].leases = []
    noticeHealth(of: upstream)
    tellInFlight(upstream)
  }

  mutating func start(_ upstream: Int, version: String, answers: Bool) {
    nextProcess += 1
    servers[upstream].starts += 1
    servers[upstream].incarnation = ServerIncarnation(process: nextProcess, inode: UInt64(nextProcess))
    servers[upstream].version = version
    servers[upstream].answers = answers
    servers[upstream].failsRequests = false
  }

  /// What its process does later, unless it is another one by then.
  mutating func later(
    _ delay: Int64, for upstream: Int, _ happen: @escaping (inout Simulation) -> Void
  ) {
    let starts = servers[upstream].starts
    schedule(in: delay) { if $0.servers[upstream].starts == starts { happen(&$0) } }
  }

  mutating func noticeHealth(of upstream: Int) {
    schedule(in: .random(in: 0...300, using: &random)) { simulation in
      let server = simulation.servers[upstream]
      let liveness: UpstreamLiveness = server.answers ? .up : server.incarnation == nil ? .down : .starting
      guard server.liveness != liveness else { return }
      simulation.servers[upstream].liveness = liveness
      simulation.tell(upstream, .liveness(liveness))
    }
  }

  mutating func boot(_ upstream: Int, keepsProcess: Bool) {
    let boot = isLucky(trouble) ? Boot.allCases.randomElement(using: &random)! : .works
    invariants.noteBoot(boot)
    switch boot {
    case .isRefused:
      schedule(in: .random(in: 1...2_000, using: &random)) { $0.tell(upstream, .restartFailed("BAD_NAME")) }
    case .hangs: stop(upstream)
    case .changesNothing: schedule(in: 100) { $0.tell(upstream, .restartDone) }
    default: carryOut(boot, upstream, keepsProcess: keepsProcess)
    }
  }

  mutating func carryOut(_ boot: Boot, _ upstream: Int, keepsProcess: Bool) {
    let before = servers[upstream].incarnation
    stop(upstream)
    let delay = Int64.random(in: 100...9_000, using: &random)
    if keepsProcess, isLucky(80) {
      later(.random(in: 1...delay, using: &random), for: upstream) { $0.tell(upstream, .handedOver) }
    }
    later(delay, for: upstream) { simulation in
      simulation.start(upstream, version: boot == .answersOldVersion ? "1" : "2", answers: false)
      if keepsProcess { simulation.servers[upstream].incarnation = before }
      simulation.servers[upstream].failsRequests = boot == .failsUnderTraffic
      simulation.tell(upstream, .restartDone)
      simulation.goOn(boot, upstream)
    }
  }

  mutating func goOn(_ boot: Boot, _ upstream: Int) {
    let longest = plan.upstreams[upstream].restartTimeout + (isLucky(trouble) ? 20_000 : -9_000)
    let delay = Int64.random(in: 500...max(longest, 500), using: &random)
    switch boot {
    case .neverAnswers: return
    case .endsEarly:
      later(.random(in: 1...3_000, using: &random), for: upstream) { simulation in
        simulation.stop(upstream)
        simulation.tell(upstream, .processFailed(.backOff("exit status 1")))
      }
      return
    case .isReplacedMeanwhile:
      later(.random(in: 1...9_000, using: &random), for: upstream) { $0.restartBehindTheBack(upstream) }
    case .diesUnderTraffic:
      later(delay + .random(in: 1...20_000, using: &random), for: upstream) { $0.stop(upstream) }
    case .isReplacedUnderTraffic:
      later(delay + .random(in: 1...20_000, using: &random), for: upstream) {
        $0.restartBehindTheBack(upstream)
      }
    case .works, .answersOldVersion, .failsUnderTraffic, .isRefused, .hangs, .changesNothing: break
    }
    answer(upstream, in: delay)
  }

  mutating func answer(_ upstream: Int, in delay: Int64) {
    later(delay, for: upstream) { simulation in
      simulation.servers[upstream].answers = true
      simulation.noticeHealth(of: upstream)
    }
  }

  /// By people, or by a process manager whose process has died.
  mutating func restartBehindTheBack(_ upstream: Int) {
    let version = servers[upstream].version
    stop(upstream)
    later(.random(in: 0...1_000, using: &random), for: upstream) { simulation in
      simulation.start(upstream, version: version, answers: false)
      simulation.answer(upstream, in: .random(in: 100...30_000, using: &simulation.random))
      guard let incarnation = simulation.servers[upstream].incarnation else { return }
      simulation.later(.random(in: 0...500, using: &simulation.random), for: upstream) {
        $0.invariants.noteTold(incarnation, of: upstream)
        $0.tell(upstream, .incarnationChanged(incarnation))
      }
    }
  }

  // MARK: People and traffic

  mutating func schedulePeopleAndTraffic() {
    for upstream in servers.indices { for _ in 0..<3 { beginRequest(upstream) } }
    traffic()
    if isLucky(15) { schedule(in: moment()) { $0.tell(.abort) } }
    for upstream in servers.indices {
      if isLucky(8) { schedule(in: moment()) { $0.restartBehindTheBack(upstream) } }
      if isLucky(8) { schedule(in: moment()) { $0.stop(upstream) } }
      if isLucky(4) { schedule(in: moment()) { $0.withdraw(upstream) } }
    }
  }

  mutating func moment() -> Int64 {
    .random(in: 0...[3_000, 30_000, 300_000].randomElement(using: &random)!, using: &random)
  }

  mutating func withdraw(_ upstream: Int) {
    guard servers[upstream].administration != .maintenance else { return }
    servers[upstream].administration = .withdrawnByPeople
    tell(upstream, .standing(.withdrawn))
    guard isLucky(50) else { return }
    schedule(in: moment()) { simulation in
      guard simulation.servers[upstream].administration == .withdrawnByPeople else { return }
      simulation.servers[upstream].administration = .ready
      simulation.tell(upstream, .standing(.ready))
    }
  }

  mutating func traffic() {
    schedule(in: .random(in: 500...8_000, using: &random)) { simulation in
      for upstream in simulation.servers.indices where simulation.servers[upstream].isEligible {
        simulation.beginRequest(upstream)
      }
      let held = Int64.random(in: 0...5_000, using: &simulation.random)
      simulation.invariants.noteHeld(held)
      simulation.tell(.held(held))
      simulation.traffic()
    }
  }

  mutating func beginRequest(_ upstream: Int) {
    nextLease += 1
    let lease = Lease(number: nextLease, kind: DrainClass.allCases.randomElement(using: &random)!)
    servers[upstream].leases.append(lease)
    let duration: ClosedRange<Int64> =
      switch lease.kind {
      case .ordinary: 1...15_000
      case .upload, .download: 1...60_000
      case .eventStream, .tunnel: 60_000...6_000_000
      }
    endLease(lease.number, of: upstream, in: .random(in: duration, using: &random))
    if lease.kind == .ordinary, isLucky(10) { becomeStream(lease.number, of: upstream) }
  }

  mutating func becomeStream(_ number: Int, of upstream: Int) {
    schedule(in: .random(in: 1...5_000, using: &random)) { simulation in
      let leases = simulation.servers[upstream].leases
      guard let place = leases.firstIndex(where: { $0.number == number && $0.cutAt == nil }) else { return }
      simulation.servers[upstream].leases[place].kind = .eventStream
      simulation.tellInFlight(upstream)
    }
  }
}
