import Glibc
import JSON
import SystemCalls

/// `--status`: the pools and upstreams of a running proxy, as a table or, with `--json`, as the proxy tells it.
struct Status: Equatable, Sendable {
  var proxy: RunningProxy
  var json = false

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      let document = try proxy.request("GET", "/v1/status")
      if json { return printToStandardOutput(document.indentedText + "\n") }
      return printToStandardOutput(StatusText(document, colours: Self.usesColours).text)
    }
  }

  /// Colours are for terminals whose user has not said otherwise (https://no-color.org).
  private static var usesColours: Bool {
    let environment = environmentVariables()
    return isatty(STDOUT_FILENO) != 0 && environment["NO_COLOR", default: ""].isEmpty
      && environment["TERM"] != "dumb"
  }
}
