/// How an upstream is brought to run the new code.
public enum RestartMethod: Hashable, Sendable, CaseIterable {
  /// Its process is stopped and another one started.
  case replace
  /// Its gunicorn master gets a HUP and replaces its workers; process and socket stay.
  case reload
  /// A command replaces its process, and the socket with it.
  case command
  /// A command starts another process on the same listening socket, as gunicorn's USR2 does.
  case handOver
}

/// What users' requests do while upstreams are restarted, and why it is done so.
public enum RestartApproach: Hashable, Sendable {
  /// The other upstreams serve meanwhile.
  case othersServe
  /// The only upstream is drained and replaced, and requests wait in the proxy.
  case hold(HoldReason)
  /// The only upstream is restarted without a drain: gunicorn's listening socket stays and takes requests, its old
  /// workers end theirs.
  case reload(ReloadReason)

  public enum HoldReason: Hashable, Sendable {
    /// Requests can wait for as long as the upstream is away.
    case longEnough
    /// Gunicorn would keep the old code, which it loaded before it forked. The time that requests can wait suffices.
    case preloaded
    /// The same, and it may not suffice.
    case preloadedButShort
  }

  public enum ReloadReason: Hashable, Sendable {
    case configured
    /// Its command hands the listening socket on, and may take longer than requests can wait.
    case keepsSocket
    /// The upstream may be away for longer than requests can wait.
    case holdTooShort
  }

  /// - Parameters:
  ///   - count: the upstreams of the pool.
  ///   - upstream: the one that would be alone.
  ///   - holdTime: milliseconds that a request can wait in the proxy; 0 for not at all.
  ///   - absence: milliseconds from drain to readiness as the last restart took; nil when it is not known.
  static func choose(count: Int, upstream: PlannedUpstream, holdTime: Int64, absence: Int64?) -> Self {
    if count > 1 { return .othersServe }
    let suffices = holdTime >= absence ?? upstream.restartTimeout
    switch (upstream.method, upstream.isPreloaded) {
    case (.reload, _): return .reload(.configured)
    case (.handOver, _): return suffices ? .hold(.longEnough) : .reload(.keepsSocket)
    case (.replace, true), (.command, true): return .hold(suffices ? .preloaded : .preloadedButShort)
    case (.replace, false), (.command, false): return suffices ? .hold(.longEnough) : .reload(.holdTooShort)
    }
  }

  /// For people.
  public var explanation: String {
    switch self {
    case .othersServe: "the other upstreams serve while one is restarted"
    case .hold(.longEnough): "the only upstream is restarted while requests wait in the proxy"
    case .hold(.preloaded):
      "the only upstream is restarted while requests wait in the proxy; a reload would keep the preloaded code"
    case .hold(.preloadedButShort):
      "the only upstream is restarted while requests wait in the proxy, which may be longer than they can wait; "
        + "a reload would keep the preloaded code"
    case .reload(.configured): "the only upstream reloads its workers, as configured"
    case .reload(.keepsSocket):
      "the only upstream takes requests while it is restarted, because that may take longer than they can wait and "
        + "its command keeps the socket"
    case .reload(.holdTooShort):
      "the only upstream reloads its workers, because a restart may take longer than requests can wait"
    }
  }
}
