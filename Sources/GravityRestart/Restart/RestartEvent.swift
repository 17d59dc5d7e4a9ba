/// What a running restart is told. Upstreams by their number in the plan.
public enum RestartEvent: Hashable, Sendable {
  /// The answer to `RestartAction.beginPreflight`, one for each upstream.
  case preflight(Int, PreflightFacts)
  /// Something about one upstream of the pool, restarted or not.
  case upstream(Int, WalkEvent)
  /// A request has been held for so many milliseconds.
  case held(Int64)
  /// Somebody wants it to stop at the next safe point.
  case abort
  /// Time has passed: due at `RestartMachine.nextDeadline`, harmless before.
  case tick
}

/// What happens to one upstream while it is restarted, or waits for that.
public enum WalkEvent: Hashable, Sendable {
  /// The leases that are alive, without those of probes. Due at once after `RestartAction.setDraining`, and whenever it
  /// changes until the restart.
  case inFlight(WorkInFlight)
  /// The workers that a reload replaces take no more connections, or have had time enough for that; before
  /// `restartDone`.
  case handedOver
  /// The order to restart or reload was carried out: the process was started, or the old workers are gone.
  case restartDone
  /// It could not be carried out, in the words of whoever failed.
  case restartFailed(String)
  /// The process manager has given up a start of it.
  case processFailed(ProcessFailure)
  /// The answer to `RestartAction.probe`.
  case probed(ProbeAnswer)
  /// What traffic has shown since the share was last set; due every second or so during probation.
  case sampled(own: TrafficSample, others: TrafficSample)
  /// Another process listens there.
  case incarnationChanged(ServerIncarnation)
  /// The health checks changed their mind.
  case liveness(UpstreamLiveness)
  /// Somebody else, people as a rule, changed what is wanted of it. Never the echo of an action of the restart.
  case standing(UpstreamStanding)
  /// A user's request to it failed.
  case requestFailed(RequestFailure)
}

/// A request that a user lost during the restart.
public struct RequestFailure: Hashable, Sendable {
  /// Method and path.
  public var request: String
  public var reason: String

  public init(request: String, reason: String) {
    self.request = request
    self.reason = reason
  }
}

/// How a process manager says that a start has failed.
public enum ProcessFailure: Hashable, Sendable {
  /// It ended too soon and will be tried again: supervisor's BACKOFF, systemd's auto-restart.
  case backOff(String)
  /// It is not tried any more: supervisor's FATAL, systemd's failed.
  case fatal(String)
  /// It ended and is not started again.
  case exited(String)
}

/// What a probe came back with, within a time-out of its own.
public enum ProbeAnswer: Hashable, Sendable {
  /// A good answer, by whom, and the version in it.
  case good(ServerIncarnation?, version: String?)
  case bad(String)
}
