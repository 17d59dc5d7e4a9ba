/// `--help`: every option grouped by what it is for, on one screen of 80 columns and 24 lines.
enum Help {
  static var text: String {
    var lines = [
      "Usage: galaxy-lb [OPTION]...",
      "HTTP/1.1 reverse proxy for the gunicorns of Galaxy. Runs in the foreground.",
    ]
    let width = Option.allCases.map { label($0).count }.max() ?? 0
    for task in Option.Task.allCases {
      lines.append(task.rawValue)
      for option in Option.allCases where option.task == task {
        let label = label(option)
        lines.append("\(label)\(String(repeating: " ", count: width - label.count))  \(option.summary)")
      }
    }
    lines.append("ADDRESS is HOST:PORT, [IPV6]:PORT, :PORT (listen only) or unix:PATH.")
    lines.append("Options go before galaxy-lb.yml, that before the defaults in ().")
    lines.append("Exit status: 0 done, 1 failed, 2 wrong command line or configuration.")
    return lines.joined(separator: "\n") + "\n"
  }

  static func run() -> ExitStatus {
    printToStandardOutput(text)
  }

  private static func label(_ option: Option) -> String {
    "  " + (option.letter.map { "-\($0), " } ?? "") + option.usage
  }
}
