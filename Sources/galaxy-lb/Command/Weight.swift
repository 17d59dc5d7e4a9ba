import YAML

/// `--weight NAME=N`: another share of the requests, until the configuration says another one or the proxy ends.
struct Weight: Equatable, Sendable {
  var proxy: RunningProxy
  var name: String
  var weight: Int

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      try proxy.change(
        try proxy.upstreams(named: name, option: .weight), "weight", ["weight": .integer(weight)])
    }
  }

  /// Reads `NAME=N`; nil when it is none, which is reported.
  static func read(_ text: String, into diagnostics: inout Diagnostics) -> (name: String, weight: Int)? {
    let allowed = ControlCall.allowedWeights
    let expected = "NAME=N with N from \(allowed.lowerBound) to \(allowed.upperBound)"
    guard let equals = text.lastIndex(of: "="), equals != text.startIndex,
      let weight = Int(text[text.index(after: equals)...]), allowed.contains(weight)
    else {
      diagnostics.error("expected \(expected), found '\(text)'", at: .option(Option.weight.spelling))
      return nil
    }
    return (String(text[..<equals]), weight)
  }
}
