import SystemCalls
import YAML

extension ControlPlace {
  /// Reads `off`, or the path of a unix socket that somebody wrote at `origin`; nil when it is neither, which is
  /// reported.
  init?(
    reading text: String, in folder: String? = nil, at origin: Origin, into diagnostics: inout Diagnostics
  ) {
    if text == "off" {
      self = .off
    } else if let path = socketPath(reading: text, in: folder, at: origin, into: &diagnostics) {
      self = .at(path: path)
    } else {
      return nil
    }
  }

  /// Where a proxy that is told nothing listens for commands: the first folder that is meant for it, or nil when
  /// there is none. systemd gives the folder of `RuntimeDirectory=` in RUNTIME_DIRECTORY (systemd.exec(5)), and
  /// every user's own in XDG_RUNTIME_DIR (pam_systemd(8)).
  static func defaultPath(_ environment: [String: String], user: UInt32) -> String? {
    candidates(environment, user: user) { inRuntimeDirectory, system, own in
      [inRuntimeDirectory] + (user == 0 ? [system] : [own])
    }.first
  }

  /// Where a command that is told nothing looks for a proxy, in this order: a user's own before the system's.
  static func searchedPaths(_ environment: [String: String], user: UInt32) -> [String] {
    candidates(environment, user: user) { inRuntimeDirectory, system, own in
      [inRuntimeDirectory] + (user == 0 ? [system, own] : [own, system])
    }
  }

  private static let systemFolder = "/run/galaxy-lb"

  private static func candidates(
    _ environment: [String: String], user: UInt32,
    _ order: (_ inRuntimeDirectory: String?, _ system: String, _ own: String?) -> [String?]
  ) -> [String] {
    func absolute(_ name: String) -> String? {
      // Of several runtime directories the first is as good as any.
      let folder = environment[name]?.split(separator: ":").first.map(String.init)
      return folder?.hasPrefix("/") == true ? folder : nil
    }
    var seen: Set<String> = []
    return order(
      absolute("RUNTIME_DIRECTORY"), systemFolder, absolute("XDG_RUNTIME_DIR").map { "\($0)/galaxy-lb" }
    ).compactMap { $0.map { "\($0)/control.sock" } }
      .filter { $0.utf8.count <= Endpoint.longestUnixPath && seen.insert($0).inserted }
  }
}
