/// What kind of work a lease is for. Each has its own time-outs and its own budget when an upstream is drained.
public enum TrafficClass: UInt8, Sendable, CaseIterable {
  case ordinary
  /// A request whose body is large or of unknown length.
  case upload
  /// A response whose body is large or of unknown length.
  case download
  /// `text/event-stream`, open for tens of minutes; may end after any event.
  case eventStream
  /// Bytes in both directions after 101 (Switching Protocols).
  case tunnel
  /// A health check's own request.
  case probe
}
