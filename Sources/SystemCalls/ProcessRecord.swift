import Glibc

/// What /proc tells about a process (proc(5)).
public struct ProcessRecord: Hashable, Sendable {
  public let process: Int32
  public let parent: Int32
  /// When it was started, in clock ticks after the machine was: with the number it means one process and no later
  /// one.
  public let startTicks: UInt64
  /// The effective user.
  public let user: UInt32
  /// The command line, or what the program has written over it; empty for a zombie and for a thread of the kernel.
  public let arguments: [String]

  /// Nil when there is no such process, or /proc doesn't show it.
  public init?(of process: Int32) {
    guard let text = readFile("/proc/\(process)/stat", atMost: 4096),
      let (parent, startTicks) = Self.parseStatus(text),
      let folder = FileStatus(of: "/proc/\(process)")
    else { return nil }
    self.process = process
    self.parent = parent
    self.startTicks = startTicks
    user = folder.owner
    let line = readFile("/proc/\(process)/cmdline", atMost: 65_536) ?? []
    // A title that was written over it is padded with zeros.
    arguments = line.split(separator: 0, omittingEmptySubsequences: false)
      .map { String(decoding: $0, as: UTF8.self) }.trimmingEmptyEnd()
  }

  /// How long ago it was started.
  public var age: Duration {
    var now = timespec()
    clock_gettime(CLOCK_BOOTTIME, &now)
    let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
    let started =
      Duration.seconds(startTicks / ticksPerSecond)
      + .milliseconds(startTicks % ticksPerSecond * 1000 / ticksPerSecond)
    return max(.zero, .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec) - started)
  }

  /// The processes that have `parent` for their parent, by number; none when /proc can't be read.
  public static func children(of parent: Int32) -> [Int32] {
    names(inFolder: "/proc").compactMap { Int32($0) }.filter { process in
      guard let text = readFile("/proc/\(process)/stat", atMost: 4096) else { return false }
      return parseStatus(text)?.parent == parent
    }.sorted()
  }

  /// True while there is such a process that has not ended: a zombie has.
  ///
  /// - Parameter parent: who has to be its parent; nil for anybody.
  public static func isRunning(_ process: Int32, childOf parent: Int32? = nil) -> Bool {
    guard let text = readFile("/proc/\(process)/stat", atMost: 4096), let fields = statusFields(text),
      let state = fields[0].first
    else { return false }
    let hasEnded = state == UInt8(ascii: "Z") || state == UInt8(ascii: "X")
    return !hasEnded && (parent == nil || parent == Int32(String(decoding: fields[1], as: UTF8.self)))
  }

  /// The fields of /proc/PID/stat from the third one, the state, at least 20 of them. The program's name in front of
  /// them is in parentheses and may hold blanks and parentheses itself, so they are counted from the last one.
  private static func statusFields(_ text: [UInt8]) -> [ArraySlice<UInt8>]? {
    guard let nameEnd = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
    let fields = text[(nameEnd + 1)...].split(separator: UInt8(ascii: " "))
    return fields.count >= 20 ? fields : nil
  }

  /// The fields 4 and 22 of /proc/PID/stat.
  static func parseStatus(_ text: [UInt8]) -> (parent: Int32, startTicks: UInt64)? {
    guard let fields = statusFields(text), let parent = Int32(String(decoding: fields[1], as: UTF8.self)),
      let start = UInt64(String(decoding: fields[19], as: UTF8.self))
    else { return nil }
    return (parent, start)
  }
}

extension [String] {
  fileprivate func trimmingEmptyEnd() -> [String] {
    guard let last = lastIndex(where: { !$0.isEmpty }) else { return [] }
    return Array(self[...last])
  }
}
