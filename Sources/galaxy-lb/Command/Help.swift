/// `--help`: every option grouped by what it is for, on one screen of 80 columns and 24 lines.
enum Help {
  static var text: String {
    var lines = ["Usage: galaxy-lb [OPTION]...   The reverse proxy for the gunicorns of Galaxy."]
    for task in Option.Task.allCases {
      lines.append(task.rawValue)
      let options = Option.allCases.filter { $0.task == task && $0.companions == nil }
      let labels = options.map(label)
      let width = labels.compactMap(\.last?.count).max() ?? 0
      for (option, label) in zip(options, labels) {
        let end = label.last ?? ""
        if option.sharesLine, let before = lines.popLast() {
          lines.append("\(before)  \(end)  \(option.summary)")
        } else {
          let blanks = String(repeating: " ", count: width - end.count)
          lines += label.dropLast() + ["\(end)\(blanks)  \(option.summary)"]
        }
      }
    }
    lines.append("Exit status: 0 done, 1 failed, 2 usage, 3 no proxy runs, 4 refused, 5 aborted.")
    return lines.joined(separator: "\n") + "\n"
  }

  static func run() -> ExitStatus {
    printToStandardOutput(text)
  }

  /// What fits a line of the screen.
  private static let columns = 80

  /// The option, and what may be said with it, in as many lines as that takes.
  private static func label(_ option: Option) -> [String] {
    var lines = ["  " + (option.letter.map { "-\($0), " } ?? "") + option.usage]
    for companion in Option.allCases where companion.companions?.first == option {
      let text = "[\(companion.usage)]" + (companion.isRepeatable ? "..." : "")
      if let line = lines.last, line.count + 1 + text.count <= columns {
        lines[lines.count - 1] = "\(line) \(text)"
      } else {
        lines.append("    \(text)")
      }
    }
    return lines
  }
}
