import SystemCalls
import YAML

/// Where the files of one Galaxy are: its root, Gravity's state, what belongs to its process manager.
struct InstancePlaces {
  /// `galaxy_root`, made absolute; nil when there is none.
  let root: Sourced<String>?
  /// True when Galaxy is installed as a package in its virtualenv.
  let isInstalled: Bool
  /// Where the version of the code on disk stands: below the root, else in the virtualenv.
  let versionSource: VersionSource?
  /// Gravity's `gravity_data_dir`.
  let state: Sourced<String>

  private let environment: GravityEnvironment
  private let dataDirectoryIsRelative: Bool

  init(
    gravity: GravitySection, galaxy: Mapping, galaxyFile: String, environment: GravityEnvironment,
    into diagnostics: inout Diagnostics
  ) {
    self.environment = environment
    let virtualenv = gravity.optionalText("virtualenv", into: &diagnostics)
    let package = Self.installedPackage(
      virtualenv?.value ?? environment.variables["VIRTUAL_ENV"], environment)
    isInstalled = package != nil
    root =
      Self.explicitRoot(gravity, galaxy, environment, into: &diagnostics)
      ?? environment.path("GALAXY_ROOT_DIR")
      ?? (isInstalled ? nil : Self.rootAround(galaxyFile))
    let packages = [root.map { join($0.value, "lib/galaxy") }, package].compactMap { $0 }
    versionSource = packages.first(where: VersionSource.isPackage).map { .galaxyPackage(folder: $0) }

    // Without a root, Gravity runs only where Galaxy is installed, and then data is in `data`.
    let standard = isInstalled || root == nil ? "data" : "database"
    var data = Sourced(standard, from: .builtIn)
    if let node = galaxy["data_dir"],
      let text = node.string("data_dir", expecting: "a path", into: &diagnostics)
    {
      data = Sourced(text, from: node.origin)
    }
    let base = root?.value ?? environment.workingDirectory
    let given = environment.variables["GRAVITY_STATE_DIR"].flatMap { $0.isEmpty ? nil : $0 }
    if let given {
      // galaxyctl resolves links in it, as in every path that it is given.
      let path = absolute(given, in: environment.workingDirectory)
      state = Sourced(resolvingLinks(path) ?? path, from: .environment("GRAVITY_STATE_DIR"))
    } else if data.value.hasPrefix("/") {
      state = Sourced(join(data.value, "gravity"), from: data.origin)
    } else {
      state = Sourced(absolute(join(data.value, "gravity"), in: base), from: data.origin)
    }
    dataDirectoryIsRelative = given == nil && !data.value.hasPrefix("/")
  }

  /// What relative paths start from.
  var base: String { root?.value ?? environment.workingDirectory }

  /// True when something that matters for restarts is looked for relative to the root.
  func dependsOnRoot(_ instance: GalaxyInstance) -> Bool {
    guard case .supervisor(let folder, _) = instance.processManager.value else { return false }
    return dataDirectoryIsRelative && folder == join(state.value, "supervisor")
  }

  var systemd: ProcessManager {
    let userMode = environment.usesUserSystemd
    let standard = userMode ? join(environment.home, ".config/systemd/user") : "/etc/systemd/system"
    return .systemd(
      userMode: userMode, unitFolder: environment.path("GRAVITY_SYSTEMD_UNIT_PATH")?.value ?? standard)
  }

  /// - Parameter isOnly: false when several Galaxies share one supervisor, which then belongs to none of them.
  func supervisor(isOnly: Bool) -> ProcessManager {
    var folder = state.value
    if !isOnly, state.origin != .environment("GRAVITY_STATE_DIR") {
      let configuration = environment.path("XDG_CONFIG_HOME")?.value ?? join(environment.home, ".config")
      folder = join(configuration, "galaxy-gravity")
    }
    folder = join(folder, "supervisor")
    let socket = environment.path("SUPERVISORD_SOCKET")?.value ?? join(folder, "supervisor.sock")
    return .supervisor(folder: folder, socket: socket)
  }

  private static func explicitRoot(
    _ gravity: GravitySection, _ galaxy: Mapping, _ environment: GravityEnvironment,
    into diagnostics: inout Diagnostics
  ) -> Sourced<String>? {
    var root = gravity.optionalText("galaxy_root", into: &diagnostics)
    if root == nil, let node = galaxy["root"], !node.isNull,
      let text = node.string("root", expecting: "a path", into: &diagnostics), !text.isEmpty
    {
      root = Sourced(text, from: node.origin)
    }
    if let root, !root.value.hasPrefix("/") {
      diagnostics.warning(
        "galaxy_root '\(root.value)' is relative: Gravity takes it from the folder that galaxyctl runs in, and systemd "
          + "refuses it; expected a path that starts with /", at: root.origin)
    }
    return root.map { Sourced(absolute($0.value, in: environment.workingDirectory), from: $0.origin) }
  }

  /// The folder above the one with the configuration, if Galaxy's code is in it.
  private static func rootAround(_ galaxyFile: String) -> Sourced<String>? {
    let folder = parent(of: galaxyFile)
    guard FileStatus(of: join(folder, "../lib/galaxy")) != nil else { return nil }
    return Sourced(absolute("..", in: folder), from: .file(galaxyFile))
  }

  /// The folder of Galaxy's package in a virtualenv.
  private static func installedPackage(_ virtualenv: String?, _ environment: GravityEnvironment) -> String? {
    guard let virtualenv, !virtualenv.isEmpty else { return nil }
    let library = join(absolute(virtualenv, in: environment.workingDirectory), "lib")
    return names(inFolder: library).filter { $0.hasPrefix("python") }
      .map { "\(library)/\($0)/site-packages/galaxy" }
      .first { package in ["version", "version.py"].contains { FileStatus(of: join(package, $0)) != nil } }
  }
}
