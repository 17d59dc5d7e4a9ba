import Glibc
import SystemCalls

/// The sockets that the control server listens on, made before the process becomes its user.
struct ControlListeners {
  /// Nil when there is to be none, or none can be had where nobody asked for one.
  let control: ControlSocket?
  /// Of the address that the metrics are on as well. Owned by whoever takes it.
  let metrics: Int32?
  let metricsPath: String?

  /// Throws when an address that somebody has asked for can't be listened on. What nobody asked for is only warned of:
  /// a second proxy beside the first one must run without any configuration.
  init(_ settings: Settings, log: Log) throws {
    control = try Self.controlSocket(settings, log: log)
    do {
      metrics = try settings.metrics.map {
        try Listening.sockets(on: $0, count: 1, options: .init(deferAccept: false))[0]
      }
    } catch {
      throw ListenFailure(endpoint: settings.metrics!, reason: "\(error)")
    }
    metricsPath = if case .unix(let path)? = settings.metrics { path } else { nil }
    if let control { log.notice("control socket", ["path": control.path]) }
    if let metrics { log.notice("metrics", ["address": Listening.localAddress(of: metrics)]) }
  }

  private static func controlSocket(_ settings: Settings, log: Log) throws -> ControlSocket? {
    func make(_ path: String, makesFolder: Bool) throws(ControlSocket.Failure) -> ControlSocket {
      try ControlSocket(
        path, makesFolder: makesFolder, owner: settings.runAs, group: settings.controlGroup)
    }
    switch settings.control {
    case .off: return nil
    case .at(let path): return try make(path, makesFolder: false)
    case .byDefault:
      guard let path = ControlPlace.defaultPath(environmentVariables(), user: geteuid()) else {
        log.info("no control socket, because there is no folder for it; --control PATH names one")
        return nil
      }
      do {
        return try make(path, makesFolder: true)
      } catch {
        log.warning("running without a control socket", ["error": error])
        return nil
      }
    }
  }
}
