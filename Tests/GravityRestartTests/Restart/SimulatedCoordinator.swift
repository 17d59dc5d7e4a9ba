@testable import GravityRestart

/// The coordinator of a simulated restart: carries out what the machine says, and tells it what comes of it.
extension Simulation {
  mutating func perform(_ actions: [RestartAction]) {
    for action in actions {
      trace("> \(action)")
      violations += invariants.violations(of: action, at: now, servers, machine)
      switch action {
      case .beginPreflight(let upstreams): for upstream in upstreams { look(at: upstream) }
      case .setDraining(let upstream):
        servers[upstream].administration = .draining
        schedule(in: 0) { $0.tellInFlight(upstream) }
      case .endEventStreams(let upstream): end(.eventStream, of: upstream, within: 0...8_000, per: 95)
      case .closeTunnels(let upstream): end(.tunnel, of: upstream, within: 0...8_000, per: 80)
      case .cutRemaining(let upstream, let kind): cut(kind, of: upstream)
      case .restart(let upstream): boot(upstream, keepsProcess: plan.method(upstream) == .handOver)
      case .reload(let upstream): boot(upstream, keepsProcess: true)
      case .probe(let upstream): probe(upstream)
      case .beginProbation(let upstream, _):
        servers[upstream].administration = .ready
        sample(upstream)
      case .raiseShare: break
      case .resume(let upstream): servers[upstream].administration = .ready
      case .admit(let upstream):
        servers[upstream].administration = .ready
        // What did not end although it was cut will be cut again by the next drain.
        for place in servers[upstream].leases.indices { servers[upstream].leases[place].cutAt = nil }
      case .keepOut(let upstream): servers[upstream].administration = .maintenance
      case .report(.misplaced(let event)): violate("misplaced: \(event)")
      case .report: break
      case .finish(let outcome): self.outcome = outcome
      }
    }
  }

  mutating func look(at upstream: Int) {
    // Sometimes nobody ever answers.
    if isLucky(1) { return }
    schedule(in: .random(in: 1...2_000, using: &random)) { simulation in
      let server = simulation.servers[upstream]
      let unit: PreflightFacts.Unit = server.incarnation == nil ? .stopped : .running
      let facts = PreflightFacts(
        unit: unit, answers: server.answers, incarnation: server.incarnation, versionRunning: server.version,
        versionOnDisk: "2")
      simulation.invariants.noteTold(server.incarnation, of: upstream)
      simulation.tell(.preflight(upstream, facts))
    }
  }

  mutating func tellInFlight(_ upstream: Int) {
    guard servers[upstream].administration == .draining else { return }
    var work = WorkInFlight()
    for lease in servers[upstream].leases { work[lease.kind] += 1 }
    tell(upstream, .inFlight(work))
  }

  mutating func end(
    _ kind: DrainClass, of upstream: Int, within delay: ClosedRange<Int64>, per cent: Int
  ) {
    for lease in servers[upstream].leases where lease.kind == kind {
      if isLucky(cent) { endLease(lease.number, of: upstream, in: .random(in: delay, using: &random)) }
    }
  }

  mutating func endLease(_ number: Int, of upstream: Int, in delay: Int64) {
    schedule(in: delay) { simulation in
      guard let place = simulation.servers[upstream].leases.firstIndex(where: { $0.number == number }) else {
        return
      }
      simulation.servers[upstream].leases.remove(at: place)
      simulation.tellInFlight(upstream)
    }
  }

  mutating func cut(_ kind: DrainClass, of upstream: Int) {
    for place in servers[upstream].leases.indices {
      let lease = servers[upstream].leases[place]
      guard lease.kind == kind, lease.cutAt == nil else { continue }
      servers[upstream].leases[place].cutAt = now
      invariants.noteCut(kind, of: upstream)
      // Now and then one doesn't end, through a fault elsewhere.
      if isLucky(97) { endLease(lease.number, of: upstream, in: .random(in: 0...50, using: &random)) }
    }
  }

  mutating func probe(_ upstream: Int) {
    schedule(in: .random(in: 1...300, using: &random)) { simulation in
      let server = simulation.servers[upstream]
      if server.answers {
        simulation.invariants.noteTold(server.incarnation, of: upstream)
        simulation.invariants.noteGoodAnswer(of: upstream, server)
        simulation.tell(upstream, .probed(.good(server.incarnation, version: server.version)))
      } else {
        simulation.tell(upstream, .probed(.bad("no answer")))
      }
    }
  }

  mutating func sample(_ upstream: Int) {
    schedule(in: 1_000) { simulation in
      guard simulation.machine.phase(of: upstream) == .probation else { return }
      let requests = Int.random(in: 0...60, using: &simulation.random)
      let own = TrafficSample(
        requests: requests, failures: simulation.servers[upstream].failsRequests ? requests / 2 : 0,
        latency: 20)
      simulation.tell(upstream, .sampled(own: own, others: TrafficSample(requests: 100, latency: 20)))
      simulation.sample(upstream)
    }
  }
}
