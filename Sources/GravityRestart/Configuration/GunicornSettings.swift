import YAML

/// The `gunicorn` setting: a mapping or a list of mappings.
struct GunicornSettings {
  struct Item {
    /// The place in the list, 0 for a mapping.
    var index: Int
    var section: GravitySection
    /// Where it starts, for problems of the whole item.
    var origin: Origin
  }

  var items: [Item]
  var isList: Bool
  var origin: Origin

  /// The keys of Gravity 1.2.4.
  static let keys = [
    "enable", "bind", "workers", "timeout", "extra_args", "preload", "umask", "start_timeout", "stop_timeout",
    "restart_timeout", "memory_limit", "memory_high", "environment",
  ]

  private static let expected = "a mapping or a list of mappings"

  /// Null means the defaults. A key that a mapping lacks may come from the environment: from
  /// `GRAVITY_GUNICORN.<KEY>`, or from a JSON object in `GRAVITY_GUNICORN`, which may also be a JSON list if the
  /// file says nothing.
  init(of gravity: GravitySection, environment: GravityEnvironment, into diagnostics: inout Diagnostics) {
    let variables = GunicornVariables(environment, into: &diagnostics)
    guard let setting = gravity.inFile("gunicorn") else {
      if let setting = variables.json, case .sequence(let elements) = setting.node.content {
        self.init(list: elements, setting, into: &diagnostics)
      } else {
        self.init(
          GravitySection(gunicorn: Mapping(), environment: variables.setting), at: variables.json?.origin)
      }
      return
    }
    switch setting.node.content {
    case .sequence(let elements): self.init(list: elements, setting, into: &diagnostics)
    case .mapping(let mapping):
      let section = GravitySection(gunicorn: mapping, environment: variables.setting)
      section.warnOfMisspeltKeys(among: Self.keys, of: "gunicorn", into: &diagnostics)
      self.init(section, at: setting.origin)
    case .scalar:
      if !setting.node.isNull { setting.mismatch(Self.expected, into: &diagnostics) }
      self.init(GravitySection(gunicorn: Mapping()), at: setting.origin)
    }
  }

  private init(_ section: GravitySection, at origin: Origin?) {
    self.origin = origin ?? .builtIn
    items = [Item(index: 0, section: section, origin: self.origin)]
    isList = false
  }

  private init(list elements: [Node], _ setting: Setting, into diagnostics: inout Diagnostics) {
    origin = setting.origin
    isList = true
    items = []
    for (index, element) in elements.enumerated() {
      var item = Setting("gunicorn[\(index)]", element)
      if case .environment = setting.origin { item.origin = setting.origin }
      guard case .mapping(let mapping) = element.content else {
        item.mismatch("a mapping", into: &diagnostics)
        continue
      }
      let section = GravitySection(gunicorn: mapping)
      section.warnOfMisspeltKeys(among: Self.keys, of: item.key, into: &diagnostics)
      items.append(Item(index: index, section: section, origin: item.origin))
    }
  }
}

/// What the environment says about gunicorn.
private struct GunicornVariables {
  private static let name = "GRAVITY_GUNICORN"

  private let environment: GravityEnvironment
  /// The content of `GRAVITY_GUNICORN`; nil if it is not there, or no JSON object, list or null.
  let json: Setting?

  init(_ environment: GravityEnvironment, into diagnostics: inout Diagnostics) {
    self.environment = environment
    guard let (name, text) = environment.variable(Self.name) else {
      json = nil
      return
    }
    // JSON is YAML, as far as a configuration goes (YAML 1.2, section 1.3).
    var problems = Diagnostics()
    let node = Parser().parse(Array(text.utf8), file: name, into: &problems)
    var setting = Setting("gunicorn", text: text, variable: name)
    if let node, !text.isEmpty {
      switch node.content {
      case .mapping, .sequence: setting.node = node
      case .scalar where node.isNull: setting.node = node
      case .scalar: break
      }
    }
    if case .scalar = setting.node.content, !setting.node.isNull {
      setting.mismatch("a JSON object or a JSON list of objects", into: &diagnostics)
      json = nil
    } else {
      json = setting
    }
  }

  func setting(_ key: String) -> Setting? {
    if let (name, value) = environment.variable("\(Self.name).\(key)") {
      return Setting(key, text: value, variable: name)
    }
    guard let json, case .mapping(let mapping) = json.node.content, let node = mapping[key] else {
      return nil
    }
    var setting = Setting(key, node)
    setting.origin = json.origin
    return setting
  }
}
