import SystemCalls
import YAML

/// Reads one Galaxy from its sections.
struct InstanceReader {
  /// The instance's name.
  let name: Sourced<String>

  private let sections: InstanceSections
  private let gravity: GravitySection
  private let environment: GravityEnvironment
  private let gunicorn: GunicornSettings
  private let enabled: [GunicornSettings.Item]

  private static let defaultName = "_default_"

  init(
    _ sections: InstanceSections, environment: GravityEnvironment, into diagnostics: inout Diagnostics
  ) {
    self.sections = sections
    self.environment = environment
    gravity = GravitySection(sections.gravity, environment: environment)
    name = gravity.text("instance_name", default: Self.defaultName, into: &diagnostics)
    gunicorn = GunicornSettings(of: gravity, environment: environment, into: &diagnostics)
    enabled = gunicorn.items.filter { $0.section.truth("enable", default: true, into: &diagnostics).value }
  }

  /// Where the Gravity section starts, or the file that has none.
  var origin: Origin { sections.gravityOrigin }

  /// - Parameter isOnly: true when no other Galaxy is read with this one.
  func instance(isOnly: Bool, into diagnostics: inout Diagnostics) -> GalaxyInstance {
    _ = gravity.word("app_server", among: ["gunicorn"], default: "gunicorn", into: &diagnostics)
    let places = InstancePlaces(
      gravity: gravity, galaxy: sections.galaxy, galaxyFile: sections.galaxyFile, environment: environment,
      into: &diagnostics)
    let manager = processManager(places, isOnly: isOnly, into: &diagnostics)
    let gunicorns = gunicorns(places, manager.value, isOnly: isOnly, into: &diagnostics)
    let instance = GalaxyInstance(
      name: name, origin: origin, gravityFile: sections.gravityFile, galaxyFile: sections.galaxyFile,
      galaxyRoot: places.root, versionSource: places.versionSource,
      urlPrefix: urlPrefix(into: &diagnostics), processManager: manager, stateDirectory: places.state,
      gunicorns: gunicorns)
    warn(of: instance, places, into: &diagnostics)
    return instance
  }

  private func processManager(
    _ places: InstancePlaces, isOnly: Bool, into diagnostics: inout Diagnostics
  ) -> Sourced<ProcessManager> {
    let words = ["supervisor", "systemd", "multiprocessing"]
    let standard = environment.isRoot ? "systemd" : "supervisor"
    var word = Sourced(standard, from: .builtIn)
    if let setting = gravity.setting("process_manager"), !setting.node.isNull {
      word = gravity.word("process_manager", among: words, default: standard, into: &diagnostics)
    }
    if word.value == "multiprocessing" {
      diagnostics.error(
        "process_manager: found multiprocessing, which can't restart one gunicorn alone, expected supervisor or "
          + "systemd", at: word.origin)
    }
    if word.value == "systemd" {
      warnOfMissingUser(word.origin, into: &diagnostics)
      return Sourced(places.systemd, from: word.origin)
    }
    return Sourced(places.supervisor(isOnly: isOnly), from: word.origin)
  }

  /// Gravity refuses to run as root without `galaxy_user`. So another user runs it, or it was never tried.
  private func warnOfMissingUser(_ manager: Origin, into diagnostics: inout Diagnostics) {
    guard environment.isRoot else { return }
    if gravity.optionalText("galaxy_user", into: &diagnostics) == nil {
      diagnostics.warning(
        "systemd's units are taken for the system's, as for a Gravity that root runs, but Gravity would want a "
          + "galaxy_user then; if another user runs it, set process_manager, and GRAVITY_USER=1 for units of a user",
        at: manager.unlessBuiltIn(origin))
    }
  }

  private func urlPrefix(into diagnostics: inout Diagnostics) -> Sourced<String> {
    let key = "galaxy_url_prefix"
    guard let node = sections.galaxy[key], !node.isNull else { return Sourced("", from: .builtIn) }
    guard var prefix = node.string(key, expecting: "a path such as /galaxy", into: &diagnostics) else {
      return Sourced("", from: node.origin)
    }
    // What goes into the request line of a probe must be a path of visible ASCII (RFC 9112, section 3.2.1).
    let isPath = prefix.isEmpty || prefix.hasPrefix("/")
    if !isPath || !prefix.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x3F && $0 != 0x23 }) {
      diagnostics.error("\(key): found '\(prefix)', expected a path such as /galaxy", at: node.origin)
    }
    while prefix.hasSuffix("/") { prefix.removeLast() }
    return Sourced(prefix, from: node.origin)
  }

  private func gunicorns(
    _ places: InstancePlaces, _ manager: ProcessManager, isOnly: Bool, into diagnostics: inout Diagnostics
  ) -> [GunicornService] {
    let style = gravity.word(
      "service_command_style", among: ["gravity", "direct", "_exec"], default: "gravity", into: &diagnostics)
    let instances = gravity.truth("use_service_instances", default: true, into: &diagnostics)
    let naming = ServiceNaming(
      instance: isOnly && name.value == Self.defaultName ? nil : name.value, isList: gunicorn.isList,
      usesServiceInstances: instances.value && style.value == "gravity", enabled: enabled.count)
    return enabled.enumerated().compactMap { number, item in
      let settings = item.section
      let bind = settings.text("bind", default: "localhost:8080", into: &diagnostics)
      let itemOrigin = item.origin.unlessBuiltIn(origin)
      // Read before anything is given up, so that all problems of an item are reported.
      let workers = settings.number("workers", default: 1, atLeast: 1, into: &diagnostics)
      let timeout = settings.number("timeout", default: 300, into: &diagnostics)
      let preload = preload(settings, into: &diagnostics)
      let start = settings.number("start_timeout", default: 15, into: &diagnostics)
      let stop = settings.number("stop_timeout", default: 65, into: &diagnostics)
      let restart = settings.number("restart_timeout", default: 300, into: &diagnostics)
      guard
        let endpoint = endpoint(
          bind.value, places, at: bind.origin.unlessBuiltIn(itemOrigin), into: &diagnostics)
      else { return nil }
      let unit =
        switch manager {
        case .supervisor: naming.supervisorProgram(index: item.index, number: number)
        case .systemd: naming.systemdUnit(index: item.index, number: number)
        }
      return GunicornService(
        origin: itemOrigin, serviceName: naming.serviceName(index: item.index), number: number, unit: unit,
        bind: bind, endpoint: endpoint, workers: workers, timeout: timeout,
        preload: preload, startTimeout: start, stopTimeout: stop, restartTimeout: restart)
    }
  }

  /// Null is allowed, and means that gunicorn is not told to.
  private func preload(_ settings: GravitySection, into diagnostics: inout Diagnostics) -> Sourced<Bool> {
    if let setting = settings.setting("preload"), setting.node.isNull {
      return Sourced(false, from: setting.origin)
    }
    return settings.truth("preload", default: true, into: &diagnostics)
  }

  private func endpoint(
    _ bind: String, _ places: InstancePlaces, at origin: Origin, into diagnostics: inout Diagnostics
  ) -> Endpoint? {
    do throws(BindProblem) {
      return try Endpoint(gunicornBind: bind, in: places.base)
    } catch {
      diagnostics.error("bind: found '\(bind)': \(error)", at: origin)
      return nil
    }
  }
}

// What Gravity accepts and what works badly.
extension InstanceReader {
  private func warn(
    of instance: GalaxyInstance, _ places: InstancePlaces, into diagnostics: inout Diagnostics
  ) {
    let subject = "Galaxy '\(name.value)'"
    let settings = gunicorn.origin.unlessBuiltIn(origin)
    if enabled.isEmpty, gunicorn.isList {
      diagnostics.error(
        "gunicorn: found a list without an enabled item, which Gravity can't read; expected one at least, or a "
          + "mapping with 'enable: false'", at: settings)
    } else if enabled.isEmpty {
      diagnostics.warning("\(subject) has no enabled gunicorn", at: settings)
    }
    let handlers = JobHandlers(gravity: gravity, galaxy: sections.galaxy, galaxyFile: sections.galaxyFile)
    if enabled.count > 1, !handlers.areSeparate {
      diagnostics.warning(
        "\(subject) has \(enabled.count) gunicorns and no separate job handlers, so jobs are handled more "
          + "than once; expected 'handlers' in the gravity section, or processes in Galaxy's job configuration",
        at: settings)
    }
    for gunicorn in instance.gunicorns { warnOfFolder(gunicorn, into: &diagnostics) }
    let isRelative =
      instance.gunicorns.contains { $0.bind.value.isRelativeSocket } || places.dependsOnRoot(instance)
    if places.root == nil, !places.isInstalled, isRelative {
      diagnostics.warning(
        "\(subject): its root folder can't be found, relative paths are taken from \(places.base); expected "
          + "galaxy_root", at: origin)
    }
  }

  private func warnOfFolder(_ gunicorn: GunicornService, into diagnostics: inout Diagnostics) {
    guard case .unix(let path) = gunicorn.endpoint else { return }
    let folder = parent(of: path)
    guard let status = FileStatus(of: folder), status.isWritableByOthers else { return }
    diagnostics.warning(
      "bind '\(gunicorn.bind.value)': every user can write to \(folder), and put a socket of their own there; "
        + "expected a folder for Galaxy and the proxy alone",
      at: gunicorn.bind.origin.unlessBuiltIn(gunicorn.origin))
  }
}

extension String {
  /// True for a `bind` to a unix socket whose path depends on gunicorn's working directory.
  fileprivate var isRelativeSocket: Bool {
    hasPrefix("unix:") && !hasPrefix("unix:/")
  }
}
