import Glibc
import SystemCalls
import YAML

/// How a run of the program ended, as the shell sees it.
enum ExitStatus: Int32, Sendable {
  case success = 0
  /// It was understood, but could not be done.
  case failure = 1
  /// The command line or the configuration is wrong.
  case usage = 2
  /// A command to a proxy that isn't running.
  case notRunning = 3
  /// A restart that preflight refused: nothing was touched.
  case refused = 4
  /// A restart that somebody stopped.
  case aborted = 5
  /// What was begun goes on without this command, which a signal ended: 128 and the signal's number, as shells have
  /// it for SIGINT, SIGPIPE and SIGTERM.
  case interrupted = 130
  case nobodyReads = 141
  case terminated = 143
}

/// Writes `text` to standard output; a failure (a full disk, a closed pipe) is the exit status.
func printToStandardOutput(_ text: String) -> ExitStatus {
  do throws(SystemError) {
    try writeToStandardOutput(Array(text.utf8))
    return .success
  } catch {
    complain("cannot write to standard output: \(error)")
    return .failure
  }
}

/// Writes all of `bytes` to standard output.
func writeToStandardOutput(_ bytes: [UInt8]) throws(SystemError) {
  try write(bytes, to: STDOUT_FILENO)
}

/// Writes every problem to standard error, one a line.
func complain(_ diagnostics: Diagnostics) {
  for diagnostic in diagnostics.sorted { complain(diagnostic.description) }
}

/// Writes a line to standard error, with the program's name in front. A line break inside is escaped, so that one
/// problem is one line.
func complain(_ message: String) {
  var line = LogLine(prefix: "galaxy-lb: ")
  line.append(message: message)
  // Nobody is left to tell when standard error can't be written.
  try? write(line.finished(), to: STDERR_FILENO)
}

private func write(_ bytes: [UInt8], to descriptor: Int32) throws(SystemError) {
  var done = 0
  while done < bytes.count {
    done += try retryingInterrupts("write") {
      bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
    }
  }
}
