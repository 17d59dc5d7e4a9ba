/// Which process answers for an upstream: a restarted one differs in the process, the inode of its socket, or both.
public struct ServerIncarnation: Hashable, Sendable {
  /// The process that listens: the peer of a unix socket (SO_PEERCRED, unix(7)), or, for TCP, the one that the
  /// process manager names.
  public let process: Int32
  /// The inode of the socket's file; 0 when there is none.
  public let inode: UInt64

  public init(process: Int32, inode: UInt64) {
    self.process = process
    self.inode = inode
  }
}
