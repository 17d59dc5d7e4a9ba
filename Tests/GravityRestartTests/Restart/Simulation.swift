import TestSupport

@testable import GravityRestart

/// A whole restart in virtual time: upstreams with their processes, leases, process manager, health checks, people and
/// a coordinator that carries out what the machine says, all of it decided by one seed. Only the machine is the real
/// thing. The invariants that are checked are in `SimulationInvariants.swift`.
struct Simulation {
  struct Lease {
    let number: Int
    var kind: DrainClass
    /// When the drain that goes on has cut it.
    var cutAt: Int64?
  }

  /// What is wanted of an upstream, as the proxy keeps it.
  enum Administration { case ready, draining, maintenance, withdrawnByPeople }

  /// How a restart that the machine orders turns out.
  enum Boot: CaseIterable {
    case works, isRefused, hangs, changesNothing, endsEarly, neverAnswers, answersOldVersion,
      failsUnderTraffic
    case diesUnderTraffic, isReplacedUnderTraffic, isReplacedMeanwhile
  }

  /// The process behind an upstream, and what the proxy knows of it.
  struct Server {
    /// Nil while nothing runs.
    var incarnation: ServerIncarnation?
    var version = "1"
    var answers = true
    var failsRequests = false
    var administration = Administration.ready
    /// What the health checks have told.
    var liveness = UpstreamLiveness.up
    var leases: [Lease] = []
    /// Rises with every start: what an earlier process was to do is void.
    var starts = 0

    var isEligible: Bool { administration == .ready && liveness == .up }
  }

  private struct Happening {
    var time: Int64
    var happen: (inout Simulation) -> Void
  }

  let seed: UInt64
  var random: SeededGenerator
  private(set) var now: Int64 = 0
  private(set) var machine: RestartMachine
  var servers: [Server]
  var invariants: SimulationInvariants
  var outcome: RestartOutcome?
  var violations: [String] = []
  private var happenings: [Happening] = []
  var nextProcess: Int32 = 1_000
  var nextLease = 0
  /// Per cent of restarts that go wrong.
  let trouble: Int
  /// True when events and actions are printed.
  private let isTraced: Bool
  var plan: RestartPlan { machine.plan }

  init(seed: UInt64, isTraced: Bool = false) {
    self.isTraced = isTraced
    var random = SeededGenerator(seed: seed)
    let plan = Self.plan(&random)
    let (machine, actions) = RestartMachine.begin(plan, now: 0)
    self.seed = seed
    self.machine = machine
    trouble = [0, 0, 10, 40, 80].randomElement(using: &random)!
    servers = plan.upstreams.map {
      var server = Server()
      server.liveness = $0.liveness
      server.answers = $0.liveness == .up
      if $0.standing == .keptOut { server.administration = .maintenance }
      return server
    }
    invariants = SimulationInvariants(plan)
    self.random = random
    for upstream in servers.indices { start(upstream, version: "1", answers: servers[upstream].answers) }
    perform(actions)
    schedulePeopleAndTraffic()
  }

  private static func plan(_ random: inout SeededGenerator) -> RestartPlan {
    var policy = RestartPolicy()
    policy.maximumUnavailable = [.number(1), .number(1), .number(2), .percent(50)].randomElement(
      using: &random)!
    policy.minimumAvailable = [.number(1), .number(1), .number(0), .number(2), .percent(50)]
      .randomElement(using: &random)!
    policy.startsStopped = Int.random(in: 0..<4, using: &random) == 0
    policy.capacityWait = .random(in: 1...60_000, using: &random)
    policy.readiness.successes = .random(in: 1...3, using: &random)
    policy.readiness.interval = .random(in: 250...4_000, using: &random)
    policy.readiness.allowsVersionSkew = Int.random(in: 0..<5, using: &random) == 0
    if Bool.random(using: &random) { policy.probation = nil }
    policy.budgets.ordinary = .random(in: 0...20_000, using: &random)
    policy.budgets.upload = .random(in: 0...60_000, using: &random)
    policy.budgets.download = .random(in: 0...60_000, using: &random)
    policy.budgets.eventStream = .random(in: 0...5_000, using: &random)
    policy.budgets.tunnel = .random(in: 0...5_000, using: &random)
    // So that most are of the way that most have.
    let methods = RestartMethod.allCases + Array(repeating: .replace, count: 6)
    let method = methods.randomElement(using: &random)!
    let isPreloaded = method != .reload && Bool.random(using: &random)
    let members = (0..<Int.random(in: 1...5, using: &random)).map { number in
      let isDown = policy.startsStopped && Int.random(in: 0..<3, using: &random) == 0
      return PlannedUpstream(
        name: "g\(number)", method: method, isPreloaded: isPreloaded,
        restartTimeout: .random(in: 10_000...90_000, using: &random),
        standing: isDown && Bool.random(using: &random) ? .keptOut : .ready, liveness: isDown ? .down : .up)
    }
    let only = members.map(\.name).shuffled(using: &random).prefix(.random(in: 1...5, using: &random))
    do {
      return try RestartPlan(
        upstreams: members, only: Bool.random(using: &random) ? Array(only) : nil, policy: policy,
        holdTime: .random(in: 0...90_000, using: &random))
    } catch {
      preconditionFailure("\(error)")
    }
  }

  // MARK: The run

  /// Until the machine has finished; what was violated.
  mutating func run() -> [String] {
    var steps = 0
    while outcome == nil, violations.isEmpty {
      steps += 1
      guard steps < 100_000, now <= plan.longestTime else {
        violate("does not end: \(machine.phase) after \(now) ms and \(steps) steps")
        break
      }
      let tick = machine.nextDeadline ?? .max
      if let next = happenings.last, next.time <= tick {
        happenings.removeLast()
        pass(to: next.time)
        next.happen(&self)
      } else if tick < .max {
        pass(to: max(tick, now))
        tell(.tick)
      } else {
        violate("nothing is due any more in \(machine.phase)")
      }
    }
    if let outcome { violations += invariants.violations(after: outcome, servers) }
    return violations
  }

  private mutating func pass(to time: Int64) {
    invariants.pass(time - now, servers)
    now = time
    violations += invariants.overdue(at: now, servers)
  }

  mutating func schedule(in delay: Int64, _ happen: @escaping (inout Simulation) -> Void) {
    let happening = Happening(time: now + delay, happen: happen)
    // Sorted by time, the next one last; of those at one time the first one comes first.
    var (low, high) = (happenings.startIndex, happenings.endIndex)
    while low < high {
      let middle = (low + high) / 2
      if happenings[middle].time <= happening.time { high = middle } else { low = middle + 1 }
    }
    happenings.insert(happening, at: low)
  }

  mutating func isLucky(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }

  mutating func violate(_ text: String) { violations.append(text) }

  mutating func tell(_ event: RestartEvent) {
    if outcome != nil { return }
    trace("< \(event)")
    perform(machine.handle(event, now: now))
  }

  func trace(_ text: @autoclosure () -> String) {
    if isTraced { print("\(now) \(text().replacing("GravityRestart.", with: ""))") }
  }

  mutating func tell(_ upstream: Int, _ event: WalkEvent) { tell(.upstream(upstream, event)) }
}
