import Glibc
import SystemCalls
import YAML

/// Everything around Gravity's files that decides what they mean. A value, so that the rules for root and for
/// other users can be tried without being either.
public struct GravityEnvironment: Sendable {
  public var variables: [String: String]
  /// The effective user, 0 for root.
  public var user: UInt32
  /// What relative paths start from; absolute.
  public var workingDirectory: String
  /// The user's home folder; absolute.
  public var home: String
  /// Where root's configuration is looked for.
  public var systemFolder = "/etc/galaxy"

  public init(variables: [String: String], user: UInt32, workingDirectory: String, home: String) {
    self.variables = variables
    self.user = user
    self.workingDirectory = workingDirectory
    self.home = home
  }

  /// The surroundings of this process.
  public static func current() -> GravityEnvironment {
    let variables = environmentVariables()
    let user = geteuid()
    return GravityEnvironment(
      variables: variables, user: user, workingDirectory: SystemCalls.workingDirectory() ?? "/",
      home: variables["HOME"] ?? homeDirectory(ofUser: user) ?? "/")
  }

  /// True when Gravity's rules for root apply. `GRAVITY_SKIP_SYSTEMD` makes Gravity take root for an ordinary
  /// user, as in a container.
  var isRoot: Bool {
    let skip = variables["GRAVITY_SKIP_SYSTEMD"]?.lowercased() ?? ""
    return user == 0 && !["1", "true", "yes"].contains(skip)
  }

  /// True when systemd units belong to the user's own systemd (`systemctl --user`): so it is for everybody but
  /// root, unless `GRAVITY_USER`, the variable of galaxyctl's option `--user`, says otherwise.
  var usesUserSystemd: Bool {
    switch variables["GRAVITY_USER"]?.lowercased() {
    case "1", "true", "t", "yes", "y", "on": true
    case "0", "false", "f", "no", "n", "off": false
    default: !isRoot
    }
  }

  /// A variable that is there and not empty, as a path from the working directory.
  func path(_ name: String) -> Sourced<String>? {
    guard let value = variables[name], !value.isEmpty else { return nil }
    return Sourced(absolute(value, in: workingDirectory), from: .environment(name))
  }

  /// A variable by its name without regard to case, as Gravity looks for those of its settings; the exact name
  /// goes first.
  func variable(_ name: String) -> (name: String, value: String)? {
    if let value = variables[name] { return (name, value) }
    let wanted = name.lowercased()
    let match = variables.keys.filter { $0.lowercased() == wanted }.min()
    return match.flatMap { match in variables[match].map { (match, $0) } }
  }
}
