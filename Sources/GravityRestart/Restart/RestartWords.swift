extension UpstreamFault: CustomStringConvertible {
  /// Why the upstream was given up, for people.
  public var description: String {
    switch self {
    case .notRestarted(let reason): "it could not be restarted: \(reason)"
    case .process(.backOff(let reason)): "it ended soon after its start: \(reason)"
    case .process(.fatal(let reason)): "it does not start: \(reason)"
    case .process(.exited(let reason)): "it ended: \(reason)"
    case .restartTimedOut: "it was not restarted within its restart time-out"
    case .notReady(let obstacle): "it was not ready within its restart time-out: \(obstacle)"
    case .wrongVersion(let running, let onDisk):
      "it runs version \(running ?? "unknown"), and on disk is \(onDisk); --allow-version-skew lets that pass"
    case .worseThanOthers(.errors(let own, let others)):
      "\(own.failures) of its \(own.requests) requests failed on probation, \(others.failures) of \(others.requests) "
        + "of the others"
    case .worseThanOthers(.latency(let own, let others)):
      "it was slow on probation: \(own) ms, the others \(others) ms"
    case .wentDown: "it went down on probation"
    case .replaced: "another process took its place on probation"
    case .takenOver: "somebody else changed what is wanted of it"
    case .notBack: "it went down before its turn and did not come back"
    case .drainUnobserved: "it can't be told what it has in flight"
    }
  }
}

extension RestartPlan {
  /// Why a restart halted, for people.
  public func describe(_ reason: HaltReason) -> String {
    switch reason {
    case .upstreamFailed(let upstream, let fault): "\(upstreams[upstream].name): \(fault)"
    case .tooFewAvailable(let available, let needed):
      "\(available) of \(upstreams.count) upstreams are eligible, and min_available is \(needed)"
    }
  }
}

extension ReadinessObstacle: CustomStringConvertible {
  public var description: String {
    switch self {
    case .neverAnswered: "it never answered"
    case .badAnswer(let reason): reason
    case .notANewIncarnation(nil): "who answers can't be told"
    case .notANewIncarnation: "the process from before still answers"
    case .socketStays:
      "its socket is still the one from before; if the command hands the listening socket on, say 'keeps_socket: true' "
        + "in its service"
    case .oldVersion(let running, let onDisk): "version \(running) still answers, and on disk is \(onDisk)"
    case .tooFewAnswers(let count): "only \(count) good answers in a row"
    }
  }
}
