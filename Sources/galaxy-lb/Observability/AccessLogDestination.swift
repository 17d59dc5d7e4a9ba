import CLinux
import Glibc
import SystemCalls

/// The open file, or standard error, that access log lines go to. Closed with the last reference.
///
/// Only the writer's thread writes and opens anew. Another file takes the place of the old one under the same
/// number (dup3(2)), so there is nothing else in here that changes.
final class AccessLogDestination: Sendable {
  /// The path of the file; nil for standard error.
  private let path: String?
  private let descriptor: Descriptor

  /// A line that is no longer is never torn by what others write to the same pipe (PIPE_BUF, pipe(7)).
  private static let longestAtomicWrite = 4096

  /// Opens a file for appending; it is made if it is missing (open(2)).
  init(path: String) throws(SystemError) {
    self.path = path
    descriptor = Descriptor(owning: try Self.open(path))
  }

  /// Writes to a descriptor of its own for what `number` stands for, which is borrowed.
  init(duplicating number: Int32) throws(SystemError) {
    path = nil
    descriptor = Descriptor(
      owning: try retryingInterrupts("fcntl") { fcntl(number, F_DUPFD_CLOEXEC, 0) })
  }

  private static func open(_ path: String) throws(SystemError) -> Int32 {
    // Non-blocking, so that a named pipe that nobody reads is an error and not a standstill.
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK
    let file = Descriptor(owning: try retryingInterrupts("open") { Glibc.open(path, flags, 0o640) })
    // The writer has nothing else to do, so it may wait.
    let number = file.number
    try retryingInterrupts("fcntl") { fcntl(number, F_SETFL, O_APPEND) }
    return file.release()
  }

  /// Opens the file of the path anew, whatever it is now. The old one stays in use when that fails. Standard error
  /// stays what it is.
  func reopen() throws(SystemError) {
    guard let path else { return }
    let next = Descriptor(owning: try Self.open(path))
    let (old, new) = (descriptor.number, next.number)
    try retryingInterrupts("dup3") { dup3(new, old, O_CLOEXEC) }
  }

  /// One write(2) of whole lines from `position` on; returns the position behind what was taken.
  func write(_ lines: [UInt8], from position: Int) throws(SystemError) -> Int {
    let number = descriptor.number
    var status = stat()
    let isFile = fstat(number, &status) == 0 && clinux_is_regular_file(status.st_mode) != 0
    let end =
      isFile
      ? lines.count : endOfWholeLines(in: lines, from: position, longest: Self.longestAtomicWrite)
    return try position
      + retryingInterrupts("write") {
        lines.withUnsafeBytes { Glibc.write(number, $0.baseAddress! + position, end - position) }
      }
  }
}

extension AccessLogDestination: CustomStringConvertible {
  /// As the configuration names it.
  var description: String { path ?? "stderr" }
}
