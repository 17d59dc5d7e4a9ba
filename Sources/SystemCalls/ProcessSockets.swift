import Glibc

/// The sockets of processes, as /proc shows them (proc(5)), by their inodes.
public enum ProcessSockets {
  /// Tables of the network get long.
  private static let longestTable = 16 * 1024 * 1024

  /// Those that a process has open; none when it has ended or may not be looked at.
  public static func open(in process: Int32) -> Set<UInt64> {
    let folder = "/proc/\(process)/fd"
    var sockets: Set<UInt64> = []
    for name in names(inFolder: folder) {
      guard let target = readLink("\(folder)/\(name)"), target.hasPrefix("socket:["),
        let inode = UInt64(target.dropFirst(8).dropLast())
      else { continue }
      sockets.insert(inode)
    }
    return sockets
  }

  /// Those that listen at an address in the network namespace of a process. A path counts by its last part: it may have
  /// been bound by another way to the same folder. An IP address counts by its port.
  public static func listening(at endpoint: Endpoint, seenBy process: Int32) -> Set<UInt64> {
    switch endpoint {
    case .unix(let path): listening(on: path, in: table("unix", process))
    case .tcp(_, let port): listening(on: port, in: table("tcp", process) + table("tcp6", process))
    }
  }

  private static func table(_ name: String, _ process: Int32) -> [UInt8] {
    readFile("/proc/\(process)/net/\(name)", atMost: longestTable) ?? []
  }

  /// A line has number, references, protocol, flags, type, state, inode and path; the flag of those that listen is
  /// `__SO_ACCEPTCON`.
  static func listening(on path: String, in table: [UInt8]) -> Set<UInt64> {
    let name = Array(path.utf8).split(separator: UInt8(ascii: "/")).last
    var sockets: Set<UInt64> = []
    for line in table.split(separator: UInt8(ascii: "\n")) {
      // The path may have blanks itself.
      let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
      guard fields.count == 8, let flags = UInt32(text(fields[3]), radix: 16), flags & 0x10000 != 0,
        let inode = UInt64(text(fields[6])), fields[7].split(separator: UInt8(ascii: "/")).last == name
      else { continue }
      sockets.insert(inode)
    }
    return sockets
  }

  /// A line has number, local and remote address, state (0A: listening), six more, and the inode.
  static func listening(on port: UInt16, in table: [UInt8]) -> Set<UInt64> {
    var sockets: Set<UInt64> = []
    for line in table.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: " "))
      guard fields.count >= 10, text(fields[3]) == "0A", let inode = UInt64(text(fields[9])),
        let local = fields[1].split(separator: UInt8(ascii: ":")).last, UInt16(text(local), radix: 16) == port
      else { continue }
      sockets.insert(inode)
    }
    return sockets
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}

/// Where a symbolic link points (readlink(2)); nil when the path is none, or may not be looked at.
func readLink(_ path: String) -> String? {
  var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
  let count = target.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
  return count < 0 ? nil : String(decoding: target[..<count], as: UTF8.self)
}
