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
}

/// Writes `text` to standard output; a failure (a full disk, a closed pipe) is the exit status.
func printToStandardOutput(_ text: String) -> ExitStatus {
  do throws(SystemError) {
    try write(text, to: STDOUT_FILENO)
    return .success
  } catch {
    complain("cannot write to standard output: \(error)")
    return .failure
  }
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
  try? write(String(decoding: line.finished(), as: UTF8.self), to: STDERR_FILENO)
}

private func write(_ text: String, to descriptor: Int32) throws(SystemError) {
  let bytes = Array(text.utf8)
  var done = 0
  while done < bytes.count {
    done += try retryingInterrupts("write") {
      bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + done, bytes.count - done) }
    }
  }
}
