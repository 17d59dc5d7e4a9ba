/// What checks and traffic teach about one upstream: thresholds over successes and failures. Time is handed in, in
/// milliseconds of a monotonic clock.
struct UpstreamHealth: Sendable {
  /// Milliseconds until a first new trial by traffic, doubled with every trial that fails.
  static let firstPause: Int64 = 500
  /// The longest pause: recovery is noticed within it plus one request.
  static let longestPause: Int64 = 4_000
  /// Milliseconds between trials of a socket that was made just now: whoever made it need not listen yet.
  static let promptPause: Int64 = 20
  /// So many of these trials may fail before the pauses grow.
  static let promptTrials = 5

  /// Why a probe was not answered well.
  enum ProbeFailure: Sendable {
    /// No connection.
    case unreachable
    /// A connection, but no good answer.
    case noGoodAnswer
  }

  private var settings: HealthSettings
  private(set) var state = OperationalState.up
  /// When it went down; nil while it is up, or starting for another reason.
  private(set) var downSince: Int64?
  private var failuresInARow = 0
  private var goodProbesInARow = 0
  private var pause = firstPause
  private var nextTrial: Int64 = 0
  /// Somebody tries it.
  private var isOnTrial = false
  private var promptTrialsLeft = 0

  /// True when failures are remembered that a success would forget.
  var isSuspicious: Bool { failuresInARow > 0 }

  /// One that is probed has to show that it answers before it gets work; any other is taken for good.
  init(_ settings: HealthSettings, now: Int64) {
    self.settings = settings
    if settings.isProbed {
      state = .starting
      downSince = now
    }
  }

  /// Goes on with other settings, after a reload.
  mutating func adopt(_ settings: HealthSettings) { self.settings = settings }

  // MARK: Traffic

  /// An answer came. What is probed comes up by probes only: the answer may be the last one of a gunicorn that is
  /// being stopped.
  mutating func trafficSucceeded(now: Int64) {
    if state == .up { failuresInARow = 0 } else if !settings.isProbed { rise(now) }
  }

  /// A failure that counts against health.
  mutating func trafficFailed(_ failure: UpstreamFailure, now: Int64) {
    guard failure.countsAgainstHealth else { return }
    goodProbesInARow = 0
    failuresInARow += 1
    if state != .up {
      // What was under way when it died, or was sent there as the last resort, is no trial.
      if isOnTrial {
        isOnTrial = false
        postponeTrial(now)
      }
      if failure.isConclusive { fall(now) }
    } else if failure.isConclusive || failuresInARow >= settings.fall {
      nextTrial = now + pause
      fall(now)
    }
  }

  /// True for the one caller, after each pause, who is to try it. Until that trial has ended nobody else is.
  mutating func takeTrial(now: Int64) -> Bool {
    guard !settings.isProbed, state != .up, now >= nextTrial else { return false }
    // A trial that never ends (a client that leaves) must not be the last one.
    nextTrial = now + Self.longestPause
    isOnTrial = true
    state = .starting
    return true
  }

  private mutating func postponeTrial(_ now: Int64) {
    if promptTrialsLeft > 0 {
      promptTrialsLeft -= 1
      nextTrial = now + Self.promptPause
    } else {
      pause = min(pause * 2, Self.longestPause)
      nextTrial = now + pause
    }
  }

  // MARK: The socket's file

  /// It was removed: nobody can connect, and a trial under way is one of who listened before.
  mutating func socketRemoved(now: Int64) {
    goodProbesInARow = 0
    isOnTrial = false
    promptTrialsLeft = 0
    if state != .down { nextTrial = now + pause }
    fall(now)
  }

  /// It was made: a trial is due, and a few more soon after it if need be.
  mutating func socketMade(now: Int64) {
    guard state != .up else { return }
    isOnTrial = false
    pause = Self.firstPause
    promptTrialsLeft = Self.promptTrials
    nextTrial = now
  }

  // MARK: Probes

  mutating func probeSucceeded(now: Int64) {
    goodProbesInARow += 1
    if state == .up { failuresInARow = 0 } else if goodProbesInARow >= settings.rise { rise(now) }
  }

  mutating func probeFailed(_ failure: ProbeFailure, now: Int64) {
    goodProbesInARow = 0
    failuresInARow += 1
    switch (state, failure) {
    case (.up, .noGoodAnswer) where failuresInARow < settings.fall: break
    case (.up, _), (.starting, .unreachable): fall(now)
    case (.down, .noGoodAnswer):
      // Somebody listens there again: it is on its way.
      state = .starting
    case (.down, .unreachable), (.starting, .noGoodAnswer): break
    }
  }

  // MARK: Incarnations

  /// Another process listens there now: what was known about the one before is void. It has to show that it answers,
  /// where somebody asks; else it is taken for good until it fails.
  mutating func incarnationChanged(now: Int64) {
    self = UpstreamHealth(settings, now: now)
  }

  private mutating func rise(_ now: Int64) {
    self = UpstreamHealth(settings, now: now)
    state = .up
    downSince = nil
  }

  private mutating func fall(_ now: Int64) {
    if downSince == nil { downSince = now }
    state = .down
  }
}
