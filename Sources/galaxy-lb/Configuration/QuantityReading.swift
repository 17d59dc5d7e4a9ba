import YAML

extension Node {
  /// A duration in milliseconds or a size in bytes, within `allowed`.
  ///
  /// - Parameter alternative: another word that the setting takes, for the message.
  func quantity(
    _ key: String, _ notation: Notation, in allowed: ClosedRange<Int64>, orWord alternative: String? = nil,
    into diagnostics: inout Diagnostics
  ) -> Int64? {
    let orWord = alternative.map { " or \($0)" } ?? ""
    guard case .scalar(let scalar) = content else {
      mismatch(key, "a \(notation.quantity) such as \(notation.examples)\(orWord)", into: &diagnostics)
      return nil
    }
    do throws(Notation.Malformed) {
      let value = try notation.value(of: scalar.text)
      if allowed.contains(value) { return value }
      mismatch(
        key,
        "a \(notation.quantity) from \(notation.text(allowed.lowerBound)) to "
          + "\(notation.text(allowed.upperBound))\(orWord)", into: &diagnostics)
    } catch {
      switch error {
      case .noNumber:
        mismatch(key, "a \(notation.quantity) such as \(notation.examples)\(orWord)", into: &diagnostics)
      case .noUnit:
        let symbols = notation.units.map(\.symbol)
        mismatch(
          key, "a \(notation.quantity) with its unit (\(oneOf(symbols))), such as \(notation.examples)",
          into: &diagnostics)
      case .unknownUnit(let unit, let nearest):
        let symbols = notation.units.map(\.symbol)
        let number = scalar.text.dropLast(unit.count)
        diagnostics.error(
          "\(key): found \(found), expected a whole number and a unit (\(oneOf(symbols)))\(orWord)",
          at: origin, nearest: nearest.map { number + $0 })
      case .tooLarge:
        mismatch(key, "a smaller \(notation.quantity)", into: &diagnostics)
      }
    }
    return nil
  }

  /// The text of a scalar that is a name or a path. One that looks like a number to YAML is taken as it is
  /// written.
  func text(_ key: String, expecting: String, into diagnostics: inout Diagnostics) -> String? {
    converted(key, expecting: expecting, into: &diagnostics) { $0.isEmpty ? nil : $0 }
  }

  /// One element, or a list of them.
  func oneOrMore(_ key: String, expecting: String, into diagnostics: inout Diagnostics) -> [Node]? {
    if case .scalar = content, !isNull { return [self] }
    return sequence(key, expecting: expecting, into: &diagnostics)
  }
}
