import SystemCalls

/// Who may do what over the control socket. The mode of the socket's file decides who can connect, and whoever can may
/// look. Changes are for root, for the proxy's own user, and for the members of `control_group`: membership in the
/// group that the proxy happens to run with is no mandate to take gunicorns out.
struct ControlPermission: Sendable {
  /// The user that the proxy runs as.
  let user: UInt32
  /// The number of `control_group`, if there is one.
  let group: UInt32?

  /// True when a peer of this user and these groups may change things.
  func allowsChanges(user peer: UInt32, groups: Set<UInt32>) -> Bool {
    peer == 0 || peer == user || group.map(groups.contains) == true
  }

  /// The same for the process that has connected `socket`. One that the kernel doesn't name may not.
  func allowsChanges(of socket: Int32) -> Bool {
    guard let peer = PeerCredentials(of: socket) else { return false }
    return allowsChanges(user: peer.user, groups: peer.groups(of: socket))
  }

  /// Who may, for the message to somebody who may not.
  static let rule = "only root, the user of the proxy and the members of control_group may change things"
}
