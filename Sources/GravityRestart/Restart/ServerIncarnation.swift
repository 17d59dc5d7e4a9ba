/// Who answers for an upstream, so that a restarted one can be told from the one before.
///
/// On a unix socket it is the socket's file that tells: SO_PEERCRED (unix(7)) names whoever called listen(2) last, which
/// on asyncio is the worker that started last, and not the gunicorn.
public struct ServerIncarnation: Hashable, Sendable {
  /// The main process that the process manager names, for TCP; 0 for a unix socket.
  public let process: Int32
  /// The inode of the socket's file; 0 for TCP.
  public let inode: UInt64
  /// When the file was made, in nanoseconds of the file system's clock: inodes are used again. 0 for TCP.
  public let created: Int64

  public init(process: Int32 = 0, inode: UInt64 = 0, created: Int64 = 0) {
    self.process = process
    self.inode = inode
    self.created = created
  }
}
