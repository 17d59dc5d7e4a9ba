/// What may happen to an upstream.
public enum UpstreamEvent: Sendable {
  case administrative(AdministrativeState)
  case operational(OperationalState)
  /// The file of its unix socket has gone.
  case socketRemoved
  /// There is a file of its unix socket again, or another one.
  case socketMade
  /// Another process listens there now.
  case incarnation(Incarnation)
}
