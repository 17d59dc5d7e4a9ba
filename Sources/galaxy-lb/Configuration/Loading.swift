import CLinux
import SystemCalls
import YAML

/// Reads the pools that Galaxy's configuration files describe, and answers which files these were; given none, it
/// looks for them where galaxyctl looks.
typealias GalaxyReader = (
  [Sourced<String>], inout Diagnostics
) -> (files: [Sourced<String>], pools: [ConfiguredPool])

extension Configuration {
  /// Reads everything that decides how the proxy runs. The command line goes before galaxy-lb.yml, that before
  /// Galaxy's configuration, and that before the defaults.
  ///
  /// All problems are in `diagnostics`; the configuration is good for use only if none of them is an error.
  init(
    _ commandLine: CommandLineSettings, galaxy: GalaxyReader,
    into diagnostics: inout Diagnostics
  ) {
    if let path = commandLine.file {
      let file = SettingsFile(path: path, namedBy: .option(Option.config.spelling))
      diagnostics.add(file.diagnostics)
      self = file.configuration
      guard file.isReadable else { return }
    }
    apply(commandLine)
    takePools(commandLine, galaxy, into: &diagnostics)
    applyPoolOptions(into: &diagnostics)
    if settings.listen.isEmpty, origins["listen"] == nil { settings.listen = [Settings.defaultListen] }
    if origins["threads"] == nil { settings.threads = Settings.defaultThreads }
    if origins["state_directory"] == nil { takeDefaultStateDirectory() }
    routes = resolvedRoutes(routes, pools: pools, into: &diagnostics)
    checkConsistency(self, into: &diagnostics)
    settings.pools = pools.map(\.settings)
    settings.restarts = pools.map(\.restart)
    settings.routes = routes.map(\.value)
  }

  private mutating func apply(_ commandLine: CommandLineSettings) {
    if !commandLine.listen.isEmpty {
      settings.listen = commandLine.listen
      origins["listen"] = .option(Option.listen.spelling)
    }
    if let threads = commandLine.threads {
      settings.threads = threads
      origins["threads"] = .option(Option.threads.spelling)
    }
    if let control = commandLine.control {
      settings.control = control
      origins["control"] = .option(Option.control.spelling)
    }
    if let level = commandLine.logLevel {
      settings.logLevel = level
      origins["log_level"] = .option(Option.logLevel.spelling)
    }
  }

  /// Takes the pools from the first that names any: the command line, galaxy-lb.yml, galaxyctl's places.
  private mutating func takePools(
    _ commandLine: CommandLineSettings, _ galaxy: GalaxyReader, into diagnostics: inout Diagnostics
  ) {
    if !commandLine.upstreams.isEmpty || !commandLine.galaxyFiles.isEmpty {
      pools = commandLine.upstreams.isEmpty ? [] : [commandLinePool(commandLine.upstreams)]
      let origin = Origin.option(Option.galaxyConfig.spelling)
      galaxyFiles = commandLine.galaxyFiles.map { Sourced($0, from: origin) }
    }
    // Pools that are there but wrong are no reason to look for others.
    let areWrong = diagnostics.hasErrors && (origins["pools"] != nil || origins["galaxy"] != nil)
    var isComplete = !areWrong
    if !galaxyFiles.isEmpty || (pools.isEmpty && !areWrong) {
      var problems = Diagnostics()
      let galaxy = galaxy(galaxyFiles, &problems)
      galaxyFiles = galaxy.files
      pools += galaxy.pools
      isComplete = !problems.hasErrors
      diagnostics.add(problems)
    }
    // Of what could not be read nobody knows its name.
    if isComplete { checkAdjustments(into: &diagnostics) }
    if pools.isEmpty, !diagnostics.hasErrors {
      diagnostics.error(
        "no upstream to send requests to, expected --upstream or --galaxy-config, 'pools' or 'galaxy' in "
          + "galaxy-lb.yml, or a configuration of Galaxy where galaxyctl looks for it", at: .builtIn)
    }
  }
}

extension Settings {
  /// One event loop for each processor that this process may use.
  static var defaultThreads: Int {
    let processors = Int(clinux_usable_processors())
    return min(max(processors, allowedThreads.lowerBound), allowedThreads.upperBound)
  }
}
