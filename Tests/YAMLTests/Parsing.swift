import Testing
import YAML

/// The tree of a text without problems.
func tree(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws -> Node {
  var diagnostics = Diagnostics()
  let node = Parser().parse(Array(text.utf8), file: "t.yml", into: &diagnostics)
  #expect(diagnostics.sorted == [], sourceLocation: sourceLocation)
  return try #require(node, sourceLocation: sourceLocation)
}

/// The problems of a text, as printed.
func problems(_ text: String, _ parser: Parser = Parser()) -> [String] {
  var diagnostics = Diagnostics()
  _ = parser.parse(Array(text.utf8), file: "t.yml", into: &diagnostics)
  return diagnostics.sorted.map(\.description)
}

extension Node {
  /// The tree in one line, scalars by meaning, for comparisons.
  var outline: String {
    switch content {
    case .sequence(let elements): "[" + elements.map(\.outline).joined(separator: ", ") + "]"
    case .mapping(let mapping):
      "{" + mapping.entries.map { "\($0.key.outline): \($0.value.outline)" }.joined(separator: ", ") + "}"
    case .scalar(let scalar): scalar.outline
    }
  }
}

extension Scalar {
  var outline: String {
    switch value {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer(let number): "\(number)"
    case .float(let number): "\(number)"
    case .string: "'\(text)'"
    case .other(let kind): "<\(kind)>"
    }
  }
}
