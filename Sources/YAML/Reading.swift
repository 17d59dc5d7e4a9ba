// What a setting expects of a node. Each of these reports what was found and what is expected, answers nil, and
// lets the reading go on. `key` is the setting's name in the words of a message.
extension Node {
  /// A string: quoted, or plain and nothing else by YAML's rules.
  public func string(
    _ key: String, expecting: String = "a string", into diagnostics: inout Diagnostics
  ) -> String? {
    if case .scalar(let scalar) = content, scalar.value == .string { return scalar.text }
    mismatch(key, expecting, into: &diagnostics)
    return nil
  }

  /// A whole number within `range`.
  public func integer(
    _ key: String, in range: ClosedRange<Int> = .min ... .max, into diagnostics: inout Diagnostics
  ) -> Int? {
    if case .scalar(let scalar) = content, case .integer(let number) = scalar.value, range.contains(number) {
      return number
    }
    mismatch(key, wholeNumber(in: range), into: &diagnostics)
    return nil
  }

  /// `true`, `false`, or one of YAML 1.1's other words for them.
  public func boolean(_ key: String, into diagnostics: inout Diagnostics) -> Bool? {
    if case .scalar(let scalar) = content, case .boolean(let value) = scalar.value { return value }
    mismatch(key, "true or false", into: &diagnostics)
    return nil
  }

  /// One of a few words. Words that YAML takes for booleans (`off`) are found by their text.
  public func choice<Word: CaseIterable & RawRepresentable<String>>(
    _ key: String, of type: Word.Type, into diagnostics: inout Diagnostics
  ) -> Word? {
    let words = Word.allCases.map(\.rawValue)
    guard case .scalar(let scalar) = content else {
      mismatch(key, oneOf(words), into: &diagnostics)
      return nil
    }
    if let word = Word(rawValue: scalar.text) { return word }
    diagnostics.error(
      "\(key): found \(found), expected \(oneOf(words))", at: origin, nearest: nearest(scalar.text, in: words)
    )
    return nil
  }

  /// Whatever `convert` makes of the text of a scalar that is not null, as it is written, quotes aside. For
  /// durations, sizes and addresses, which may look like numbers to YAML.
  public func converted<Value>(
    _ key: String, expecting: String, into diagnostics: inout Diagnostics, by convert: (String) -> Value?
  ) -> Value? {
    if case .scalar(let scalar) = content, scalar.value != .null, let value = convert(scalar.text) {
      return value
    }
    mismatch(key, expecting, into: &diagnostics)
    return nil
  }

  /// The elements of a list. Nothing at all (a key whose elements are all commented out) is an empty one.
  public func sequence(
    _ key: String, expecting: String = "a list", into diagnostics: inout Diagnostics
  ) -> [Node]? {
    if case .sequence(let elements) = content { return elements }
    if isNull { return [] }
    mismatch(key, expecting, into: &diagnostics)
    return nil
  }

  /// A mapping with any keys. Nothing at all (a key whose content is all commented out) is an empty one.
  public func mapping(
    _ key: String, expecting: String = "a mapping", into diagnostics: inout Diagnostics
  ) -> Mapping? {
    if case .mapping(let mapping) = content { return mapping }
    if isNull { return Mapping() }
    mismatch(key, expecting, into: &diagnostics)
    return nil
  }

  /// A mapping with none but the `known` keys; others are reported, each with the nearest right one.
  public func mapping(
    _ key: String, known: [String], into diagnostics: inout Diagnostics
  ) -> Mapping? {
    let mapping = mapping(key, into: &diagnostics)
    mapping?.reportUnknownKeys(known, of: key, into: &diagnostics)
    return mapping
  }

  /// Reports that this is not what is expected.
  public func mismatch(_ key: String, _ expected: String, into diagnostics: inout Diagnostics) {
    diagnostics.error("\(key): found \(found), expected \(expected)", at: origin)
  }
}

/// `a whole number from 1 to 9`, for a message.
public func wholeNumber(in range: ClosedRange<Int>) -> String {
  switch (range.lowerBound, range.upperBound) {
  case (.min, .max): "a whole number"
  case (let least, .max): "a whole number of at least \(least)"
  case (let least, let most): "a whole number from \(least) to \(most)"
  }
}

/// `a, b or c`, for a message.
public func oneOf(_ words: [String]) -> String {
  guard words.count > 1, let last = words.last else { return words.first ?? "nothing" }
  return words.dropLast().joined(separator: ", ") + " or " + last
}
