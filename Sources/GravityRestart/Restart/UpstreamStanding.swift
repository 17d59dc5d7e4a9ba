/// What is wanted of an upstream, as a restart sees it.
public enum UpstreamStanding: Hashable, Sendable, CaseIterable {
  /// Takes work as far as it is up.
  case ready
  /// An earlier restart failed and kept it out.
  case keptOut
  /// People drain it or have it in maintenance.
  case withdrawn
}

/// What the health checks know of an upstream.
public enum UpstreamLiveness: Hashable, Sendable, CaseIterable {
  case down
  /// Tried, but not known to work.
  case starting
  case up
}
