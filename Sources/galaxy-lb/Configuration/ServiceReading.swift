import GravityRestart
import SystemCalls
import YAML

/// How an upstream is restarted, as galaxy-lb.yml says it: nothing is filled in yet. As a pool's default its texts may
/// have `%n` and `%i`.
struct ServiceSetting: Sendable {
  enum Manager: Sendable {
    case supervisor(program: String, socket: Sourced<String>?, credentials: SupervisorCredentials?)
    case systemd(unit: String, userMode: Bool)
    case command(
      restart: RestartCommand.Form, start: RestartCommand.Form?, folder: String?, keepsSocket: Bool)
    case signal(pidFile: String?)
  }

  /// The setting's name in messages: `pools.main.service`.
  let key: String
  /// What relative paths are relative to.
  let folder: String
  let origin: Origin
  let manager: Sourced<Manager>
  let isPreloaded: Sourced<Bool>?
  /// Milliseconds.
  let timeout: Sourced<Int64>?

  /// The keys that say what restarts, each with those that go with it.
  static let managers = [
    "supervisor": ["socket", "user", "password"], "systemd": ["user"],
    "command": ["start", "folder", "keeps_socket"], "signal": ["pid_file"],
  ]
  private static let common = ["preload", "timeout"]

  /// Reads one, and reports what is wrong with it; nil when nothing is left of it.
  init?(_ node: Node, _ key: String, in folder: String, into diagnostics: inout Diagnostics) {
    guard let keys = node.mapping(key, into: &diagnostics) else { return nil }
    let words = Self.managers.keys.sorted()
    let named = words.filter { keys[$0] != nil }
    guard named.count == 1, let word = named.first, let value = keys[word] else {
      let known = words + Self.managers.values.flatMap { $0 } + Self.common
      var problems = Diagnostics()
      keys.reportUnknownKeys(Array(Set(known)).sorted(), of: key, into: &problems)
      diagnostics.add(problems)
      if !problems.hasErrors || named.count > 1 {
        let found = named.isEmpty ? "none" : named.joined(separator: " and ")
        diagnostics.error("\(key): found \(found), expected one of \(oneOf(words))", at: node.origin)
      }
      return nil
    }
    keys.reportUnknownKeys(
      [word] + (Self.managers[word] ?? []) + Self.common, of: "\(key) with \(word)", into: &diagnostics)
    let reader = ManagerReader(keys: keys, key: key)
    guard let manager = reader.read(word, value, into: &diagnostics) else { return nil }
    self.key = key
    self.folder = folder
    origin = node.origin
    self.manager = Sourced(manager, from: value.origin)
    isPreloaded = reader.value("preload").flatMap { value in
      value.boolean("\(key).preload", into: &diagnostics).map { Sourced($0, from: value.origin) }
    }
    timeout = reader.value("timeout").flatMap { value in
      value.quantity("\(key).timeout", .duration, in: PoolKey.restartTimeout, into: &diagnostics)
        .map { Sourced($0, from: value.origin) }
    }
  }
}

/// Reads the keys of one kind of service.
private struct ManagerReader {
  let keys: Mapping
  let key: String

  /// What is said for a key; nil for nothing.
  func value(_ name: String) -> Node? { keys[name].flatMap { $0.isNull ? nil : $0 } }

  func read(
    _ word: String, _ value: Node, into diagnostics: inout Diagnostics
  ) -> ServiceSetting.Manager? {
    switch word {
    case "supervisor": return supervisor(value, into: &diagnostics)
    case "systemd":
      let expected = "the name of a service of systemd"
      let userMode = self.value("user").map { $0.boolean("\(key).user", into: &diagnostics) } ?? false
      let unit = value.text("\(key).systemd", expecting: expected, into: &diagnostics)
      guard let unit, let userMode else { return nil }
      return .systemd(unit: unit, userMode: userMode)
    case "command":
      let start = self.value("start").map { $0.command("\(key).start", into: &diagnostics) }
      let folder = text("folder", "the path of a folder", into: &diagnostics)
      let keepsSocket =
        self.value("keeps_socket").map { $0.boolean("\(key).keeps_socket", into: &diagnostics) } ?? false
      let command = value.command("\(key).command", into: &diagnostics)
      guard let command, let keepsSocket, start != .some(nil) else { return nil }
      return .command(restart: command, start: start ?? nil, folder: folder, keepsSocket: keepsSocket)
    default:
      let pidFile = text(
        "pid_file", "the path of the file that gunicorn writes with --pid", into: &diagnostics)
      guard let signal = value.text("\(key).signal", expecting: "HUP", into: &diagnostics) else { return nil }
      guard ["HUP", "SIGHUP"].contains(signal) else {
        value.mismatch("\(key).signal", "HUP", into: &diagnostics)
        return nil
      }
      return .signal(pidFile: pidFile)
    }
  }

  private func supervisor(_ value: Node, into diagnostics: inout Diagnostics) -> ServiceSetting.Manager? {
    let expected = "the path of supervisor's unix socket, or HOST:PORT"
    let socket = text("socket", expected, into: &diagnostics).flatMap { text in
      self.value("socket").map { Sourced(text, from: $0.origin) }
    }
    let credentials = credentials(into: &diagnostics)
    let program = value.text(
      "\(key).supervisor", expecting: "the name of a program of supervisor", into: &diagnostics)
    guard let program else { return nil }
    return .supervisor(program: program, socket: socket, credentials: credentials)
  }

  /// A colon ends the user's name in what is sent (RFC 7617 2).
  private func credentials(into diagnostics: inout Diagnostics) -> SupervisorCredentials? {
    let user = text("user", "the user name of supervisor's server section", into: &diagnostics)
    let password = text("password", "the password of supervisor's server section", into: &diagnostics)
    if let value = value("password") { warnOfReaders(value.position, into: &diagnostics) }
    if let user, user.contains(":"), let value = value("user") {
      value.mismatch("\(key).user", "a name without a colon", into: &diagnostics)
    }
    switch (value("user"), value("password")) {
    case (let user?, nil):
      diagnostics.error("\(key): a user without a password, expected both or none", at: user.origin)
    case (nil, let password?):
      diagnostics.error("\(key): a password without a user, expected both or none", at: password.origin)
    case (nil, nil), (_?, _?): break
    }
    guard let user, let password else { return nil }
    return SupervisorCredentials(user: user, password: password)
  }

  private func warnOfReaders(_ position: Position, into diagnostics: inout Diagnostics) {
    guard FileStatus(of: position.file)?.isReadableByOthers == true else { return }
    diagnostics.warning(
      "\(key).password: every user can read \(position.file); expected a file for the proxy's user alone (chmod "
        + "o-r)", at: .text(position))
  }

  private func text(
    _ name: String, _ expected: String, into diagnostics: inout Diagnostics
  ) -> String? {
    value(name)?.text("\(key).\(name)", expecting: expected, into: &diagnostics)
  }
}
