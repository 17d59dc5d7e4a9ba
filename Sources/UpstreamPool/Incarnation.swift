import Glibc
import SystemCalls

/// What listens behind a unix socket's path: the socket's file, and the process that called listen(2) on it last
/// (SO_PEERCRED, unix(7)). A restarted gunicorn makes another file, so what answers can be told from what answered.
///
/// The process alone does not tell: workers that run on asyncio, as Galaxy's do, call listen(2) again on the socket that
/// they inherit, so that it changes with every new worker of the same gunicorn.
public struct Incarnation: Hashable, Sendable {
  public let process: Int32
  public let inode: UInt64
  /// When the file was made, in nanoseconds of the file system's clock: inodes are used again.
  public let created: Int64

  public init(process: Int32, inode: UInt64, created: Int64) {
    self.process = process
    self.inode = inode
    self.created = created
  }

  /// The incarnation at the other end of `socket`, which was connected to `path`; nil for a TCP socket, and when the
  /// file is gone meanwhile.
  public init?(of socket: Int32, path: String) {
    guard let peer = PeerCredentials(of: socket) else { return nil }
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    // The time of modification is that of bind(2): chmod(2) does not change it.
    let created = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
    self.init(process: peer.process, inode: UInt64(status.st_ino), created: created)
  }

  /// True when it is this file that it listens behind.
  func isBehind(_ file: FileStatus) -> Bool { inode == file.inode && created == file.modified }

  /// True when both listen on the same socket, whichever of its processes was the last to call listen(2).
  public func isSameListener(as other: Incarnation) -> Bool {
    inode == other.inode && created == other.created
  }
}
