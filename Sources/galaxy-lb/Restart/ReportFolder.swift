import Glibc
import JSON
import SystemCalls

/// Where the reports of restarts are kept: a text and a JSON file for each, of the latest ones.
struct ReportFolder: Sendable {
  let path: String

  /// So many restarts are kept.
  private static let kept = 50
  private static let prefix = "restart-"

  /// Writes a report, and removes those that are too old. Blocks: a disk may hang. Answers the path of the text.
  ///
  /// - Parameter name: when the restart began.
  func keep(_ name: Timestamp, text: String, document: JSON) throws(SystemError) -> String {
    try makeFolders(path, mode: 0o755)
    // A name that sorts by time, and needs no quotes in a shell.
    let base = "\(path)/\(Self.prefix)\("\(name)".filter { $0 != ":" })"
    try writeFile("\(base).json", Array((document.indentedText + "\n").utf8), mode: 0o640)
    try writeFile("\(base).txt", Array(text.utf8), mode: 0o640)
    removeOld()
    return "\(base).txt"
  }

  private func removeOld() {
    let reports = names(inFolder: path).filter {
      $0.hasPrefix(Self.prefix) && ($0.hasSuffix(".txt") || $0.hasSuffix(".json"))
    }
    for name in reports.dropLast(2 * Self.kept) { unlink("\(path)/\(name)") }
  }
}
