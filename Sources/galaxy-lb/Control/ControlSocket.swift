import Glibc
import SystemCalls

/// The control socket in the file system: made for its owner alone, in place of one that nobody listens on any more,
/// and removed at the end.
final class ControlSocket {
  let path: String
  /// Listening and non-blocking. Whoever takes it closes it.
  let descriptor: Int32

  /// Why there is none.
  enum Failure: Error, CustomStringConvertible {
    /// Another process listens there.
    case inUse(String)
    case system(SystemError, String)

    var description: String {
      switch self {
      case .inUse(let path): "the control socket \(path) is in use, most likely by another galaxy-lb"
      case .system(let error, let path): "cannot listen on the control socket \(path): \(error)"
      }
    }
  }

  /// - Parameters:
  ///   - makesFolder: whether a folder that is missing is made, for a default path; never those above it.
  ///   - owner: whose it becomes, when that is somebody else.
  init(_ path: String, makesFolder: Bool, owner: RunAs?, group: SystemGroup?) throws(Failure) {
    self.path = path
    do throws(SystemError) {
      let folder = folder(of: path)
      if makesFolder { try Self.makeFolder(folder, owner) }
      // Two proxies that start at the same moment must not both find the same stale socket and remove it: the second
      // one would remove the first one's new socket.
      let lock = FolderLock(folder)
      // Its mode is 0660 from the first moment.
      let socket = Descriptor(owning: try Listening.unixSocket(path))
      lock.release()
      try Self.give(path, to: owner, group)
      descriptor = socket.release()
    } catch {
      let isSocket = FileStatus(of: path)?.isSocket == true
      throw error.code == EADDRINUSE && isSocket ? .inUse(path) : .system(error, path)
    }
  }

  private static func give(_ path: String, to owner: RunAs?, _ group: SystemGroup?) throws(SystemError) {
    guard owner != nil || group != nil else { return }
    do {
      try retryingInterrupts("lchown") {
        lchown(path, owner?.user ?? geteuid(), group?.number ?? owner?.group ?? getegid())
      }
    } catch {
      unlink(path)
      throw error
    }
  }

  /// The folder of a default path, that everybody may pass and only the owner may write to: the socket's own mode says
  /// who may connect.
  private static func makeFolder(_ folder: String, _ owner: RunAs?) throws(SystemError) {
    guard mkdir(folder, 0o755) == 0 else {
      if errno == EEXIST { return }
      throw .last("mkdir")
    }
    // The umask may have taken bits away.
    try retryingInterrupts("chmod") { chmod(folder, 0o755) }
    guard let owner else { return }
    // So that the proxy can remove its socket when it is that user.
    try retryingInterrupts("lchown") { lchown(folder, owner.user, owner.group) }
  }

  /// Removes the file, unless another process listens there by now. To be called before the descriptor is closed: who
  /// listens is all that tells, because inodes are used again.
  func remove() {
    guard case .connected(let number) = connect(to: SocketAddress(unixPath: path)) else { return }
    let probe = Descriptor(owning: number)
    if PeerCredentials(of: probe.number)?.process == getpid() { unlink(path) }
  }
}
