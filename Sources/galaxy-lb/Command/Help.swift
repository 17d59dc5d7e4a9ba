/// `--help`: every option grouped by what it is for, on one screen of 80 columns and 24 lines.
enum Help {
  static var text: String {
    var lines = ["Usage: galaxy-lb [OPTION]...   The reverse proxy for the gunicorns of Galaxy."]
    for task in Option.Task.allCases {
      lines.append(task.rawValue)
      let options = Option.allCases.filter { $0.task == task && $0.companions == nil }
      let width = options.map { label($0).count }.max() ?? 0
      for option in options {
        let label = label(option)
        lines.append("\(label)\(String(repeating: " ", count: width - label.count))  \(option.summary)")
      }
    }
    lines.append("ADDRESS: HOST:PORT, [IPV6]:PORT, :PORT (listen only), unix:PATH. (): default.")
    lines.append("Exit status: 0 done, 1 failed, 2 wrong command line, 3 no proxy is running.")
    return lines.joined(separator: "\n") + "\n"
  }

  static func run() -> ExitStatus {
    printToStandardOutput(text)
  }

  /// The option, and what may be said with it.
  private static func label(_ option: Option) -> String {
    let companions = Option.allCases.filter { $0.companions?.first == option }.map { " [\($0.usage)]" }
    return "  " + (option.letter.map { "-\($0), " } ?? "") + option.usage + companions.joined()
  }
}
