/// A call of XML-RPC: a method and its parameters.
struct XMLRPCCall: Hashable, Sendable {
  /// A parameter of a type that a method of supervisor's takes here.
  enum Parameter: Hashable, Sendable {
    case string(String)
    case boolean(Bool)
  }

  var method: String
  var parameters: [Parameter] = []

  /// The document (the XML-RPC specification, "Request format"). A string must hold no character that XML 1.0 can't
  /// express (2.2); the names of units are checked before they come here.
  var document: [UInt8] {
    var text = "<?xml version=\"1.0\"?><methodCall><methodName>\(Self.escape(method))</methodName><params>"
    for parameter in parameters {
      switch parameter {
      case .string(let value): text += "<param><value><string>\(Self.escape(value))</string></value></param>"
      case .boolean(let value): text += "<param><value><boolean>\(value ? 1 : 0)</boolean></value></param>"
      }
    }
    return Array((text + "</params></methodCall>").utf8)
  }

  /// Character data that reads back as `text` (XML 1.0, 2.4, and 2.11 for the carriage return).
  private static func escape(_ text: String) -> String {
    var escaped = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "&": escaped += "&amp;"
      case "\r": escaped += "&#13;"
      default: escaped.unicodeScalars.append(scalar)
      }
    }
    return escaped
  }
}
