import GravityRestart
import SystemCalls
import YAML

// How upstreams are restarted, as galaxy-lb.yml would say it.
extension ConfigurationWriter {
  mutating func writeHooks() {
    let hooks = settings.restartHooks
    lines += ["restart:", "  hooks:"]
    let commands = HookKey.all.map { hooks[keyPath: $0.field] }
    for (key, command) in zip(HookKey.all, commands) {
      hook(key.name, command.map { text(of: $0.form) })
    }
    hook("timeout", Notation.duration.text(hooks.timeout))
    // All start in the same one.
    hook("folder", commands.compactMap { $0?.workingDirectory }.first.map(scalar))
  }

  private mutating func hook(_ key: String, _ value: String?) {
    let origin = configuration.origin(of: "restart.hooks.\(key)")
    lines.append("    \(key): \(value ?? "null")\(remark(origin))")
  }

  /// How one upstream is restarted: in words, then as it is configured.
  mutating func write(_ service: UpstreamService, _ origins: ServiceOrigins) {
    lines.append("        # service: \(comment(service.description))")
    guard let manager = service.manager else {
      lines.append("        service: null\(remark(origins.manager))")
      return
    }
    lines.append("        service:\(remark(origins.manager))")
    for (key, value) in keys(of: manager, service.unit) { lines.append("          \(key): \(value)") }
    if case .supervisor(_, _?) = manager { lines.append("          # password: not shown") }
    lines.append("          preload: \(service.isPreloaded)\(remark(origins.preload))")
    lines.append(
      "          timeout: \(Notation.duration.text(service.restartTimeout))\(remark(origins.timeout))")
  }

  private func keys(of manager: ServiceManager, _ unit: String) -> [(key: String, value: String)] {
    switch manager {
    case .supervisor(let endpoint, let credentials):
      let user = credentials.map { [("user", scalar($0.user))] } ?? []
      return [("supervisor", scalar(unit)), ("socket", scalar(endpoint.description))] + user
    case .systemd(let userMode): return [("systemd", scalar(unit)), ("user", String(userMode))]
    case .command(let restart, let start, let keepsSocket):
      let folder = restart.workingDirectory.map { [("folder", scalar($0))] } ?? []
      let second = start.map { [("start", text(of: $0.form))] } ?? []
      return [("command", text(of: restart.form))] + second + folder
        + [("keeps_socket", String(keepsSocket))]
    case .signal(.listener): return [("signal", "HUP")]
    case .signal(.file(let path)): return [("signal", "HUP"), ("pid_file", scalar(path))]
    }
  }

  private func text(of form: RestartCommand.Form) -> String {
    switch form {
    case .shell(let line): scalar(line)
    case .program(let program, let arguments):
      "[\(([program] + arguments).map(scalar).joined(separator: ", "))]"
    }
  }
}
