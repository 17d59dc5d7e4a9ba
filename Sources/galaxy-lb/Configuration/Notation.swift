/// How a quantity is written: a whole number and a unit directly behind it, such as `500ms` or `64KiB`.
struct Notation: Sendable {
  /// A unit and how many of the smallest ones it is.
  typealias Unit = (symbol: String, factor: Int64)

  /// What is measured, for messages: `duration`.
  let quantity: String
  /// Smallest first.
  let units: [Unit]
  /// True when a number without a unit counts the smallest ones.
  let bareNumbers: Bool
  /// For messages: `such as 500ms or 5m`.
  let examples: String

  /// Durations in milliseconds.
  static let duration = Notation(
    quantity: "duration", units: [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000)],
    bareNumbers: false, examples: "500ms, 30s, 5m or 1h")

  /// Sizes in bytes, by the binary prefixes of IEC 80000-13.
  static let size = Notation(
    quantity: "size",
    units: [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)],
    bareNumbers: true, examples: "65536, 64KiB or 1MiB")

  /// Why a text is not such a quantity.
  enum Malformed: Error, Equatable {
    /// It doesn't begin with a digit, or something other than a whole number is in front of the unit.
    case noNumber
    case noUnit
    /// The unit, and the right one if there is a near one.
    case unknownUnit(String, nearest: String?)
    /// More than 64 bits hold.
    case tooLarge
  }

  /// The quantity in the smallest unit.
  func value(of text: String) throws(Malformed) -> Int64 {
    let digits = text.utf8.prefix { (0x30...0x39).contains($0) }
    let symbol = String(text.dropFirst(digits.count))
    guard !digits.isEmpty, symbol.first != "." else { throw .noNumber }
    var number: Int64 = 0
    for digit in digits {
      let (product, overflow) = number.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int64(digit - 0x30))
      guard !overflow, !carry else { throw .tooLarge }
      number = sum
    }
    if symbol.isEmpty {
      guard bareNumbers || number == 0 else { throw .noUnit }
      return number
    }
    guard let unit = units.first(where: { $0.symbol == symbol }) else {
      throw .unknownUnit(symbol, nearest: nearestUnit(symbol))
    }
    let (value, overflow) = number.multipliedReportingOverflow(by: unit.factor)
    guard !overflow else { throw .tooLarge }
    return value
  }

  /// The shortest text for a value that reads as the same value.
  func text(_ value: Int64) -> String {
    let unit = units.last { value % $0.factor == 0 && value != 0 } ?? units[0]
    if unit.factor == 1, bareNumbers { return String(value) }
    return "\(value / unit.factor)\(unit.symbol)"
  }

  /// The unit that a person means who writes `sec`, `Kb` or `M`: the one with the same first letter.
  private func nearestUnit(_ symbol: String) -> String? {
    if let same = units.first(where: { $0.symbol.lowercased() == symbol.lowercased() }) { return same.symbol }
    if quantity == "duration", symbol.lowercased().hasPrefix("mil") { return "ms" }
    guard let first = symbol.first?.lowercased() else { return nil }
    return units.last { $0.symbol.lowercased().hasPrefix(first) }?.symbol
  }
}
