/// What was found about one upstream before anything is touched.
public struct PreflightFacts: Hashable, Sendable {
  /// What the process manager says of the upstream's program or unit.
  public enum Unit: Hashable, Sendable {
    case running
    case stopped
    /// It does not start, in the process manager's words.
    case failed(String)
    /// The process manager does not know the name, in its words.
    case unknown(String)
    case managerUnreachable(String)
    /// The process manager can be reached, but not be told anything.
    case forbidden(String)
  }

  public var unit: Unit
  /// True when a probe got a good answer.
  public var answers: Bool
  public var incarnation: ServerIncarnation?
  public var versionRunning: String?
  /// Nil when it can't be told.
  public var versionOnDisk: String?

  public init(
    unit: Unit = .running, answers: Bool = true, incarnation: ServerIncarnation? = nil,
    versionRunning: String? = nil, versionOnDisk: String? = nil
  ) {
    self.unit = unit
    self.answers = answers
    self.incarnation = incarnation
    self.versionRunning = versionRunning
    self.versionOnDisk = versionOnDisk
  }

  /// True when it runs and answers; false for one that has to be brought up.
  var isUp: Bool { unit == .running && answers }
}

/// Why nothing was touched. Upstreams by their number.
public enum PreflightProblem: Hashable, Sendable {
  case notAnswering(Int)
  case stopped(Int)
  case failed(Int, String)
  case unknownUnit(Int, String)
  case managerUnreachable(Int, String)
  case forbidden(Int, String)
  /// An earlier restart kept it out.
  case keptOut(Int)
  /// People drain it or have it in maintenance.
  case withdrawn(Int)
  /// A HUP would not load new code.
  case reloadKeepsCode(Int)
  /// Nobody found out within the time-out.
  case timedOut(Int)
  /// So many upstreams would stay eligible, and so many must.
  case tooFewLeft(Int, needed: Int)
}

extension RestartPlan {
  /// Everything that speaks against beginning, in the order of the walk.
  ///
  /// - Parameters:
  ///   - facts: of those that were found out about.
  ///   - available: the upstreams that are eligible now.
  func problems(_ facts: [Int: PreflightFacts], standing: [UpstreamStanding], available: Set<Int>)
    -> [PreflightProblem]
  {
    var problems = order.compactMap { upstream in
      facts[upstream].map { problem(upstream, $0, standing[upstream]) } ?? .timedOut(upstream)
    }
    let starting = Set(order.filter { !available.contains($0) })
    let left = available.count + starting.count - 1
    if maximumUnavailable == 0 || starting.count < order.count && left < minimumAvailable {
      problems.append(.tooFewLeft(max(left, 0), needed: minimumAvailable))
    }
    return problems
  }

  private func problem(_ upstream: Int, _ facts: PreflightFacts, _ standing: UpstreamStanding)
    -> PreflightProblem?
  {
    switch facts.unit {
    case .unknown(let name): return .unknownUnit(upstream, name)
    case .managerUnreachable(let reason): return .managerUnreachable(upstream, reason)
    case .forbidden(let reason): return .forbidden(upstream, reason)
    case .stopped: if !policy.startsStopped { return .stopped(upstream) }
    case .failed(let reason): if !policy.startsStopped { return .failed(upstream, reason) }
    case .running: if !facts.answers, !policy.startsStopped { return .notAnswering(upstream) }
    }
    switch standing {
    case .withdrawn: return .withdrawn(upstream)
    case .keptOut: if !policy.startsStopped { return .keptOut(upstream) }
    case .ready: break
    }
    return method(upstream) == .reload && upstreams[upstream].isPreloaded ? .reloadKeepsCode(upstream) : nil
  }

  /// What the problem is and what to do about it, for people.
  public func describe(_ problem: PreflightProblem) -> String {
    func name(_ upstream: Int) -> String { upstreams[upstream].name }
    return switch problem {
    case .notAnswering(let upstream):
      "\(name(upstream)) does not answer; repair it, or bring it up with --start-if-stopped"
    case .stopped(let upstream):
      "\(name(upstream)) is stopped; start it, or bring it up with --start-if-stopped"
    case .failed(let upstream, let reason):
      "\(name(upstream)) does not start (\(reason)); repair it, or try again with --start-if-stopped"
    case .unknownUnit(let upstream, let reason):
      "\(name(upstream)): \(reason); run galaxyctl update, or correct the name"
    case .managerUnreachable(let upstream, let reason):
      "\(name(upstream)): the process manager can't be reached (\(reason))"
    case .forbidden(let upstream, let reason):
      "\(name(upstream)): the process manager refuses (\(reason)); run galaxy-lb as the user that Galaxy runs as"
    case .keptOut(let upstream):
      "\(name(upstream)) was kept out by an earlier restart; bring it back with --start-if-stopped"
    case .withdrawn(let upstream):
      "\(name(upstream)) is drained or in maintenance; make it ready, or name the others with --only"
    case .reloadKeepsCode(let upstream):
      "\(name(upstream)) preloads its code, which a reload keeps; restart it by its process manager"
    case .timedOut(let upstream):
      "nothing could be found out about \(name(upstream)) within \(policy.preflightTimeout / 1000) s"
    case .tooFewLeft(let left, let needed):
      "\(left) of \(upstreams.count) upstreams would stay eligible, but min_available is \(needed); "
        + "bring up those that are down, or lower it"
    }
  }
}
