/// `--version`: the name and the version in one line.
enum Version {
  /// The version of this program (semver.org).
  static let number = "0.1.0"

  static func run() -> ExitStatus {
    printToStandardOutput("galaxy-lb \(number)\n")
  }
}
