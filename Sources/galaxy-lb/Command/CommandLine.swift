import SystemCalls
import YAML

/// What a command line asks for. Each verb has a file of its own in this folder.
enum Verb: Equatable, Sendable {
  /// Run the proxy.
  case serve(CommandLineSettings)
  /// Read and show the configuration.
  case check(CommandLineSettings)
  case version
  case help

  /// Reads a command line, the program's name first. Nil when something is wrong with it, which `diagnostics`
  /// then says.
  init?(arguments: [String], diagnostics: inout Diagnostics) {
    let given = readOptions(arguments, into: &diagnostics)
    for option in Option.allCases where !option.isRepeatable {
      if given.count(where: { $0.option == option && $0.argument != nil }) > 1 {
        diagnostics.error("given more than once", at: .option(option.spelling))
      }
    }
    let settings = CommandLineSettings(given, into: &diagnostics)
    guard !diagnostics.hasErrors else { return nil }
    let options = Set(given.map(\.option))
    if options.contains(.help) {
      self = .help
    } else if options.contains(.version) {
      self = .version
    } else {
      self = options.contains(.check) ? .check(settings) : .serve(settings)
    }
  }
}

/// The settings on a command line. They go before those of every file.
struct CommandLineSettings: Equatable, Sendable {
  var listen: [Endpoint] = []
  var upstreams: [Endpoint] = []
  /// Galaxy's or Gravity's configuration files.
  var galaxyFiles: [String] = []
  /// galaxy-lb.yml
  var file: String?
  var threads: Int?
  var control: String?
  var logLevel: LogLevel?

  init() {}

  init(_ given: [GivenOption], into diagnostics: inout Diagnostics) {
    for use in given {
      guard let text = use.argument else { continue }
      let origin = Origin.option(use.option.spelling)
      switch use.option {
      case .listen:
        if let endpoint = Endpoint(reading: text, as: .listener, at: origin, into: &diagnostics) {
          listen.append(endpoint)
        }
      case .upstream:
        if let endpoint = Endpoint(reading: text, as: .upstream, at: origin, into: &diagnostics) {
          upstreams.append(endpoint)
        }
      case .galaxyConfig: Self.path(text, at: origin, into: &diagnostics).map { galaxyFiles.append($0) }
      case .config: file = Self.path(text, at: origin, into: &diagnostics)
      case .control: control = socketPath(reading: text, at: origin, into: &diagnostics)
      case .threads:
        threads = Int(text)
        if threads.map(Settings.allowedThreads.contains) != true {
          diagnostics.error(
            "expected a number from \(Settings.allowedThreads.lowerBound) to "
              + "\(Settings.allowedThreads.upperBound), found '\(text)'", at: origin)
        }
      case .logLevel:
        logLevel = LogLevel(name: text)
        if logLevel == nil {
          diagnostics.error(
            "expected one of \(LogLevel.names.joined(separator: ", ")), found '\(text)'", at: origin,
            nearest: nearest(text, in: LogLevel.names))
        }
      case .check, .version, .help: break
      }
    }
  }

  private static func path(_ text: String, at origin: Origin, into diagnostics: inout Diagnostics) -> String?
  {
    if text.isEmpty { diagnostics.error("the path is empty", at: origin) }
    return text.isEmpty ? nil : text
  }
}
