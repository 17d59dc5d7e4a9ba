import SystemCalls
import YAML

/// One Galaxy as Gravity's configuration describes it.
public struct GalaxyInstance: Sendable {
  /// Gravity's name for it, `_default_` when it has none of its own.
  public var name: Sourced<String>
  /// Where its Gravity section starts, or the file that has none.
  public var origin: Origin
  /// The file with the Gravity section; absolute.
  public var gravityFile: String
  /// The file with Galaxy's own options, the same one unless they are split; absolute.
  public var galaxyFile: String
  /// The folder of Galaxy's code, which relative paths start from; nil for a Galaxy that is installed as a
  /// package, and when it can't be found.
  public var galaxyRoot: Sourced<String>?
  /// Where the version of its code on disk stands; nil when there is no such place.
  public var versionSource: VersionSource?
  /// Galaxy's `galaxy_url_prefix` without a `/` at its end: empty, or a path that starts with `/`.
  public var urlPrefix: Sourced<String>
  /// What starts and stops its processes.
  public var processManager: Sourced<ProcessManager>
  /// Gravity's `gravity_data_dir`; absolute.
  public var stateDirectory: Sourced<String>
  /// The enabled ones, in the order of the file.
  public var gunicorns: [GunicornService]

  /// What a readiness probe asks for. HEAD is not served there.
  public var healthPath: String { urlPrefix.value + "/api/version" }
}

/// A process manager that can restart one gunicorn, and where to reach it.
public enum ProcessManager: Hashable, Sendable {
  /// - Parameters:
  ///   - folder: holds `supervisord.conf` and `supervisord.pid`.
  ///   - socket: the unix socket of its XML-RPC interface, for the same user and root only.
  case supervisor(folder: String, socket: String)
  /// - Parameters:
  ///   - userMode: true when the units belong to the user's own systemd (`systemctl --user`).
  ///   - unitFolder: where Gravity writes the units.
  case systemd(userMode: Bool, unitFolder: String)

  /// Its name in Gravity's configuration.
  public var keyword: String {
    switch self {
    case .supervisor: "supervisor"
    case .systemd: "systemd"
    }
  }
}

/// One gunicorn of a Galaxy. Time-outs are in seconds, as they are written.
public struct GunicornService: Sendable {
  /// Where its settings start, or those of its Galaxy if it has none.
  public var origin: Origin
  /// Gravity's name of the service, as `galaxyctl` takes it. Instances of one service share it.
  public var serviceName: String
  /// Its place among the enabled gunicorns, from 0: the number that a service instance has.
  public var number: Int
  /// What the process manager calls it: supervisor's program with its group, or systemd's unit.
  public var unit: String
  /// Where gunicorn was told to listen, as it is written.
  public var bind: Sourced<String>
  /// Where to connect to: a path from the root of the file system; a loopback address for a `bind` to all.
  public var endpoint: Endpoint
  public var workers: Sourced<Int>
  /// After how long a silent worker is killed; 0 for never.
  public var timeout: Sourced<Int>
  /// True when Galaxy is loaded once, before the workers are forked.
  public var preload: Sourced<Bool>
  public var startTimeout: Sourced<Int>
  public var stopTimeout: Sourced<Int>
  /// How long a restarted gunicorn may take until it answers.
  public var restartTimeout: Sourced<Int>
}
