/// What people and coordinators want of an upstream. Health checks never write it.
public enum AdministrativeState: UInt8, Sendable, CaseIterable {
  /// Takes work.
  case ready
  /// Takes no new work; what it has may end.
  case draining
  /// Taken out until somebody says otherwise.
  case maintenance
}

/// What is known about whether an upstream works. Only checks and traffic write it.
public enum OperationalState: UInt8, Sendable, CaseIterable {
  /// Refused, missing, or failed too often. It is tried again after a pause.
  case down
  /// Tried again: it has work only to find out.
  case starting
  /// Answers.
  case up
}

/// Both states of an upstream. They are orthogonal, so that a health check can't undo a drain:
///
/// |             | down             | starting        | up              |
/// |-------------|------------------|-----------------|-----------------|
/// | ready       | last resort only | last resort only | **eligible**   |
/// | draining    | no new work      | no new work     | no new work     |
/// | maintenance | no new work      | no new work     | no new work     |
///
/// Last resort: while no upstream of the pool is eligible, one that is ready is tried all the same, because a
/// connection attempt costs microseconds and is the fastest way to learn that it is back.
public struct UpstreamState: Equatable, Sendable {
  public var administrative: AdministrativeState
  public var operational: OperationalState

  public init(_ administrative: AdministrativeState, _ operational: OperationalState) {
    self.administrative = administrative
    self.operational = operational
  }

  /// New work may go there.
  public var isEligible: Bool { administrative == .ready && operational == .up }
  /// New work may go there when nothing is eligible.
  public var isLastResort: Bool { administrative == .ready && operational != .up }
}
