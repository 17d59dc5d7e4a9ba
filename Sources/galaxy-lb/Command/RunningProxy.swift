import Glibc
import JSON
import SystemCalls
import YAML

/// The proxy that a command is for: found by `--control`, by `control` in the file of `--config`, or where proxies
/// listen that are told nothing.
struct RunningProxy: Equatable, Sendable {
  /// `--control`
  var control: ControlPlace?
  /// `--config`
  var file: String?

  /// Why a command can't be carried out. Everything is said by then.
  struct Failed: Error {
    let status: ExitStatus
  }

  /// Sends a request to the proxy. Whatever is wrong is said on standard error, an answer that is no success included.
  ///
  /// - Parameter onLine: called for each line of progress.
  func request(
    _ method: String, _ target: String, _ body: JSON? = nil, onLine: ((JSON) -> Void)? = nil
  ) throws(Failed) -> JSON {
    let client = try connect(try paths())
    let status: Int
    let document: JSON
    do throws(ControlClient.Failure) {
      (status, document) = try client.request(method, target, body, onLine: onLine)
    } catch {
      complain("\(error)")
      throw Failed(status: .failure)
    }
    guard status == 200 else {
      complain(Self.reason(of: status, document))
      throw Failed(status: .failure)
    }
    return document
  }

  /// What an answer that is no success says.
  static func reason(of status: Int, _ document: JSON?) -> String {
    document?["error"]?.asString ?? "the proxy answered with status \(status)"
  }

  /// Connects, for a caller who says himself what goes wrong from there on.
  func connect() throws(Failed) -> ControlClient {
    try connect(try paths())
  }

  /// How a command of this proxy is written: `galaxy-lb --control PATH --status`.
  func commandLine(_ option: Option) -> String {
    var words = ["galaxy-lb"]
    if case .at(let path) = control { words += [Option.control.spelling, path] }
    if let file, control == nil { words += [Option.config.spelling, file] }
    return (words + [option.spelling]).joined(separator: " ")
  }

  private func connect(_ paths: [String]) throws(Failed) -> ControlClient {
    var tried: [String] = []
    for path in paths {
      do throws(ControlClient.Failure) {
        return try ControlClient(path)
      } catch {
        guard case .notRunning(let reason) = error else {
          complain("\(error)")
          throw Failed(status: .failure)
        }
        tried.append("\(path) (\(reason.reason))")
      }
    }
    let hint = control == nil ? "; --control PATH, or --config FILE, says where it listens" : ""
    complain("no proxy is running: nobody listens on \(tried.joined(separator: " or "))\(hint)")
    throw Failed(status: .notRunning)
  }

  private func paths() throws(Failed) -> [String] {
    switch try place() {
    case .at(let path): return [path]
    case .off:
      complain("the proxy has no control socket: control is off")
      throw Failed(status: .usage)
    case .byDefault: return ControlPlace.searchedPaths(environmentVariables(), user: geteuid())
    }
  }

  private func place() throws(Failed) -> ControlPlace {
    if let control { return control }
    guard let file else { return .byDefault }
    let read = SettingsFile(path: file, namedBy: .option(Option.config.spelling))
    // What else is wrong with the file is no business of somebody who only wants to know where the proxy is.
    let origin = read.configuration.origins["control"]
    let problems = read.diagnostics.sorted.filter { !read.isReadable || $0.origin == origin }
    guard problems.isEmpty else {
      for problem in problems { complain(problem.description) }
      throw Failed(status: .usage)
    }
    return read.configuration.settings.control
  }
}

extension ExitStatus {
  /// The status of a command that may fail.
  init(_ body: () throws(RunningProxy.Failed) -> ExitStatus) {
    do throws(RunningProxy.Failed) {
      self = try body()
    } catch {
      self = error.status
    }
  }
}
