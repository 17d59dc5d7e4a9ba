/// A JSON value (RFC 8259).
public enum JSON: Equatable, Sendable {
  case null
  case boolean(Bool)
  /// A number without fraction and exponent that fits 64 bits.
  case integer(Int)
  /// Any other number. One that is not finite is written as `null`.
  case number(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

/// The members of an object, in their order, each name once.
public struct JSONObject: Equatable, Sendable {
  /// A name and its value.
  public struct Member: Equatable, Sendable {
    public let name: String
    public let value: JSON
  }

  public private(set) var members: [Member] = []

  public init() {}

  /// The value of a member; nil when there is none of that name. It searches.
  public subscript(_ name: String) -> JSON? {
    members.first { $0.name == name }?.value
  }

  /// Adds a member behind the others.
  ///
  /// - Precondition: there is none of that name yet.
  public mutating func append(_ name: String, _ value: JSON) {
    assert(self[name] == nil, "the member '\(name)' is there already")
    members.append(Member(name: name, value: value))
  }

  /// For a reader that has made sure that the names differ.
  init(_ members: [Member]) { self.members = members }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  public init(dictionaryLiteral elements: (String, JSON)...) {
    for (name, value) in elements { append(name, value) }
  }
}

extension JSON: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByStringLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral
{
  public init(nilLiteral: ()) { self = .null }
  public init(booleanLiteral value: Bool) { self = .boolean(value) }
  public init(integerLiteral value: Int) { self = .integer(value) }
  public init(floatLiteral value: Double) { self = .number(value) }
  public init(stringLiteral value: String) { self = .string(value) }
  public init(arrayLiteral elements: JSON...) { self = .array(elements) }
  public init(dictionaryLiteral elements: (String, JSON)...) {
    var object = JSONObject()
    for (name, value) in elements { object.append(name, value) }
    self = .object(object)
  }
}

extension JSON {
  /// The member of an object; nil when this is none, or has none of that name.
  public subscript(_ name: String) -> JSON? {
    if case .object(let object) = self { object[name] } else { nil }
  }

  public var asBoolean: Bool? {
    if case .boolean(let value) = self { value } else { nil }
  }

  public var asInteger: Int? {
    if case .integer(let value) = self { value } else { nil }
  }

  /// The value of any number.
  public var asNumber: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  public var asString: String? {
    if case .string(let value) = self { value } else { nil }
  }

  public var asArray: [JSON]? {
    if case .array(let elements) = self { elements } else { nil }
  }

  public var asObject: JSONObject? {
    if case .object(let object) = self { object } else { nil }
  }

  /// What it is, for messages: `the string "a"`, `an object`. Long strings are cut.
  public var kind: String {
    switch self {
    case .null: "null"
    case .boolean(let value): "\(value)"
    case .integer, .number: "the number \(text)"
    case .string(let value):
      "the string \(JSON.string(value.count > 40 ? String(value.prefix(40)) + "..." : value).text)"
    case .array: "an array"
    case .object: "an object"
    }
  }
}
