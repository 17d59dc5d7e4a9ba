/// A place in a text file, as editors count: the first line and the first column are 1. A column counts
/// characters, not bytes.
public struct Position: Hashable, Sendable {
  /// The file's name as it was given to the parser.
  public var file: String
  public var line: Int
  public var column: Int

  public init(file: String, line: Int, column: Int) {
    self.file = file
    self.line = line
    self.column = column
  }
}

extension Position: CustomStringConvertible {
  public var description: String { "\(file):\(line):\(column)" }
}

/// Where a value came from, or what a problem is about.
public enum Origin: Hashable, Sendable {
  /// A node of a file.
  case text(Position)
  /// A file or folder as a whole, by its path.
  case file(String)
  /// An environment variable, by its name.
  case environment(String)
  /// An option of the command line, with its dashes.
  case option(String)
  /// Nobody said anything: the program's default.
  case builtIn
}

extension Origin: CustomStringConvertible {
  public var description: String {
    switch self {
    case .text(let position): position.description
    case .file(let path): path
    case .environment(let name): "environment variable \(name)"
    case .option(let name): "option \(name)"
    case .builtIn: "default"
    }
  }
}

/// A setting together with the place that decided it.
public struct Sourced<Value> {
  public var value: Value
  public var origin: Origin

  public init(_ value: Value, from origin: Origin) {
    self.value = value
    self.origin = origin
  }
}

extension Sourced: Equatable where Value: Equatable {}
extension Sourced: Hashable where Value: Hashable {}
extension Sourced: Sendable where Value: Sendable {}
