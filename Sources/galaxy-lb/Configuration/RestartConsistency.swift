import GravityRestart
import UpstreamPool
import YAML

/// Checks what no single key of restarts can know: whether a restart could run at all, and whether it would restart
/// one upstream alone.
func checkRestarts(_ configuration: Configuration, into diagnostics: inout Diagnostics) {
  for pool in configuration.pools {
    checkCapacity(pool, into: &diagnostics)
    checkProbation(pool, into: &diagnostics)
    checkThatAllCanBeRestarted(pool, into: &diagnostics)
  }
  checkThatServicesDiffer(configuration.pools, into: &diagnostics)
}

private func checkCapacity(_ pool: ConfiguredPool, into diagnostics: inout Diagnostics) {
  let upstreams = pool.settings.upstreams.map { PlannedUpstream(name: $0.name) }
  guard let plan = try? RestartPlan(upstreams: upstreams, policy: pool.restart.policy),
    plan.maximumUnavailable == 0
  else { return }
  diagnostics.warning(
    "pool '\(pool.settings.name)': restart.min_available keeps \(plan.minimumAvailable) of its \(upstreams.count) "
      + "upstreams in service, so that none can be restarted; expected at most \(upstreams.count - 1)",
    at: pool.origins["restart.min_available"] ?? pool.origin)
}

private func checkProbation(_ pool: ConfiguredPool, into diagnostics: inout Diagnostics) {
  guard let rule = pool.restart.policy.probation, rule.longestDuration < rule.duration else { return }
  let keys = ["restart.probation.duration", "restart.probation.longest_duration"]
  diagnostics.error(
    "restart.probation.longest_duration is \(Notation.duration.text(rule.longestDuration)), expected at least "
      + "'duration', \(Notation.duration.text(rule.duration))",
    at: keys.reversed().compactMap { pool.origins[$0] }.first ?? pool.origin)
}

private func checkThatAllCanBeRestarted(_ pool: ConfiguredPool, into diagnostics: inout Diagnostics) {
  let isKnown = pool.restart.services.map { $0.manager != nil }
  guard isKnown.contains(true) else { return }
  for (index, isKnown) in isKnown.enumerated() where !isKnown {
    diagnostics.warning(
      "pool '\(pool.settings.name)': nothing is known to restart upstream "
        + "'\(pool.settings.upstreams[index].name)', as there is for others; expected 'service' for it or for the "
        + "pool", at: pool.details[index].origin)
  }
}

/// Two upstreams of one service would both be out while one of them is restarted, drained or not.
private func checkThatServicesDiffer(_ pools: [ConfiguredPool], into diagnostics: inout Diagnostics) {
  struct Service: Hashable {
    let manager: ServiceManager
    let unit: String
  }
  var first: [Service: String] = [:]
  // Gravity gives each of its services a name of its own, unless two Galaxies share theirs, which is an error already.
  for pool in pools where pool.processManager == nil {
    for (index, service) in pool.restart.services.enumerated() {
      var unit = service.unit
      var manager = service.manager
      switch service.manager {
      case .supervisor(let endpoint, _)?: manager = .supervisor(endpoint, nil)
      case .systemd?: break
      case .signal(.file)?: unit = ""
      // A command is told which upstream is meant, and no two have one socket.
      case nil, .command?, .signal(.listener)?: continue
      }
      guard let manager else { continue }
      let name = "'\(pool.settings.upstreams[index].name)' of pool '\(pool.settings.name)'"
      let key = Service(manager: manager, unit: unit)
      if let other = first[key] {
        diagnostics.error(
          "\(service) is the service of two upstreams, \(other) and \(name), so a restart of one would stop both; "
            + "expected one for each (in that of a pool %n stands for the name, %i for the number)",
          at: pool.details[index].serviceOrigins.manager)
      } else {
        first[key] = name
      }
    }
  }
}
