/// Recognises gunicorn's processes by their command lines.
enum GunicornMaster {
  enum Role: Hashable, Sendable {
    /// The process that HUP is for.
    case master
    case worker
    /// Not gunicorn at all.
    case other
  }

  /// - Parameters:
  ///   - arguments: the command line of the process.
  ///   - parent: that of its parent, if it has one. A worker is a fork of its master, with the same command line
  ///     unless the package setproctitle is there to tell them apart.
  static func role(of arguments: [String], parent: [String]?) -> Role {
    guard let first = arguments.first else { return .other }
    if first.hasPrefix("gunicorn: ") { return first.hasPrefix("gunicorn: master") ? .master : .worker }
    guard isGunicorn(arguments) else { return .other }
    return parent == arguments ? .worker : .master
  }

  /// True for `gunicorn …`, `python […] …/gunicorn …` and `python […] -m gunicorn …`.
  private static func isGunicorn(_ arguments: [String]) -> Bool {
    guard let first = arguments.first else { return false }
    if isNamedGunicorn(first) { return true }
    guard ["python", "pypy"].contains(where: { baseName(first).hasPrefix($0) }) else { return false }
    var rest = arguments.dropFirst()
    while let word = rest.popFirst() {
      switch word {
      case "-m": return rest.first == "gunicorn"
      // These two have a value of their own (python(1)).
      case "-X", "-W": _ = rest.popFirst()
      case _ where word.hasPrefix("-"): continue
      default: return isNamedGunicorn(word)
      }
    }
    return false
  }

  private static func isNamedGunicorn(_ word: String) -> Bool { baseName(word).hasPrefix("gunicorn") }

  private static func baseName(_ path: String) -> Substring {
    path.split(separator: "/").last ?? ""
  }
}
