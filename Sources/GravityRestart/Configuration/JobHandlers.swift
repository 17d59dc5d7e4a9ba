import SystemCalls
import YAML

/// Whether Galaxy's jobs have handlers of their own. Without any, the gunicorns handle jobs themselves, and of
/// several gunicorns each handles every job.
struct JobHandlers {
  let gravity: GravitySection
  let galaxy: Mapping
  /// Galaxy's configuration file, in whose folder the job configuration is looked for.
  let galaxyFile: String

  /// True as well when a job configuration can't be understood: nothing is known against it then.
  var areSeparate: Bool {
    if let handlers = gravity.setting("handlers"), case .mapping(let mapping) = handlers.node.content,
      !mapping.entries.isEmpty
    {
      return true
    }
    if let named = text(galaxy["job_config_file"]) {
      return areDefined(inFile: join(parent(of: galaxyFile), named))
    }
    if let embedded = galaxy["job_config"], !embedded.isNull { return areDefined(in: embedded) }
    let defaults = ["job_conf.yml", "job_conf.xml"].map { join(parent(of: galaxyFile), $0) }
    guard let file = defaults.first(where: { FileStatus(of: $0) != nil }) else { return false }
    return areDefined(inFile: file)
  }

  private func text(_ node: Node?) -> String? {
    guard case .scalar(let scalar)? = node?.content, scalar.value == .string, !scalar.text.isEmpty else {
      return nil
    }
    return scalar.text
  }

  private func areDefined(inFile path: String) -> Bool {
    guard FileStatus(of: path) != nil else { return false }
    var unread = Diagnostics()
    if path.hasSuffix(".xml") {
      return Parser().contents(of: path, into: &unread).map(Self.definesHandlers) ?? true
    }
    guard let root = Parser(duplicateKeys: .warning).read(path, into: &unread) else { return true }
    return areDefined(in: root)
  }

  /// `handling: processes:` with a process.
  private func areDefined(in jobConfiguration: Node) -> Bool {
    guard case .mapping(let keys) = jobConfiguration.content,
      case .mapping(let handling)? = keys["handling"]?.content,
      case .mapping(let processes)? = handling["processes"]?.content
    else { return false }
    return !processes.entries.isEmpty
  }

  /// True when a `<handler …>` stands in an XML text outside of its comments.
  static func definesHandlers(_ xml: [UInt8]) -> Bool {
    var rest = xml[...]
    while let tag = rest.firstIndex(of: UInt8(ascii: "<")) {
      rest = rest[tag...]
      if rest.starts(with: "<!--".utf8) {
        while !rest.isEmpty, !rest.starts(with: "-->".utf8) { rest.removeFirst() }
      } else if rest.starts(with: "<handler".utf8),
        let next = rest.dropFirst("<handler".utf8.count).first, " \t\r\n/>".utf8.contains(next)
      {
        return true
      } else {
        rest.removeFirst()
      }
    }
    return false
  }
}
