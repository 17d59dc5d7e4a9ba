/// One node of a YAML file: a scalar, a sequence or a mapping, and where it starts.
///
/// Aliases and merge keys are resolved: a node that an alias stands for has the position where it is written.
public struct Node: Sendable {
  public enum Content: Sendable {
    case scalar(Scalar)
    case sequence([Node])
    case mapping(Mapping)
  }

  public var content: Content
  public var position: Position

  public init(_ content: Content, at position: Position) {
    self.content = content
    self.position = position
  }

  public var origin: Origin { .text(position) }

  /// True for a scalar that says "nothing": an empty one, `~` or `null`.
  public var isNull: Bool {
    if case .scalar(let scalar) = content { scalar.value == .null } else { false }
  }

  /// What is there, in the words of a message: `the string 'abc'`, `a mapping`.
  public var found: String {
    switch content {
    case .sequence: "a list"
    case .mapping: "a mapping"
    case .scalar(let scalar):
      switch scalar.value {
      case .null: "nothing"
      case .boolean: "the boolean \(shortened(scalar.text))"
      case .integer(let number) where scalar.text == String(number): "the number \(number)"
      case .integer(let number): "the number \(number) (written \(shortened(scalar.text)))"
      case .float: "the number \(shortened(scalar.text))"
      case .string: "the string '\(shortened(scalar.text))'"
      case .other(let kind): "\(kind), \(shortened(scalar.text))"
      }
    }
  }
}

/// A scalar: its text, and what that text means by the rules of YAML 1.1.
public struct Scalar: Sendable {
  public enum Value: Hashable, Sendable {
    case null
    case boolean(Bool)
    case integer(Int)
    /// A float, or an integer beyond 64 bits.
    case float(Double)
    /// Anything quoted, and what is nothing else.
    case string
    /// Something that no setting is, by its name with an article: `a timestamp`.
    case other(String)
  }

  /// The content without quotes, escapes and folding.
  public var text: String
  public var value: Value
  /// True when it was written without quotes and not as a block.
  public var isPlain: Bool

  public init(text: String, value: Value, isPlain: Bool) {
    self.text = text
    self.value = value
    self.isPlain = isPlain
  }
}

/// A mapping in the order of the file. Of a key written twice the last one stands, as in Python.
public struct Mapping: Sendable {
  public struct Entry: Sendable {
    public var key: Scalar
    public var keyPosition: Position
    public var value: Node

    public init(key: Scalar, keyPosition: Position, value: Node) {
      self.key = key
      self.keyPosition = keyPosition
      self.value = value
    }
  }

  public var entries: [Entry]

  public init(_ entries: [Entry] = []) {
    self.entries = entries
  }

  /// The value of a key that is a string.
  public subscript(_ key: String) -> Node? {
    entries.last { $0.key.value == .string && $0.key.text == key }?.value
  }

  /// Reports the keys that are not among `known`, each with the nearest right one.
  ///
  /// - Parameter owner: whose keys these are, in the words of a message: `pools.main`.
  public func reportUnknownKeys(
    _ known: [String], of owner: String, into diagnostics: inout Diagnostics
  ) {
    for entry in entries where entry.key.value != .string || !known.contains(entry.key.text) {
      let nearest = nearest(entry.key.text, in: known)
      let expected =
        nearest == nil ? "; expected one of \(known.sorted().joined(separator: ", "))" : ""
      diagnostics.error(
        "unknown key '\(shortened(entry.key.text))' in \(owner)\(expected)", at: .text(entry.keyPosition),
        nearest: nearest)
    }
  }
}

/// `text` in one line of at most 60 characters, for a message.
func shortened(_ text: String) -> String {
  var line = ""
  for (count, character) in text.enumerated() {
    if count == 60 { return line + "…" }
    line.append(character.isNewline ? " " : character)
  }
  return line
}
