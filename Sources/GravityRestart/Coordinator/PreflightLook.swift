import SystemCalls

/// Finds out about one upstream before anything is touched. Blocks; belongs on a thread of its own.
struct PreflightLook: Sendable {
  var target: RestartTarget
  var service: UpstreamService
  var probe: VersionProbe
  /// Milliseconds.
  var probeTimeout: Int64
  var versionSource: VersionSource?

  /// What is known then, and what people should know beside it, in whole sentences.
  struct Finding: Sendable {
    var facts: PreflightFacts
    var notes: [String]
    /// The main process, where it is known.
    var process: Int32?
    /// True when nobody listens at its address.
    var isDown = false
  }

  func look(within limit: WaitLimit) -> Finding {
    var (unit, notes, process) = lookAtUnit(within: limit)
    let answer = probe.ask(process: process, within: limit.atMost(.milliseconds(probeTimeout)))
    var facts = PreflightFacts(unit: unit, answers: false)
    var isDown = false
    switch answer {
    case .good(let incarnation, let version):
      facts.answers = true
      facts.incarnation = incarnation
      facts.versionRunning = version
    case .bad(let reason):
      isDown = probe.isRefused(within: limit.atMost(.milliseconds(probeTimeout)))
      notes.append("\(target.endpoint) gives no good answer at \(probe.path): \(reason).")
    }
    if let versionSource {
      do throws(UnreadableVersion) {
        facts.versionOnDisk = try versionSource.read()
      } catch {
        notes.append("The version on disk can't be told: \(error).")
      }
    }
    return Finding(facts: facts, notes: notes, process: process, isDown: isDown)
  }

  private func lookAtUnit(within limit: WaitLimit) -> (PreflightFacts.Unit, [String], Int32?) {
    guard let driver = service.manager?.driver else {
      return (.managerUnreachable("the configuration names no service for it"), [], nil)
    }
    do throws(ProcessManagerError) {
      let access = try driver.checkAccess(within: limit)
      let status = try driver.inspect(target, within: limit)
      return (unit(status), access.doubts + status.warnings, status.process)
    } catch {
      switch error.kind {
      case .permissionDenied: return (.forbidden(error.message), [], nil)
      case .unknownUnit, .badName: return (.unknown(error.message), [], nil)
      default: return (.managerUnreachable("\(error)"), [], nil)
      }
    }
  }

  private func unit(_ status: UnitStatus) -> PreflightFacts.Unit {
    switch status.state {
    case .missing: .unknown(status.description)
    case .stopped: .stopped
    case .failing, .fatal, .stopping: .failed(status.description)
    case .starting, .running, .unobservable: .running
    }
  }
}
