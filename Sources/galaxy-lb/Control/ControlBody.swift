import GravityRestart
import JSON
import YAML

/// The members of a request's JSON object; an empty body is an empty object.
struct ControlBody {
  private let object: JSONObject

  init(_ bytes: [UInt8]) throws(ControlFailure) {
    guard !bytes.isEmpty else {
      object = JSONObject()
      return
    }
    let value: JSON
    do {
      value = try JSON(parsing: bytes)
    } catch {
      throw ControlFailure(400, "the body is no JSON: \(error)")
    }
    guard let object = value.asObject else {
      throw ControlFailure(400, "the body: expected an object, found \(value.kind)")
    }
    self.object = object
  }

  func expectOnly(_ names: [String]) throws(ControlFailure) {
    for member in object.members where !names.contains(member.name) {
      let hint = nearest(member.name, in: names).map { " (did you mean '\($0)'?)" } ?? ""
      let expected = names.isEmpty ? "no members" : "only \(names.joined(separator: ", "))"
      throw ControlFailure(
        400, "unknown member \(JSON.string(member.name).text)\(hint), expected \(expected)")
    }
  }

  private func value<Value>(
    _ name: String, _ expected: String, _ read: (JSON) -> Value?
  ) throws(ControlFailure) -> Value? {
    guard let json = object[name], json != .null else { return nil }
    guard let value = read(json) else {
      throw ControlFailure(400, "\(name): expected \(expected), found \(json.kind)")
    }
    return value
  }

  func boolean(_ name: String) throws(ControlFailure) -> Bool? {
    try value(name, "true or false") { $0.asBoolean }
  }

  func integer(_ name: String, in range: ClosedRange<Int>) throws(ControlFailure) -> Int {
    let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
    let found = try value(name, expected) { $0.asInteger.flatMap { range.contains($0) ? $0 : nil } }
    guard let found else { throw ControlFailure(400, "\(name): expected \(expected), found nothing") }
    return found
  }

  /// Seconds as milliseconds.
  func seconds(_ name: String, upTo longest: Double) throws(ControlFailure) -> Int64? {
    try value(name, "seconds from 0 to \(Int(longest))") { json in
      json.asNumber.flatMap { (0...longest).contains($0) ? Int64(($0 * 1000).rounded()) : nil }
    }
  }

  /// An array of texts.
  func texts(_ name: String) throws(ControlFailure) -> [String]? {
    try value(name, "an array of strings") { json in
      guard let elements = json.asArray else { return nil }
      let texts = elements.compactMap(\.asString)
      return texts.count == elements.count ? texts : nil
    }
  }

  /// A number of upstreams from 1, or a part of them such as `"50%"`.
  func quantity(_ name: String) throws(ControlFailure) -> UpstreamQuantity? {
    try value(name, "a number from 1, or a percentage such as \"50%\"") { json in
      if let number = json.asInteger { return number >= 1 ? .number(number) : nil }
      guard let text = json.asString, text.hasSuffix("%"), let percent = Int(text.dropLast()),
        (1...100).contains(percent)
      else { return nil }
      return .percent(percent)
    }
  }

  /// Text for people on one line.
  func reason() throws(ControlFailure) -> String? {
    let expected = "at most \(ControlCall.longestReason) bytes of text on one line"
    let text = try value("reason", expected) { json -> String? in
      guard let text = json.asString, text.utf8.count <= ControlCall.longestReason,
        !text.unicodeScalars.contains(where: LogLine.isControl)
      else { return nil }
      return text
    }
    return text?.isEmpty == true ? nil : text
  }
}
