/// One problem of a configuration.
public struct Diagnostic: Error, Hashable, Sendable {
  public enum Severity: String, Hashable, Sendable {
    /// The configuration can't be used.
    case error
    /// It can be used, and something in it works badly.
    case warning
  }

  public var severity: Severity
  /// What the problem is about.
  public var origin: Origin
  /// What was found and what is expected.
  public var message: String
  /// The right spelling that comes nearest to what was found.
  public var nearest: String?

  public init(_ severity: Severity, _ message: String, at origin: Origin, nearest: String? = nil) {
    self.severity = severity
    self.origin = origin
    self.message = message
    self.nearest = nearest
  }
}

extension Diagnostic: CustomStringConvertible {
  /// One line in the form that editors and compilers share: `file:line:column: error: message`.
  public var description: String {
    let hint = nearest.map { " (did you mean '\($0)'?)" } ?? ""
    let place = origin == .builtIn ? "" : "\(origin): "
    return "\(place)\(severity.rawValue): \(message)\(hint)"
  }
}

/// All problems of a configuration, collected while the reading goes on.
public struct Diagnostics: Sendable {
  private var found: [Diagnostic] = []

  public init() {}

  /// Adds a problem that makes the configuration unusable.
  public mutating func error(_ message: String, at origin: Origin, nearest: String? = nil) {
    add(Diagnostic(.error, message, at: origin, nearest: nearest))
  }

  /// Adds a problem that somebody should know of.
  public mutating func warning(_ message: String, at origin: Origin, nearest: String? = nil) {
    add(Diagnostic(.warning, message, at: origin, nearest: nearest))
  }

  public mutating func add(_ diagnostic: Diagnostic) {
    found.append(diagnostic)
  }

  public mutating func add(_ others: Diagnostics) {
    found += others.found
  }

  public var isEmpty: Bool { found.isEmpty }
  public var hasErrors: Bool { found.contains { $0.severity == .error } }

  /// Every problem once: those without a place in a file first, then file by file from top to bottom. Problems
  /// of one place stay in the order in which they were found.
  public var sorted: [Diagnostic] {
    var seen: Set<Diagnostic> = []
    let unique = found.filter { seen.insert($0).inserted }
    return unique.enumerated().sorted {
      let left = Self.rank($0.element.origin)
      let right = Self.rank($1.element.origin)
      return left == right ? $0.offset < $1.offset : left < right
    }.map(\.element)
  }

  private static func rank(_ origin: Origin) -> (String, Int, Int) {
    switch origin {
    case .text(let position): (position.file, position.line, position.column)
    case .file(let path): (path, 0, 0)
    case .environment, .option, .builtIn: ("", 0, 0)
    }
  }
}
