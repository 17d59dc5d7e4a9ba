import Glibc
import GravityRestart
import JSON
import SystemCalls
import YAML

/// `--graceful`: restarts the upstreams of a running proxy with the new code, or attaches to the restart that is in
/// progress, and follows it to its end.
struct Graceful: Equatable, Sendable {
  var proxy: RunningProxy
  /// Those alone that these mean; all when there are none.
  var names: [String] = []
  /// How many are out at once; nil for what the configuration says.
  var maximumUnavailable: UpstreamQuantity?
  var startsStopped = false
  var allowsVersionSkew = false
  /// Says what would be done, and touches nothing.
  var isRehearsal = false
  /// Whether the lines of the proxy are printed as they are.
  var json = false

  init(proxy: RunningProxy) { self.proxy = proxy }

  /// Takes its options out of those that were given. Nil when one is wrong, which is reported.
  init?(_ given: [GivenOption], proxy: RunningProxy, into diagnostics: inout Diagnostics) {
    let options = Set(given.map(\.option))
    self.init(proxy: proxy)
    names = given.filter { $0.option == .only }.compactMap(\.argument)
    startsStopped = options.contains(.startIfStopped)
    allowsVersionSkew = options.contains(.allowVersionSkew)
    isRehearsal = options.contains(.dryRun)
    json = options.contains(.json)
    guard let text = given.last(where: { $0.option == .maxUnavailable })?.argument else { return }
    maximumUnavailable = Self.quantity(text)
    guard maximumUnavailable == nil else { return }
    diagnostics.error(
      "expected a number of upstreams such as 2, or a part of them from 1% to 100%, found '\(text)'",
      at: .option(Option.maxUnavailable.spelling))
    return nil
  }

  private static func quantity(_ text: String) -> UpstreamQuantity? {
    let digits = text.hasSuffix("%") ? text.dropLast() : text[...]
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits),
      number > 0
    else { return nil }
    guard text.hasSuffix("%") else { return .number(number) }
    return number <= 100 ? .percent(number) : nil
  }

  func run() -> ExitStatus {
    ExitStatus { () throws(RunningProxy.Failed) in
      let upstreams = names.isEmpty ? [] : try proxy.upstreams(named: names, option: .only)
      return follow(try proxy.connect(), body(upstreams))
    }
  }

  private func follow(_ client: consuming ControlClient, _ body: JSON) -> ExitStatus {
    let follower: RestartFollower
    do {
      follower = try RestartFollower(RestartDisplay(json: json))
    } catch {
      complain("\(error)")
      return .failure
    }
    do {
      let (status, document) = try client.follow("POST", "/v1/restart", body, by: follower)
      follower.finish()
      if status != 200 {
        complain(RunningProxy.reason(of: status, document))
        return isUsage(status) ? .usage : .failure
      }
    } catch {
      follower.finish()
      if error != .abandoned, follower.end == nil { complain("\(error)") }
    }
    return status(of: follower)
  }

  /// The members of the request; what was not given is for the configuration to say.
  func body(_ upstreams: [UpstreamSelection.Entry]) -> JSON {
    var body = JSONObject()
    if !upstreams.isEmpty { body.append("only", .array(upstreams.map { .string($0.fullName) })) }
    switch maximumUnavailable {
    case .number(let number): body.append("max_unavailable", .integer(number))
    case .percent(let percent): body.append("max_unavailable", .string("\(percent)%"))
    case nil: break
    }
    if startsStopped { body.append("start_if_stopped", true) }
    if allowsVersionSkew { body.append("allow_version_skew", true) }
    if isRehearsal { body.append("dry_run", true) }
    return .object(body)
  }

  /// True for answers that blame the command line. A proxy from before this command knows no such resource, which is
  /// nobody's mistake.
  private func isUsage(_ status: Int) -> Bool {
    status == 400 || status == 404 && !names.isEmpty
  }

  private func status(of follower: RestartFollower) -> ExitStatus {
    if let end = follower.end {
      if !json { for complaint in RestartSummary(end, colours: false).complaints { complain(complaint) } }
      return end.status
    }
    switch follower.departure {
    case .signal(let number):
      sayItGoesOn("detached")
      return number == SIGINT ? .interrupted : .terminated
    case .outputClosed:
      sayItGoesOn("nobody reads standard output")
      return .nobodyReads
    case nil:
      complain(
        "the proxy ended in the middle of the restart, or the connection to it did: what it was about to do is not "
          + "known; look at '\(proxy.commandLine(.status))' and at its log, then give the command again")
      return .failure
    }
  }

  private func sayItGoesOn(_ reason: String) {
    complain(
      "\(reason); the restart goes on: '\(proxy.commandLine(.graceful))' attaches to it while it does, "
        + "'\(proxy.commandLine(.abort))' stops it")
  }
}
