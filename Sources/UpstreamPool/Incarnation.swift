import Glibc
import SystemCalls

/// Which process listens behind a unix socket's path: the one that called listen(2) (SO_PEERCRED, unix(7)), and the
/// inode of the socket. A restarted gunicorn differs in both, so that what answers can be told from what answered.
public struct Incarnation: Hashable, Sendable {
  public let process: Int32
  /// 0 when it is not known.
  public let inode: UInt64

  public init(process: Int32, inode: UInt64) {
    self.process = process
    self.inode = inode
  }

  /// The incarnation at the other end of `socket`, which was connected to `path`; nil for a TCP socket.
  public init?(of socket: Int32, path: String) {
    guard let peer = PeerCredentials(of: socket) else { return nil }
    var status = stat()
    self.init(process: peer.process, inode: stat(path, &status) == 0 ? UInt64(status.st_ino) : 0)
  }
}
