/// `text` on one line, with nothing in it that a terminal obeys: whatever programs and people have written comes
/// through here. Line breaks and tabs are blanks then, other control characters are left out.
func printable(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\n", "\t": result.append(" ")
    case _ where LogLine.isControl(scalar): break
    default: result.append(scalar)
    }
  }
  return String(result)
}

/// The lines of a text that a program has printed, each printable, without blank ones.
func printableLines(_ text: String) -> [String] {
  text.split(whereSeparator: \.isNewline).map { printable(String($0)) }.filter { $0.contains { $0 != " " } }
}

/// How many columns of a terminal a printable text takes; escape sequences that set colours take none.
func columns(of text: String) -> Int {
  var count = 0
  var isInSequence = false
  for scalar in text.unicodeScalars {
    if isInSequence {
      isInSequence = scalar != "m"
    } else if scalar == "\u{1B}" {
      isInSequence = true
    } else {
      count += columns(of: scalar)
    }
  }
  return count
}

/// As much of the beginning of a text without escape sequences as fits so many columns.
func beginning(of text: String, columns limit: Int) -> String {
  var result = String.UnicodeScalarView()
  var used = 0
  for scalar in text.unicodeScalars {
    used += columns(of: scalar)
    guard used <= limit else { break }
    result.append(scalar)
  }
  return String(result)
}

/// The end of a text without escape sequences, which tells names of one family apart, when it does not fit so many
/// columns: `..unicorn11`.
func shortened(_ text: String, columns limit: Int) -> String {
  guard columns(of: text) > limit else { return text }
  guard limit > 4 else { return beginning(of: text, columns: max(0, limit)) }
  let end = beginning(
    of: String(String.UnicodeScalarView(text.unicodeScalars.reversed())), columns: limit - 2)
  return ".." + String(String.UnicodeScalarView(end.unicodeScalars.reversed()))
}

/// The columns of a character as most terminals have it: none for what joins the one before, two for what is wide by
/// UAX #11, East Asian Width (W and F) and for pictographs.
private func columns(of scalar: Unicode.Scalar) -> Int {
  guard scalar.value >= 0x300 else { return 1 }
  switch scalar.properties.generalCategory {
  case .nonspacingMark, .enclosingMark, .format: return 0
  default: break
  }
  switch scalar.value {
  case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
    0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x17000...0x18CFF, 0x1B000...0x1B2FF,
    0x20000...0x3FFFD:
    return 2
  default: return scalar.properties.isEmojiPresentation ? 2 : 1
  }
}
