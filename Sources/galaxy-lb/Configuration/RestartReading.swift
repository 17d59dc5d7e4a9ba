import GravityRestart
import YAML

/// The commands of `restart.hooks`, in the order of a restart.
struct HookKey: Sendable {
  let name: String
  let field: any WritableKeyPath<RestartHooks, RestartCommand?> & Sendable

  static let all = [
    HookKey(name: "before", field: \.before),
    HookKey(name: "after", field: \.after),
    HookKey(name: "on_halt", field: \.onHalt),
  ]

  /// Milliseconds.
  static let timeout: ClosedRange<Int64> = 1000...(24 * 3_600_000)
}

/// Reads `hooks` in `restart`.
///
/// - Parameters:
///   - restart: the value of `restart`; what is wrong with it as a whole is reported elsewhere.
///   - folder: that of the file, where commands start unless it says otherwise.
///   - origins: where each key stands, by its whole name.
func readRestartHooks(
  _ restart: Node, in folder: String, origins: inout [String: Origin], into diagnostics: inout Diagnostics
) -> RestartHooks {
  var hooks = RestartHooks()
  let section = "restart.hooks"
  guard case .mapping(let keys) = restart.content, let node = keys["hooks"], !node.isNull,
    let mapping = node.mapping(
      section, known: HookKey.all.map(\.name) + ["timeout", "folder"], into: &diagnostics)
  else { return hooks }
  var place = folder
  if let value = mapping["folder"], !value.isNull {
    origins["\(section).folder"] = value.origin
    let text = value.text("\(section).folder", expecting: "the path of a folder", into: &diagnostics)
    place = text.map { resolve($0, in: folder) } ?? folder
  }
  for key in HookKey.all {
    guard let value = mapping[key.name], !value.isNull else { continue }
    let name = "\(section).\(key.name)"
    origins[name] = value.origin
    if let form = value.command(name, into: &diagnostics) {
      hooks[keyPath: key.field] = RestartCommand(form, workingDirectory: workingDirectory(place))
    }
  }
  if let value = mapping["timeout"], !value.isNull {
    origins["\(section).timeout"] = value.origin
    if let time = value.quantity("\(section).timeout", .duration, in: HookKey.timeout, into: &diagnostics) {
      hooks.timeout = time
    }
  }
  return hooks
}

/// Reports `hooks` in the `restart` of a pool, and answers the keys that need no other word then.
func rejectHooks(_ restart: Node, of pool: String, into diagnostics: inout Diagnostics) -> [String] {
  guard case .mapping(let keys) = restart.content, let hooks = keys["hooks"] else { return [] }
  diagnostics.error(
    "\(pool).restart.hooks: hooks run once for all pools, expected them in 'restart' at the top level",
    at: hooks.origin)
  return ["hooks"]
}

/// The folder as a command's working directory; nil for galaxy-lb's own.
func workingDirectory(_ folder: String) -> String? { folder == "." ? nil : folder }

extension Node {
  /// A command: a text for sh(1), or a list of a program and its arguments.
  func command(_ key: String, into diagnostics: inout Diagnostics) -> RestartCommand.Form? {
    let expected = "a line for sh, or a list of a program and its arguments"
    guard case .sequence(let elements) = content else {
      return converted(key, expecting: expected, into: &diagnostics) {
        $0.allSatisfy(\.isWhitespace) ? nil : .shell($0)
      }
    }
    guard let first = elements.first else {
      diagnostics.error("\(key): found an empty list, expected \(expected)", at: origin)
      return nil
    }
    let program = first.text(key, expecting: "the name or the path of a program", into: &diagnostics)
    let arguments = elements.dropFirst().map { element in
      element.converted(key, expecting: "an argument of the program", into: &diagnostics) { $0 }
    }
    guard let program, !arguments.contains(nil) else { return nil }
    return .program(program, arguments: arguments.compactMap { $0 })
  }

  /// A number of upstreams, or a part of them from 1% to 100%.
  func upstreamQuantity(
    _ key: String, in allowed: ClosedRange<Int>, into diagnostics: inout Diagnostics
  ) -> UpstreamQuantity? {
    converted(key, expecting: "\(wholeNumber(in: allowed)), or from 1% to 100%", into: &diagnostics) { text in
      let isPart = text.hasSuffix("%")
      let digits = isPart ? text.dropLast() : text[...]
      guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits) else {
        return nil
      }
      guard isPart else { return allowed.contains(number) ? .number(number) : nil }
      return (1...100).contains(number) ? .percent(number) : nil
    }
  }

  /// Rising numbers from 1 to 100.
  func shares(_ key: String, into diagnostics: inout Diagnostics) -> [Int]? {
    let expected = "a list of 1 to 10 rising numbers from 1 to 100 (per cent)"
    guard let elements = oneOrMore(key, expecting: expected, into: &diagnostics) else { return nil }
    let numbers = elements.map { $0.integer(key, in: 1...100, into: &diagnostics) }
    let shares = numbers.compactMap { $0 }
    guard shares.count == numbers.count else { return nil }
    if (1...10).contains(shares.count), zip(shares, shares.dropFirst()).allSatisfy(<) { return shares }
    mismatch(key, expected, into: &diagnostics)
    return nil
  }

  /// False for `off`, true for a mapping.
  func isSectionOn(_ key: String, into diagnostics: inout Diagnostics) -> Bool? {
    switch content {
    case .mapping: return true
    case .scalar(let scalar) where scalar.text == "off": return false
    case .scalar, .sequence:
      mismatch(key, "off or a mapping", into: &diagnostics)
      return nil
    }
  }
}
