import YAML

/// Settings by their keys: from a mapping of a file, else from the environment, else the default. Each problem is
/// reported, and the default takes the place of the bad value so that the reading goes on.
struct GravitySection {
  private let mapping: Mapping
  private let ignoresCase: Bool
  private let environment: (String) -> Setting?

  /// The top level of a `gravity` section. A key that the file lacks may come from `GRAVITY_<KEY>`; Gravity looks
  /// at no key's case there.
  init(_ mapping: Mapping, environment: GravityEnvironment) {
    self.mapping = mapping
    ignoresCase = true
    self.environment = { key in
      environment.variable("GRAVITY_" + key.uppercased())
        .map { Setting(key, text: $0.value, variable: $0.name) }
    }
  }

  /// One gunicorn's settings. Keys that the file lacks may come from `environment`.
  init(gunicorn mapping: Mapping, environment: @escaping (String) -> Setting? = { _ in nil }) {
    self.mapping = mapping
    ignoresCase = false
    self.environment = environment
  }

  /// What the file says; null counts as said.
  func inFile(_ key: String) -> Setting? {
    if let node = mapping[key] { return Setting(key, node) }
    guard ignoresCase else { return nil }
    let entry = mapping.entries.last {
      $0.key.value == .string && $0.key.text.lowercased() == key.lowercased()
    }
    return entry.map { Setting($0.key.text, $0.value) }
  }

  func setting(_ key: String) -> Setting? {
    inFile(key) ?? environment(key)
  }

  func text(_ key: String, default standard: String, into diagnostics: inout Diagnostics) -> Sourced<String> {
    sourced(setting(key), standard) { $0.text(expecting: "a string", into: &diagnostics) }
  }

  /// A string that may be null or empty, which both mean that it is not set.
  func optionalText(_ key: String, into diagnostics: inout Diagnostics) -> Sourced<String>? {
    guard let setting = setting(key), !setting.node.isNull,
      let text = setting.text(expecting: "a string", into: &diagnostics), !text.isEmpty
    else { return nil }
    return Sourced(text, from: setting.origin)
  }

  func number(
    _ key: String, default standard: Int, atLeast least: Int = 0, into diagnostics: inout Diagnostics
  ) -> Sourced<Int> {
    // Systemd's and supervisor's own time-outs are 32 bits wide.
    sourced(setting(key), standard) { $0.number(in: least...Int(Int32.max), into: &diagnostics) }
  }

  func truth(_ key: String, default standard: Bool, into diagnostics: inout Diagnostics) -> Sourced<Bool> {
    sourced(setting(key), standard) { $0.truth(into: &diagnostics) }
  }

  /// One of a few words, written exactly.
  func word(
    _ key: String, among words: [String], default standard: String, into diagnostics: inout Diagnostics
  ) -> Sourced<String> {
    sourced(setting(key), standard) { setting in
      if case .scalar(let scalar) = setting.node.content {
        if scalar.value == .string, words.contains(scalar.text) { return scalar.text }
        setting.mismatch(oneOf(words), nearest: nearest(scalar.text, in: words), into: &diagnostics)
      } else {
        setting.mismatch(oneOf(words), into: &diagnostics)
      }
      return nil
    }
  }

  /// Warns of keys that Gravity ignores and that are probably misspelt.
  func warnOfMisspeltKeys(among known: [String], of owner: String, into diagnostics: inout Diagnostics) {
    for entry in mapping.entries where !known.contains(entry.key.text) {
      guard let near = nearest(entry.key.text, in: known) else { continue }
      diagnostics.warning(
        "unknown key '\(entry.key.text)' in \(owner) is ignored by Gravity", at: .text(entry.keyPosition),
        nearest: near)
    }
  }

  private func sourced<Value>(
    _ setting: Setting?, _ standard: Value, _ convert: (Setting) -> Value?
  ) -> Sourced<Value> {
    guard let setting else { return Sourced(standard, from: .builtIn) }
    return Sourced(convert(setting) ?? standard, from: setting.origin)
  }
}
