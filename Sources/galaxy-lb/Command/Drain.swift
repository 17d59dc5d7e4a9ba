import Glibc
import JSON
import SystemCalls

/// `--drain NAME`: upstreams take no new requests; with `--wait` until those that they have are through.
struct Drain: Equatable, Sendable {
  var proxy: RunningProxy
  var name: String
  var reason: String?
  var waits = false
  /// Milliseconds for all of them together; nil for as long as it takes.
  var timeout: Int64?
  /// Whether progress is printed as it comes, a JSON value a line.
  var json = false

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      let upstreams = try proxy.upstreams(named: name, option: .drain)
      // All are drained at once; then there is all the time to wait for one after the other.
      let deadline = timeout.map { Self.now + $0 }
      guard waits else {
        let status = try proxy.change(upstreams, "drain", ["reason": .text(reason)])
        try warnOfPools(upstreams)
        return status
      }
      for upstream in upstreams {
        _ = try proxy.request("POST", "\(upstream.path)/drain", ["reason": .text(reason)])
      }
      try warnOfPools(upstreams)
      var worst = ExitStatus.success
      for upstream in upstreams {
        let status = try wait(for: upstream, deadline)
        if status != .success { worst = status }
      }
      return worst
    }
  }

  private func wait(
    for upstream: UpstreamSelection.Entry, _ deadline: Int64?
  ) throws(RunningProxy.Failed) -> ExitStatus {
    var progress = DrainProgressText(upstream.fullName)
    var body: JSONObject = ["reason": .text(reason), "wait": true]
    if let deadline { body.append("timeout", .seconds(milliseconds: max(0, deadline - Self.now))) }
    let last = try proxy.request("POST", "\(upstream.path)/drain", .object(body)) { line in
      let text = json ? line.text + "\n" : progress.text(of: line)
      _ = printToStandardOutput(text)
    }
    switch last["event"]?.asString {
    case "drained": return .success
    case "timed_out":
      complain(
        "\(upstream.fullName) is not drained in time; it stays draining, --ready \(upstream.fullName) ends that"
      )
    case "cancelled": complain("\(upstream.fullName) was made ready by somebody else")
    default: complain("the proxy ended the drain of \(upstream.fullName) without saying how")
    }
    return .failure
  }

  /// Somebody who drains the last one should know.
  private func warnOfPools(_ upstreams: [UpstreamSelection.Entry]) throws(RunningProxy.Failed) {
    let all = try proxy.request("GET", "/v1/upstreams")["upstreams"]?.asArray ?? []
    var pools: [String] = []
    for upstream in upstreams where !pools.contains(upstream.pool) { pools.append(upstream.pool) }
    for pool in pools {
      let takesRequests = all.contains { $0["pool"]?.asString == pool && $0["eligible"]?.asBoolean == true }
      if !takesRequests { complain("warning: no upstream of pool '\(pool)' takes requests now") }
    }
  }

  private static var now: Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }
}

/// The progress of one drain for people: a line that is written again and again on a terminal, else a line for each
/// change.
struct DrainProgressText {
  private let name: String
  private let isTerminal: Bool
  private var before = ""

  init(_ name: String, isTerminal: Bool = isatty(STDOUT_FILENO) != 0) {
    self.name = name
    self.isTerminal = isTerminal
  }

  /// What to print for a line of progress.
  mutating func text(of line: JSON) -> String {
    let event = line["event"]?.asString ?? ""
    let seconds = Int64(line["elapsed"]?.asNumber ?? 0)
    let inFlight = "\(WorkCount(line["in_flight"], as: "in flight"))"
    let words = event.split(separator: "_").joined(separator: " ")
    guard event == "draining" else {
      return
        "\(isTerminal ? "\r\u{1B}[K" : "")\(name): \(words), \(inFlight), after \(shortDuration(seconds))\n"
    }
    if isTerminal { return "\r\u{1B}[K\(name): \(words), \(inFlight), \(shortDuration(seconds))" }
    defer { before = inFlight }
    return inFlight == before ? "" : "\(name): \(words), \(inFlight)\n"
  }
}
