/// `--ready NAME`: upstreams take requests again.
struct Ready: Equatable, Sendable {
  var proxy: RunningProxy
  var name: String

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      try proxy.change(try proxy.upstreams(named: name, option: .ready), "ready", [:])
    }
  }
}
