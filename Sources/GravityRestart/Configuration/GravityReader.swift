import SystemCalls
import YAML

/// Reads what Gravity is told about Galaxies, in the way Gravity reads it (as of version 1.2.4).
///
///     var diagnostics = Diagnostics()
///     let reader = GravityReader(environment: .current())
///     let instances = reader.instances(of: reader.discover(), into: &diagnostics)
///
/// Looks at files and folders and changes nothing.
public struct GravityReader: Sendable {
  private let environment: GravityEnvironment

  public init(environment: GravityEnvironment) {
    self.environment = environment
  }

  /// The files that Gravity would take if it was given none: `GRAVITY_CONFIG_FILE` (several, with `:` between),
  /// `GALAXY_CONFIG_FILE`, and otherwise those that exist in the usual places: for root all in `/etc/galaxy`, for
  /// others the first one in the working directory.
  public func discover() -> [Sourced<String>] {
    let named = (environment.variables["GRAVITY_CONFIG_FILE"] ?? "").split(separator: ":")
    if !named.isEmpty {
      return named.map { Sourced(String($0), from: .environment("GRAVITY_CONFIG_FILE")) }
    }
    if let file = environment.variables["GALAXY_CONFIG_FILE"], !file.isEmpty {
      return [Sourced(file, from: .environment("GALAXY_CONFIG_FILE"))]
    }
    let found = usualPlaces.filter { FileStatus(of: absolute($0, in: environment.workingDirectory)) != nil }
    return (environment.isRoot ? found : Array(found.prefix(1))).map { Sourced($0, from: .builtIn) }
  }

  private var usualPlaces: [String] {
    let system = environment.systemFolder
    guard environment.isRoot else { return ["config/galaxy.yml", "galaxy.yml", "config/galaxy.yml.sample"] }
    let folder = system + "/gravity.d"
    let files = names(inFolder: folder)
    return [system + "/gravity.yml", system + "/galaxy.yml"]
      + [".yml", ".yaml"].flatMap { ending in
        files.filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }.map { "\(folder)/\($0)" }
      }
  }

  /// The Galaxies that `files` describe, in order. All problems are reported. After an error what is returned is
  /// incomplete, and good for messages only.
  ///
  /// - Parameter files: paths, absolute or relative to the working directory, with the place that names each.
  ///   Gravity resolves links in a path that it was given, and not in one from `GALAXY_CONFIG_FILE` or found by
  ///   looking round (`builtIn`); it matters for what is relative to the file's folder.
  public func instances(
    of files: [Sourced<String>], into diagnostics: inout Diagnostics
  ) -> [GalaxyInstance] {
    let sections = files.flatMap { file in
      GravityFile(path: path(of: file), namedBy: file.origin).sections(into: &diagnostics)
    }
    let readers = sections.map { InstanceReader($0, environment: environment, into: &diagnostics) }
    reportDuplicateNames(readers, into: &diagnostics)
    // Names of units, and the place of supervisor's socket, depend on how many Galaxies there are.
    let isOnly = readers.count == 1
    let instances = readers.map { $0.instance(isOnly: isOnly, into: &diagnostics) }
    reportDuplicateBinds(instances, into: &diagnostics)
    return instances
  }

  private func path(of file: Sourced<String>) -> String {
    let path = absolute(file.value, in: environment.workingDirectory)
    switch file.origin {
    case .builtIn, .environment("GALAXY_CONFIG_FILE"): return path
    case .text, .file, .environment, .option: return resolvingLinks(path) ?? path
    }
  }

  private func reportDuplicateNames(_ readers: [InstanceReader], into diagnostics: inout Diagnostics) {
    var first: [String: Origin] = [:]
    for reader in readers {
      let place = reader.name.origin.unlessBuiltIn(reader.origin)
      if let before = first[reader.name.value] {
        diagnostics.error(
          "instance_name '\(reader.name.value)' is there twice, first at \(before); expected a name of its own for "
            + "each Galaxy", at: place)
      } else {
        first[reader.name.value] = place
      }
    }
  }

  private func reportDuplicateBinds(_ instances: [GalaxyInstance], into diagnostics: inout Diagnostics) {
    var first: [Endpoint: Origin] = [:]
    for gunicorn in instances.flatMap(\.gunicorns) {
      let place = gunicorn.bind.origin.unlessBuiltIn(gunicorn.origin)
      if let before = first[gunicorn.endpoint.canonical] {
        diagnostics.error(
          "bind '\(gunicorn.bind.value)' is the address of another gunicorn, at \(before); expected an address of "
            + "its own for each", at: place)
      } else {
        first[gunicorn.endpoint.canonical] = place
      }
    }
  }
}

extension Origin {
  /// This place, or `other` when nobody said anything.
  func unlessBuiltIn(_ other: Origin) -> Origin {
    self == .builtIn ? other : self
  }
}

extension Endpoint {
  /// Equal for addresses that are plainly the same.
  fileprivate var canonical: Endpoint {
    switch self {
    case .unix(let path): .unix(path: absolute(path, in: "/"))
    case .tcp(let host, let port):
      .tcp(host: host.lowercased() == "localhost" ? "127.0.0.1" : host.lowercased(), port: port)
    }
  }
}
