import GravityRestart
import SystemCalls
import UpstreamPool
import YAML

extension ConfiguredPool {
  /// Decides how each upstream is restarted: what it says itself goes before what its pool says, and that before what
  /// Gravity says. A time-out of the pool goes before Gravity's.
  mutating func resolveServices(into diagnostics: inout Diagnostics) {
    let gravity = restart.services
    restart.services = settings.upstreams.enumerated().map { number, upstream in
      let isKnown = gravity.indices.contains(number) && gravity[number].manager != nil
      var service = isKnown ? gravity[number] : UpstreamService(unit: upstream.name)
      if let restartTimeout {
        service.restartTimeout = restartTimeout
        details[number].serviceOrigins.timeout = origins["restart.timeout"] ?? .builtIn
      }
      guard let setting = details[number].service ?? self.service else { return service }
      let place = ServicePlace(
        upstream: upstream, number: number, known: isKnown ? service : nil,
        isDefault: details[number].service == nil)
      setting.apply(to: &service, details: &details[number].serviceOrigins, place, into: &diagnostics)
      return service
    }
    if service != nil { processManager = nil }
  }
}

/// What a `ServiceSetting` is for.
private struct ServicePlace {
  let upstream: UpstreamSettings
  /// The upstream's, from 0.
  let number: Int
  /// What Gravity says about it.
  let known: UpstreamService?
  /// True when the setting is the pool's.
  let isDefault: Bool

  /// A text with what `%n`, `%i` and `%%` stand for in a pool's default; nil when something else follows a `%`.
  /// What an upstream says for itself is taken as it is.
  func expanded(_ text: String) -> String? {
    guard isDefault else { return text }
    var result = ""
    var rest = text[...]
    while let percent = rest.firstIndex(of: "%") {
      result += rest[..<percent]
      rest = rest[rest.index(after: percent)...]
      switch rest.popFirst() {
      case "n": result += upstream.name
      case "i": result += String(number)
      case "%": result += "%"
      default: return nil
      }
    }
    return result + rest
  }
}

extension ServiceSetting {
  fileprivate func apply(
    to service: inout UpstreamService, details origins: inout ServiceOrigins, _ place: ServicePlace,
    into diagnostics: inout Diagnostics
  ) {
    guard let manager = manager(place, into: &diagnostics) else { return }
    origins.manager = origin
    service.manager = manager
    service.unit = place.upstream.name
    if let written = unit.flatMap(place.expanded) {
      do throws(ProcessManagerError) {
        service.unit = try manager.unitName(written)
      } catch {
        diagnostics.error("\(key): \(error)", at: self.manager.origin)
      }
    }
    if let timeout {
      service.restartTimeout = timeout.value
      origins.timeout = timeout.origin
    }
    if let isPreloaded {
      service.isPreloaded = isPreloaded.value
      origins.preload = isPreloaded.origin
    } else if place.known == nil {
      // gunicorn preloads only if it is told to, and whoever chooses a HUP knows that it was not.
      service.isPreloaded = manager.method != .reload
    }
    if manager.method == .reload, service.isPreloaded {
      diagnostics.warning(
        "\(key): a HUP keeps the code that gunicorn has preloaded, so a restart will be refused; expected 'preload: "
          + "false' if it doesn't preload, else another way to restart it", at: origin)
    }
  }

  /// What the process manager calls the service, as it is written.
  private var unit: String? {
    switch manager.value {
    case .supervisor(let program, _, _): program
    case .systemd(let unit, _): unit
    case .command, .signal: nil
    }
  }

  private func manager(_ place: ServicePlace, into diagnostics: inout Diagnostics) -> ServiceManager? {
    guard hasOnlyKnownEscapes(place, into: &diagnostics) else { return nil }
    switch manager.value {
    case .supervisor(_, let socket, let credentials):
      return endpoint(socket, place, into: &diagnostics).map { .supervisor($0, credentials) }
    case .systemd(_, let userMode): return .systemd(userMode: userMode)
    case .command(let restart, let start, let folder, let keepsSocket):
      let own = folder.flatMap(place.expanded).map { resolve($0, in: self.folder) } ?? self.folder
      func command(_ form: RestartCommand.Form) -> RestartCommand {
        RestartCommand(form.mapTexts { place.expanded($0) ?? $0 }, workingDirectory: workingDirectory(own))
      }
      return .command(restart: command(restart), start: start.map(command), keepsSocket: keepsSocket)
    case .signal(let pidFile):
      if let file = pidFile.flatMap(place.expanded) { return .signal(.file(resolve(file, in: folder))) }
      if case .unix = place.upstream.endpoint { return .signal(.listener) }
      diagnostics.error(
        "\(key): who listens at \(place.upstream.endpoint) can't be told, as it is no unix socket; expected "
          + "'pid_file', the file that gunicorn writes with --pid", at: origin)
      return nil
    }
  }

  /// supervisor's address; that of Gravity's supervisor for one of its gunicorns, unless another is said.
  private func endpoint(
    _ socket: Sourced<String>?, _ place: ServicePlace, into diagnostics: inout Diagnostics
  ) -> Endpoint? {
    guard let socket else {
      if case .supervisor(let endpoint, _)? = place.known?.manager { return endpoint }
      diagnostics.error(
        "\(key): no address of supervisor, expected 'socket', that of its [unix_http_server] or "
          + "[inet_http_server]", at: origin)
      return nil
    }
    let text = place.expanded(socket.value) ?? socket.value
    let isPath = text.contains("/") || !text.contains(":")
    return Endpoint(
      reading: isPath && !text.hasPrefix("unix:") ? "unix:" + text : text, as: .upstream, in: folder,
      at: socket.origin, into: &diagnostics)
  }

  private func hasOnlyKnownEscapes(_ place: ServicePlace, into diagnostics: inout Diagnostics) -> Bool {
    guard let text = texts.first(where: { place.expanded($0) == nil }) else { return true }
    diagnostics.error(
      "\(key): found '\(text)', expected %n (the upstream's name), %i (its number from 0) or %% behind each % of a "
        + "pool's default", at: origin)
    return false
  }

  /// Everything in which `%n` and `%i` may stand.
  private var texts: [String] {
    switch manager.value {
    case .supervisor(let program, let socket, _): [program] + [socket?.value].compactMap { $0 }
    case .systemd(let unit, _): [unit]
    case .command(let restart, let start, let folder, _):
      restart.texts + (start?.texts ?? []) + [folder].compactMap { $0 }
    case .signal(let pidFile): [pidFile].compactMap { $0 }
    }
  }
}

extension RestartCommand.Form {
  fileprivate var texts: [String] {
    switch self {
    case .program(let program, let arguments): [program] + arguments
    case .shell(let line): [line]
    }
  }

  fileprivate func mapTexts(_ transform: (String) -> String) -> Self {
    switch self {
    case .program(let program, let arguments):
      .program(transform(program), arguments: arguments.map(transform))
    case .shell(let line): .shell(transform(line))
    }
  }
}
