/// What is to be done now, in this order. Upstreams by their number in the plan.
public enum RestartAction: Hashable, Sendable {
  /// Find out about these; each is answered by a `RestartEvent.preflight`.
  case beginPreflight([Int])
  /// No new work, idle connections closed; then say what is in flight until it is restarted.
  case setDraining(Int)
  /// End its server-sent events, each after the next event.
  case endEventStreams(Int)
  /// Ask its tunnels to close: to a WebSocket a Close frame with 1001 (RFC 6455 7.4.1).
  case closeTunnels(Int)
  /// End everything of this class at once.
  case cutRemaining(Int, DrainClass)
  /// Stop and start exactly this one, or start it when it is stopped.
  case restart(Int)
  /// HUP to its gunicorn master; done when the workers of before are gone.
  case reload(Int)
  /// Ask for its version on a new connection, once, with a time-out.
  case probe(Int)
  /// It takes work again while it reloads, all that wait at once.
  case resume(Int)
  /// Make it ready with so many per cent of its share, and sample it and the others together.
  case beginProbation(Int, share: Int)
  /// Give it more, and sample anew.
  case raiseShare(Int, share: Int)
  /// Make it ready with all of its share.
  case admit(Int)
  /// Into maintenance, until people or another restart bring it back.
  case keepOut(Int)
  /// For the live view and the log.
  case report(RestartProgress)
  /// The restart has ended; nothing follows.
  case finish(RestartOutcome)
}

/// What watchers are told.
public enum RestartProgress: Hashable, Sendable {
  case approach(RestartApproach)
  case phase(Int, UpstreamPhase)
  /// Nothing goes on until more upstreams are eligible.
  case waitingForCapacity(available: Int, needed: Int)
  /// No further upstream is begun.
  case stopping(StopReason)
  /// An event that can't happen here: a fault of the coordinator. It changed nothing.
  case misplaced(RestartEvent)
}
