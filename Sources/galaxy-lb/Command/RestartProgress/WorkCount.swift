import JSON

/// Requests by class, as the proxy counts them, in words: `3 in flight (2 ordinary, 1 upload)`.
struct WorkCount: Equatable, CustomStringConvertible {
  let total: Int
  /// Classes of which there are any, by the names that the proxy gives them.
  let classes: [String]
  private let word: String

  /// - Parameter word: what they are, such as `in flight`.
  init(_ document: JSON?, as word: String) {
    self.word = word
    let members = document?.asObject?.members ?? []
    classes = members.compactMap { member in
      guard member.name != "total", let count = member.value.asInteger, count > 0 else { return nil }
      return "\(count) \(printable(member.name))"
    }
    total = document?["total"]?.asInteger ?? 0
  }

  var description: String {
    guard total > 0 else { return "nothing \(word)" }
    return classes.isEmpty ? "\(total) \(word)" : "\(total) \(word) (\(classes.joined(separator: ", ")))"
  }
}
