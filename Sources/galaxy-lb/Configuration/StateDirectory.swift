import Glibc
import SystemCalls
import YAML

extension Settings {
  /// Where a proxy that is told nothing keeps the reports of its restarts: in the folder that systemd made for the
  /// service (`StateDirectory=`, systemd.exec(5)), else where root's services keep theirs (hier(7)), else where a
  /// user's programs do (the XDG Base Directory Specification). Nil when there is no such place.
  ///
  /// - Parameter home: the user's home folder.
  static func defaultStateDirectory(
    _ environment: [String: String], user: UInt32, home: String?
  ) -> Sourced<String>? {
    func absolute(_ path: String?) -> String? { path?.hasPrefix("/") == true ? path : nil }
    // Of several state directories the first is as good as any.
    let made = environment["STATE_DIRECTORY"]?.split(separator: ":").first.map(String.init)
    if let folder = absolute(made) { return Sourced(folder, from: .environment("STATE_DIRECTORY")) }
    if user == 0 { return Sourced("/var/lib/galaxy-lb", from: .builtIn) }
    if let folder = absolute(environment["XDG_STATE_HOME"]) {
      return Sourced(folder + "/galaxy-lb", from: .environment("XDG_STATE_HOME"))
    }
    return absolute(environment["HOME"] ?? home).map {
      Sourced($0 + "/.local/state/galaxy-lb", from: .builtIn)
    }
  }
}

extension Configuration {
  mutating func takeDefaultStateDirectory() {
    let user = geteuid()
    let folder = Settings.defaultStateDirectory(
      environmentVariables(), user: user, home: homeDirectory(ofUser: user))
    settings.stateDirectory = folder?.value
    if let folder, folder.origin != .builtIn { origins["state_directory"] = folder.origin }
  }
}
