import SystemCalls
import YAML

/// What a command line asks for. Each verb has a file of its own in this folder.
enum Verb: Equatable, Sendable {
  /// Run the proxy.
  case serve(CommandLineSettings)
  /// Read and show the configuration.
  case check(CommandLineSettings)
  case graceful(Graceful)
  case abort(Abort)
  case status(Status)
  case drain(Drain)
  case ready(Ready)
  case maintenance(Maintenance)
  case weight(Weight)
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
    let verb = Self.verb(given, into: &diagnostics)
    let command = verb.flatMap { Self.command($0, given, settings, into: &diagnostics) }
    guard !diagnostics.hasErrors else { return nil }
    self = command ?? .serve(settings)
  }

  /// The verb that was given, after all options have been found to go with it.
  private static func verb(_ given: [GivenOption], into diagnostics: inout Diagnostics) -> Option? {
    let options = given.map(\.option)
    let verb = [.help, .version].first(where: options.contains) ?? options.first(where: \.isVerb)
    var seen: Set<Option> = []
    for option in options where seen.insert(option).inserted {
      if let verb {
        guard !option.goes(with: verb) else { continue }
        diagnostics.error("does not go with \(verb.spelling)", at: .option(option.spelling))
      } else if let companions = option.companions {
        let verbs = companions.map(\.spelling).joined(separator: " or ")
        diagnostics.error("only together with \(verbs)", at: .option(option.spelling))
      }
    }
    return verb
  }

  /// Nil for a verb whose arguments are wrong, which is reported.
  private static func command(
    _ verb: Option, _ given: [GivenOption], _ settings: CommandLineSettings,
    into diagnostics: inout Diagnostics
  ) -> Verb? {
    func argument(_ option: Option) -> String? { given.last { $0.option == option }?.argument }
    let options = Set(given.map(\.option))
    let proxy = RunningProxy(control: settings.control, file: settings.file)
    let name = argument(verb) ?? ""
    switch verb {
    case .help: return .help
    case .version: return .version
    case .check: return .check(settings)
    case .graceful: return Graceful(given, proxy: proxy, into: &diagnostics).map { .graceful($0) }
    case .abort: return .abort(Abort(proxy: proxy))
    case .status: return .status(Status(proxy: proxy, json: options.contains(.json)))
    case .ready: return .ready(Ready(proxy: proxy, name: name))
    case .maintenance:
      return .maintenance(Maintenance(proxy: proxy, name: name, reason: argument(.reason)))
    case .weight:
      return Weight.read(name, into: &diagnostics).map {
        .weight(Weight(proxy: proxy, name: $0.name, weight: $0.weight))
      }
    case .drain:
      var drain = Drain(proxy: proxy, name: name, reason: argument(.reason))
      drain.waits = options.contains(.wait)
      drain.json = options.contains(.json)
      if let text = argument(.timeout) { drain.timeout = timeout(text, into: &diagnostics) }
      if !drain.waits {
        for option in [Option.timeout, .json] where options.contains(option) {
          diagnostics.error("only together with \(Option.wait.spelling)", at: .option(option.spelling))
        }
      }
      return .drain(drain)
    default: return nil
    }
  }

  private static func timeout(_ text: String, into diagnostics: inout Diagnostics) -> Int64? {
    if let time = try? Notation.duration.value(of: text), time <= ControlCall.longestTimeout { return time }
    diagnostics.error(
      "expected a duration such as \(Notation.duration.examples), up to 168h, found '\(text)'",
      at: .option(Option.timeout.spelling))
    return nil
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
  var control: ControlPlace?
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
      case .control: control = ControlPlace(reading: text, at: origin, into: &diagnostics)
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
      default: break
      }
    }
  }

  private static func path(_ text: String, at origin: Origin, into diagnostics: inout Diagnostics) -> String?
  {
    if text.isEmpty { diagnostics.error("the path is empty", at: origin) }
    return text.isEmpty ? nil : text
  }
}
