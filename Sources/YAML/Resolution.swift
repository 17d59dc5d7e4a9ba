/// What a plain scalar means. The rules are those of PyYAML's SafeLoader, which reads Gravity's files: YAML 1.1
/// (https://yaml.org/type/) with its `yes` and `off`, octal `0755`, base 60 and underscores in numbers.
enum Resolution {
  static func value(ofPlain text: String) -> Scalar.Value {
    switch text {
    case "", "~", "null", "Null", "NULL": return .null
    case "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON": return .boolean(true)
    case "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF": return .boolean(false)
    default: break
    }
    // Only these can start a number or a date, and most scalars start otherwise.
    guard let first = text.utf8.first, "+-.0123456789".utf8.contains(first) else { return .string }
    if let number = integer(text) ?? float(text) { return number }
    return isTimestamp(text) ? .other("a timestamp") : .string
  }

  /// `[-+]?` and one of `0b[0-1_]+`, `0[0-7_]+`, `0`, `[1-9][0-9_]*`, `0x[0-9a-fA-F_]+`, or base 60
  /// `[1-9][0-9_]*(:[0-5]?[0-9])+`. Nil when it is none of them.
  static func integer(_ text: String) -> Scalar.Value? {
    let negative = text.hasPrefix("-")
    let body = negative || text.hasPrefix("+") ? text.dropFirst() : text[...]
    guard let first = body.utf8.first else { return nil }
    if body == "0" { return .integer(0) }
    if first == UInt8(ascii: "0") {
      if body.hasPrefix("0b") { return number(body.dropFirst(2), radix: 2, negative) }
      if body.hasPrefix("0x") { return number(body.dropFirst(2), radix: 16, negative) }
      return number(body.dropFirst(), radix: 8, negative)
    }
    guard first != UInt8(ascii: "_") else { return nil }
    guard body.contains(":") else { return number(body, radix: 10, negative) }
    let places = body.split(separator: ":", omittingEmptySubsequences: false)
    guard case .integer(var total)? = number(places[0], radix: 10, false) else { return nil }
    for place in places.dropFirst() {
      guard let digits = base60Place(place) else { return nil }
      let (product, overflow) = total.multipliedReportingOverflow(by: 60)
      let (sum, carry) = product.addingReportingOverflow(digits)
      guard !overflow, !carry else { return .float(.infinity) }
      total = sum
    }
    return .integer(negative ? -total : total)
  }

  private static func base60Place(_ place: Substring) -> Int? {
    guard (1...2).contains(place.utf8.count), place.utf8.allSatisfy(isDigit), let number = Int(place),
      number < 60
    else { return nil }
    return number
  }

  /// Digits and underscores, at least one character. A number beyond 64 bits becomes a float.
  private static func number(_ digits: Substring, radix: Int, _ negative: Bool) -> Scalar.Value? {
    guard !digits.isEmpty else { return nil }
    var value = 0
    var approximate = 0.0
    var overflow = false
    for byte in digits.utf8 where byte != UInt8(ascii: "_") {
      guard let digit = digitValue(byte), digit < radix else { return nil }
      approximate = approximate * Double(radix) + Double(digit)
      let (product, tooLarge) = value.multipliedReportingOverflow(by: radix)
      let (sum, carry) = product.addingReportingOverflow(digit)
      overflow = overflow || tooLarge || carry
      value = sum
    }
    if overflow { return .float(negative ? -approximate : approximate) }
    return .integer(negative ? -value : value)
  }

  /// A decimal float with a point (YAML 1.1 wants one, and a sign in an exponent), base 60, `.inf`, `.nan`.
  static func float(_ text: String) -> Scalar.Value? {
    switch text {
    case ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF": return .float(.infinity)
    case "-.inf", "-.Inf", "-.INF": return .float(-.infinity)
    case ".nan", ".NaN", ".NAN": return .float(.nan)
    default: break
    }
    let negative = text.hasPrefix("-")
    let signed = negative || text.hasPrefix("+")
    let body = signed ? text.dropFirst() : text[...]
    guard let point = body.firstIndex(of: ".") else { return nil }
    let whole = body[..<point]
    var fraction = body[body.index(after: point)...]
    var exponent = ""
    if let mark = fraction.firstIndex(where: { $0 == "e" || $0 == "E" }) {
      let digits = fraction[mark...].dropFirst()
      guard let sign = digits.first, sign == "+" || sign == "-" else { return nil }
      guard digits.count > 1, digits.dropFirst().utf8.allSatisfy(isDigit) else { return nil }
      exponent = "e" + digits
      fraction = fraction[..<mark]
    }
    guard fraction.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: "_") }) else { return nil }
    if whole.contains(":") {
      guard exponent.isEmpty, let number = base60(whole, fraction) else { return nil }
      return .float(negative ? -number : number)
    }
    if whole.isEmpty {
      guard !signed, let first = fraction.utf8.first, isDigit(first) else { return nil }
    } else {
      guard let first = whole.utf8.first, isDigit(first),
        whole.utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: "_") })
      else { return nil }
    }
    let digits = (whole.isEmpty ? "0" : String(whole)) + "." + (fraction.isEmpty ? "0" : fraction) + exponent
    return Double(digits.filter { $0 != "_" }).map { .float(negative ? -$0 : $0) }
  }

  private static func base60(_ whole: Substring, _ fraction: Substring) -> Double? {
    let places = whole.split(separator: ":", omittingEmptySubsequences: false)
    guard let first = places[0].utf8.first, isDigit(first),
      places[0].utf8.allSatisfy({ isDigit($0) || $0 == UInt8(ascii: "_") }),
      var total = Double(places[0].filter { $0 != "_" })
    else { return nil }
    for place in places.dropFirst() {
      guard let digits = base60Place(place) else { return nil }
      total = total * 60 + Double(digits)
    }
    return total + (Double("0." + fraction.filter { $0 != "_" }) ?? 0)
  }

  /// `YYYY-MM-DD`, or a date with a time behind it. The range of each field is not looked at: no setting is a
  /// date, so it is enough to know that Python would not see a string.
  static func isTimestamp(_ text: String) -> Bool {
    let dateAndTime = text.split(maxSplits: 1, omittingEmptySubsequences: true) {
      $0 == "T" || $0 == "t" || $0 == " " || $0 == "\t"
    }
    guard let date = dateAndTime.first else { return false }
    let fields = date.split(separator: "-", omittingEmptySubsequences: false)
    guard fields.count == 3, fields[0].count == 4,
      fields.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(isDigit) }),
      fields[1].count <= 2, fields[2].count <= 2
    else { return false }
    guard dateAndTime.count == 2 else { return fields[1].count == 2 && fields[2].count == 2 }
    let clock = dateAndTime[1].drop { $0 == " " || $0 == "\t" }.prefix { $0.isNumber || $0 == ":" }
    let times = clock.split(separator: ":", omittingEmptySubsequences: false)
    return times.count >= 3 && times[0].count <= 2 && times[1].count == 2 && times[2].count == 2
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func digitValue(_ byte: UInt8) -> Int? {
    switch byte {
    case 0x30...0x39: Int(byte) - 0x30
    case 0x41...0x46: Int(byte) - 0x41 + 10
    case 0x61...0x66: Int(byte) - 0x61 + 10
    default: nil
    }
  }
}
