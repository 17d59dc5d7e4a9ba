import YAML

/// No verb at all: read the configuration and run the proxy until it is told to stop.
enum RunProxy {
  /// The exit status; whatever is wrong with the configuration is said before anything is opened.
  static func run(_ commandLine: CommandLineSettings) -> Int32 {
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: readGalaxyPools, into: &diagnostics)
    guard !diagnostics.hasErrors else {
      complain(diagnostics)
      return ExitStatus.usage.rawValue
    }
    let log = Log(level: configuration.settings.logLevel)
    write(diagnostics, to: log)
    return Serve.run(configuration.settings, log: log, reload: { reload(commandLine, log) })
  }

  /// Reads everything again. Nil when there are errors, which are in the log then: what runs goes on as it is.
  private static func reload(_ commandLine: CommandLineSettings, _ log: Log) -> Settings? {
    var diagnostics = Diagnostics()
    let configuration = Configuration(commandLine, galaxy: readGalaxyPools, into: &diagnostics)
    write(diagnostics, to: log)
    return diagnostics.hasErrors ? nil : configuration.settings
  }

  private static func write(_ diagnostics: Diagnostics, to log: Log) {
    for diagnostic in diagnostics.sorted {
      switch diagnostic.severity {
      case .error: log.error("configuration", ["problem": diagnostic])
      case .warning: log.warning("configuration", ["problem": diagnostic])
      }
    }
  }
}
