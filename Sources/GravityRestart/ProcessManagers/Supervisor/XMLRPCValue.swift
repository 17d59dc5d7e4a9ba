import XML

/// A value of XML-RPC, of the types that supervisor's interface uses.
enum XMLRPCValue: Hashable, Sendable {
  case integer(Int)
  case boolean(Bool)
  case string(String)
  case array([XMLRPCValue])
  case structure([String: XMLRPCValue])
}

/// Why a text is no answer of XML-RPC.
struct XMLRPCError: Error, Hashable, Sendable, CustomStringConvertible {
  var description: String
}

/// What a call came to.
enum XMLRPCAnswer: Hashable, Sendable {
  case value(XMLRPCValue)
  case fault(code: Int, text: String)
}

extension XMLRPCAnswer {
  /// supervisor sends about a kilobyte for each of its programs.
  static let limits = DocumentLimits(bytes: 4 << 20, depth: 24, elements: 200_000)

  /// Reads a `methodResponse` (the XML-RPC specification, "Response format" and "Fault example").
  init(parsing bytes: [UInt8]) throws(XMLRPCError) {
    let root: Element
    do throws(DocumentError) {
      root = try parseDocument(bytes, limits: Self.limits)
    } catch {
      throw XMLRPCError(description: error.description)
    }
    guard root.name == "methodResponse" else {
      throw XMLRPCError(description: "found <\(root.name)>, expected <methodResponse>")
    }
    let content = try root.onlyChild()
    switch content.name {
    case "params":
      self = .value(try XMLRPCValue(try content.onlyChild(named: "param").onlyChild(named: "value")))
    case "fault":
      guard case .structure(let members) = try XMLRPCValue(try content.onlyChild(named: "value")),
        case .integer(let code)? = members["faultCode"], case .string(let text)? = members["faultString"]
      else { throw XMLRPCError(description: "a fault without faultCode and faultString") }
      self = .fault(code: code, text: text)
    case let name: throw XMLRPCError(description: "found <\(name)>, expected <params> or <fault>")
    }
  }
}

extension XMLRPCValue {
  /// Reads a `value`; one without a type is a string.
  init(_ element: Element) throws(XMLRPCError) {
    guard !element.children.isEmpty else {
      self = .string(element.text)
      return
    }
    let typed = try element.onlyChild()
    switch typed.name {
    case "int", "i4":
      guard let number = Int(typed.text) else {
        throw XMLRPCError(description: "found '\(typed.text.prefix(40))', expected a whole number")
      }
      self = .integer(number)
    case "boolean":
      guard typed.text == "0" || typed.text == "1" else {
        throw XMLRPCError(description: "found '\(typed.text.prefix(40))', expected a boolean, 0 or 1")
      }
      self = .boolean(typed.text == "1")
    case "string":
      guard typed.children.isEmpty else { throw XMLRPCError(description: "an element inside of a string") }
      self = .string(typed.text)
    case "array":
      var elements: [XMLRPCValue] = []
      for child in try typed.onlyChild(named: "data").children {
        elements.append(try XMLRPCValue(try child.named("value")))
      }
      self = .array(elements)
    case "struct":
      var members: [String: XMLRPCValue] = [:]
      for child in typed.children {
        let member = try child.named("member")
        guard member.children.count == 2 else {
          throw XMLRPCError(description: "a member without name and value")
        }
        let name = try member.children[0].named("name").text
        let value = try XMLRPCValue(try member.children[1].named("value"))
        guard members.updateValue(value, forKey: name) == nil else {
          throw XMLRPCError(description: "the member '\(name)' is there twice")
        }
      }
      self = .structure(members)
    case let name:
      throw XMLRPCError(description: "found <\(name)>, expected a type of value that supervisor has")
    }
  }
}

extension Element {
  fileprivate func onlyChild() throws(XMLRPCError) -> Element {
    guard children.count == 1 else {
      throw XMLRPCError(description: "found \(children.count) elements in <\(name)>, expected one")
    }
    return children[0]
  }

  fileprivate func onlyChild(named expected: String) throws(XMLRPCError) -> Element {
    try onlyChild().named(expected)
  }

  fileprivate func named(_ expected: String) throws(XMLRPCError) -> Element {
    guard name == expected else { throw XMLRPCError(description: "found <\(name)>, expected <\(expected)>") }
    return self
  }
}
