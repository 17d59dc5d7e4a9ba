/// An element of an XML document, without its attributes, comments and processing instructions.
public struct Element: Hashable, Sendable {
  public var name: String
  /// In the order of the document.
  public var children: [Element]
  /// The character data directly inside of it, in one piece even if children stand in between.
  public var text: String

  public init(_ name: String, children: [Element] = [], text: String = "") {
    self.name = name
    self.children = children
    self.text = text
  }
}

/// What a document may hold at most.
public struct DocumentLimits: Sendable {
  public var bytes: Int
  /// How many elements may be open at once; the outermost one counts.
  public var depth: Int
  public var elements: Int

  public init(bytes: Int, depth: Int, elements: Int) {
    self.bytes = bytes
    self.depth = depth
    self.elements = elements
  }
}

/// Why a document is not taken. Lines and columns count from 1; columns are bytes.
public enum DocumentError: Error, Hashable, Sendable {
  /// Not well-formed (XML 1.0, 2.1), in the words of the parser.
  case malformed(String, line: Int, column: Int)
  /// A document type declaration, which is what entities are declared in. No document that is read here has one.
  case documentType(line: Int, column: Int)
  case tooLarge(limit: Int)
  case tooDeep(limit: Int)
  case tooManyElements(limit: Int)
  /// The parser could not be made. A lack that shows later is `malformed`, in the words of the parser.
  case outOfMemory
}

extension DocumentError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .malformed(let reason, let line, let column): "line \(line) column \(column): \(reason)"
    case .documentType(let line, let column):
      "line \(line) column \(column): found a document type declaration, expected none"
    case .tooLarge(let limit): "more than \(limit) bytes"
    case .tooDeep(let limit): "more than \(limit) elements inside each other"
    case .tooManyElements(let limit): "more than \(limit) elements"
    case .outOfMemory: "out of memory"
    }
  }
}
