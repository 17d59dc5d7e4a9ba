import CLinux
import Glibc

/// Tells which names come to folders and which go (inotify(7)). Confined to one thread at a time.
public struct FolderWatch: ~Copyable {
  private let descriptor: Descriptor

  /// What has happened in a watched folder.
  public enum Change: Equatable, Sendable {
    /// The name was made, or something was moved to it; it may have replaced what was there.
    case appeared
    /// The name was removed, or moved away.
    case disappeared
    /// The folder itself was removed or moved, or its file system was unmounted.
    case folderGone
    /// More has happened than the kernel keeps; it concerns all folders, and there is no name (IN_Q_OVERFLOW).
    case overflow
  }

  private static let wanted =
    UInt32(IN_CREATE) | UInt32(IN_DELETE) | UInt32(IN_MOVED_FROM) | UInt32(IN_MOVED_TO)
    | UInt32(IN_DELETE_SELF) | UInt32(IN_MOVE_SELF) | UInt32(IN_ONLYDIR)
  /// Bytes of one read: some hundred events, and more than one with the longest name.
  private static let readSize = 16 * 1024

  /// Watches nothing yet.
  public init() throws(SystemError) {
    descriptor = Descriptor(
      owning: try retryingInterrupts("inotify_init1") {
        inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
      })
  }

  /// A descriptor of its own for the reader, who owns it: readable while there are changes.
  public func duplicate() throws(SystemError) -> Int32 {
    try retryingInterrupts("fcntl") { fcntl(descriptor.number, F_DUPFD_CLOEXEC, 0) }
  }

  /// Watches a folder, and returns the number of the watch. A folder that is watched already, by this path or
  /// another one, keeps its number.
  public func add(_ folder: String) throws(SystemError) -> Int32 {
    try retryingInterrupts("inotify_add_watch") {
      inotify_add_watch(descriptor.number, folder, Self.wanted)
    }
  }

  /// Ends a watch. What it has seen before may still be read.
  public func remove(_ watch: Int32) {
    // It fails when the folder has gone, and the watch with it.
    _ = inotify_rm_watch(descriptor.number, watch)
  }

  /// Hands over changes, in their order, as many as one read brings. False when there are none.
  ///
  /// - Parameter body: gets the number of the watch, which is -1 for `overflow`, the change, and the bytes of the name,
  ///   which are valid during the call. Folders that come to a folder, or go from it, are left out.
  public func read(_ body: (_ watch: Int32, Change, _ name: UnsafeRawBufferPointer) -> Void) -> Bool {
    withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 16) { memory in
      let count = try? retryingInterrupts("read") {
        Glibc.read(descriptor.number, memory.baseAddress, memory.count)
      }
      guard let count, count > 0 else { return false }
      Self.decode(UnsafeRawBufferPointer(rebasing: memory[..<count]), body)
      return true
    }
  }

  private static func decode(
    _ events: UnsafeRawBufferPointer, _ body: (Int32, Change, UnsafeRawBufferPointer) -> Void
  ) {
    let headSize = MemoryLayout<inotify_event>.size
    var rest = events
    while rest.count >= headSize {
      let head = rest.loadUnaligned(as: inotify_event.self)
      let end = headSize + Int(head.len)
      guard end <= rest.count else { return }
      // The name is padded with zeroes.
      let padded = rest[headSize..<end]
      let name = UnsafeRawBufferPointer(rebasing: padded.prefix { $0 != 0 })
      if let change = Change(head.mask) { body(head.wd, change, name) }
      rest = UnsafeRawBufferPointer(rebasing: rest[end...])
    }
  }
}

extension FolderWatch.Change {
  /// Nil for what nobody needs to know.
  fileprivate init?(_ mask: UInt32) {
    func has(_ bits: Int32...) -> Bool { bits.contains { mask & UInt32($0) != 0 } }
    if has(IN_Q_OVERFLOW) {
      self = .overflow
    } else if has(IN_DELETE_SELF, IN_MOVE_SELF, IN_UNMOUNT) {
      self = .folderGone
    } else if mask & UInt32(IN_ISDIR) != 0 {
      return nil
    } else if has(IN_CREATE, IN_MOVED_TO) {
      self = .appeared
    } else if has(IN_DELETE, IN_MOVED_FROM) {
      self = .disappeared
    } else {
      return nil
    }
  }
}
