/// How far one upstream is.
public enum UpstreamPhase: Hashable, Sendable {
  /// Its turn has not come.
  case waiting
  case draining
  case restarting
  case awaitingReadiness
  /// Ready, with a share of its traffic.
  case probation
  case completed
  case failed(UpstreamFault)

  /// True from the order to restart until it has ended well or badly: there is no way back.
  var isCommitted: Bool {
    switch self {
    case .restarting, .awaitingReadiness, .probation: true
    case .waiting, .draining, .completed, .failed: false
    }
  }

  /// True while it is the restart's doing that it is out, or not relied on.
  var isUnderWay: Bool { isCommitted || self == .draining }
}

/// Why an upstream was given up.
public enum UpstreamFault: Hashable, Sendable {
  /// The order to restart could not be carried out.
  case notRestarted(String)
  /// The process manager gave up the start.
  case process(ProcessFailure)
  /// The order to restart was not carried out within the restart time-out.
  case restartTimedOut
  /// It was not ready within the restart time-out.
  case notReady(ReadinessObstacle)
  /// It runs another version than the one on disk.
  case wrongVersion(running: String?, onDisk: String)
  case worseThanOthers(ProbationRule.Finding)
  /// It went down during probation.
  case wentDown
  /// Another process took its place during probation.
  case replaced
  /// Somebody else changed what is wanted of it; it was left as they want it.
  case takenOver
  /// It went down before its turn, and did not come back in time.
  case notBack
  /// What it had in flight could not be learned, so that it was not restarted.
  case drainUnobserved

  /// What becomes of an upstream with this fault.
  enum Aftermath: Hashable {
    case staysOut
    /// It was not touched, and serves again.
    case returns
    case isLeftAlone
  }

  var aftermath: Aftermath {
    switch self {
    case .takenOver, .notBack: .isLeftAlone
    case .drainUnobserved: .returns
    case .notRestarted, .process, .restartTimedOut, .notReady, .wrongVersion, .worseThanOthers, .wentDown,
      .replaced:
      .staysOut
    }
  }
}

/// What a readiness probe met last.
public enum ReadinessObstacle: Hashable, Sendable {
  case neverAnswered
  case badAnswer(String)
  /// What answered was the incarnation from before the restart, or could not be told.
  case notANewIncarnation(ServerIncarnation?)
  /// Its command was carried out, and the socket is the one from before.
  case socketStays
  /// Behind the socket that stays, what answered was of the version from before.
  case oldVersion(String, onDisk: String)
  /// Good answers, but not enough in a row.
  case tooFewAnswers(Int)
}
