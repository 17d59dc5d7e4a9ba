import JSON

/// `--maintenance NAME`: upstreams take no requests until somebody says otherwise, and users are told why.
struct Maintenance: Equatable, Sendable {
  var proxy: RunningProxy
  var name: String
  var reason: String?

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      try proxy.change(
        try proxy.upstreams(named: name, option: .maintenance), "maintenance", ["reason": .text(reason)])
    }
  }
}
