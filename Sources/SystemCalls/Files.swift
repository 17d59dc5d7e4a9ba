import CLinux
import Glibc

/// What stat(2) tells about a path, links followed.
public struct FileStatus: Sendable {
  private let mode: mode_t
  /// The number of the inode, unique within its file system.
  public let inode: UInt64
  /// The user that owns it.
  public let owner: UInt32
  /// When its content was changed, in nanoseconds of the file system's clock; for a socket, when it was bound.
  public let modified: Int64

  /// Nil when the path names nothing, or something that this process may not look at.
  public init?(of path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    mode = status.st_mode
    inode = UInt64(status.st_ino)
    owner = status.st_uid
    modified = Int64(status.st_mtim.tv_sec) * 1_000_000_000 + Int64(status.st_mtim.tv_nsec)
  }

  public var isFolder: Bool { clinux_is_directory(mode) != 0 }
  public var isRegularFile: Bool { clinux_is_regular_file(mode) != 0 }
  public var isSocket: Bool { clinux_is_socket(mode) != 0 }
  /// True when users that are neither the owner nor in the group may write.
  public var isWritableByOthers: Bool { mode & mode_t(S_IWOTH) != 0 }
  /// True when they may read.
  public var isReadableByOthers: Bool { mode & mode_t(S_IROTH) != 0 }
}

/// The absolute path without links, `.` and `..` (realpath(3)); nil when the path names nothing.
public func resolvingLinks(_ path: String) -> String? {
  guard let resolved = Glibc.realpath(path, nil) else { return nil }
  defer { Glibc.free(resolved) }
  return String(cString: resolved)
}

/// The names in a folder, sorted, without `.` and `..` (readdir(3)); none when the folder can't be read.
public func names(inFolder path: String) -> [String] {
  guard let folder = Glibc.opendir(path) else { return [] }
  defer { _ = Glibc.closedir(folder) }
  var names: [String] = []
  while let entry = Glibc.readdir(folder) {
    let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    if name != ".", name != ".." { names.append(name) }
  }
  return names.sorted()
}

/// An exclusive lock on a folder (flock(2)), for programs of this kind to take turns in it; it is held until the
/// value goes.
public struct FolderLock: ~Copyable {
  private let descriptor: Descriptor?

  /// Waits for the lock. A folder that can't be read can't be locked either, and is left without.
  public init(_ path: String) {
    let number = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    descriptor = number < 0 ? nil : Descriptor(owning: number)
    _ = try? retryingInterrupts("flock") { flock(number, LOCK_EX) }
  }

  /// Lets the next one in.
  public consuming func release() {}
}

/// The bytes of a file, the first `limit` of them if it has more; nil when it can't be read.
public func readFile(_ path: String, atMost limit: Int) -> [UInt8]? {
  // Non-blocking, so that a fifo that nobody writes to can't hold the caller.
  let number = Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
  guard number >= 0 else { return nil }
  let descriptor = Descriptor(owning: number)
  var isReadable = true
  let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, filled in
    filled = 0
    while filled < limit {
      let count = Glibc.read(descriptor.number, buffer.baseAddress! + filled, limit - filled)
      if count < 0 && errno == EINTR { continue }
      isReadable = count >= 0
      guard count > 0 else { return }
      filled += count
    }
  }
  return isReadable ? bytes : nil
}

/// Puts a file in place as a whole or not at all: it is written and forced to the disk under another name first
/// (fsync(2), rename(2)). The folder has to be there.
///
/// - Parameter mode: who may do what with it (chmod(2)).
public func writeFile(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(SystemError) {
  let draft = "\(path).\(getpid()).new"
  do throws(SystemError) {
    // Whoever may write to the folder could have put a link there.
    let flags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC
    let file = Descriptor(owning: try retryingInterrupts("open") { open(draft, flags, mode_t(mode)) })
    var done = 0
    while done < bytes.count {
      done += try retryingInterrupts("write") {
        bytes.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress! + done, bytes.count - done) }
      }
    }
    _ = try retryingInterrupts("fsync") { fsync(file.number) }
    _ = try retryingInterrupts("rename") { rename(draft, path) }
  } catch {
    unlink(draft)
    throw error
  }
}

/// Makes a folder with all that are missing above it.
public func makeFolders(_ path: String, mode: UInt32) throws(SystemError) {
  guard mkdir(path, mode_t(mode)) != 0 else { return }
  if errno == EEXIST, FileStatus(of: path)?.isFolder == true { return }
  guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash > path.startIndex else {
    throw .last("mkdir")
  }
  try makeFolders(String(path[..<slash]), mode: mode)
  guard mkdir(path, mode_t(mode)) == 0 || errno == EEXIST else { throw .last("mkdir") }
}
