import YAML

/// `--check`: the effective configuration on standard output, problems and warnings on standard error.
enum Check {
  static func run(_ commandLine: CommandLineSettings) -> ExitStatus {
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: readGalaxyPools, into: &diagnostics)
    complain(diagnostics)
    guard !diagnostics.hasErrors else { return .usage }
    return printToStandardOutput(configuration.text)
  }
}
