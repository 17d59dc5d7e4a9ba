/// `--abort`: the restart in progress stops at the next safe point.
struct Abort: Equatable, Sendable {
  var proxy: RunningProxy

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      _ = try proxy.request("POST", "/v1/restart/abort", [:])
      return printToStandardOutput(
        "the restart stops at the next safe point; who follows it, and its report, are told how it ended\n")
    }
  }
}
