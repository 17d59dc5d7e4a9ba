import SystemCalls

/// One line of the access log while it is written, in memory that its owner has made large enough: `fixedPart` bytes,
/// and `growth` bytes for each byte that is escaped. It is written for every request, so nothing here allocates.
struct AccessLogLine: ~Copyable {
  /// Whose notation a text that a stranger controls is written in.
  enum Notation {
    /// Between the quotes of nginx's combined format.
    case quoted
    /// The same for a word that stands without quotes, so that a space is escaped as well.
    case bare
    /// Between the quotes of a JSON string (RFC 8259 7).
    case json
  }

  /// All that a line holds beside escaped texts takes less than this.
  static let fixedPart = 1024
  /// One byte becomes at most so many: `\\xFF` in JSON.
  static let growth = 5

  private let start: UnsafeMutableRawPointer
  private var end: UnsafeMutableRawPointer

  /// Starts a line in borrowed memory.
  init(_ memory: UnsafeMutableRawBufferPointer) {
    start = memory.baseAddress!
    end = start
  }

  /// The bytes so far.
  var count: Int { end - start }

  @inline(__always)
  mutating func append(_ text: StaticString) {
    end.copyMemory(from: text.utf8Start, byteCount: text.utf8CodeUnitCount)
    end += text.utf8CodeUnitCount
  }

  @inline(__always)
  mutating func append(byte: UInt8) {
    end.storeBytes(of: byte, as: UInt8.self)
    end += 1
  }

  /// Bytes that were made here and need no escaping.
  mutating func append(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes {
      guard let base = $0.baseAddress else { return }
      end.copyMemory(from: base, byteCount: $0.count)
      end += $0.count
    }
  }

  mutating func append(_ address: IPAddress) {
    end += address.write(to: UnsafeMutableRawBufferPointer(start: end, count: IPAddress.longestText))
  }

  /// A number in decimal; what is below zero can only be a clock's fault and is 0.
  mutating func append(decimal number: Int64, digits: Int = 1) {
    var rest = UInt64(max(0, number))
    var length = 1
    var bound: UInt64 = 10
    while length < 19, rest >= bound {
      length += 1
      bound &*= 10
    }
    length = max(length, digits)
    var position = end + length
    repeat {
      position -= 1
      position.storeBytes(of: 0x30 + UInt8(truncatingIfNeeded: rest % 10), as: UInt8.self)
      rest /= 10
    } while position > end
    end += length
  }

  /// Nanoseconds as seconds with six digits behind the point.
  mutating func append(seconds nanoseconds: Int64) {
    let microseconds = max(0, nanoseconds) / 1000
    guard microseconds > 0 else {
      append("0.000000")
      return
    }
    append(decimal: microseconds / 1_000_000)
    append(byte: UInt8(ascii: "."))
    append(decimal: microseconds % 1_000_000, digits: 6)
  }

  /// Bytes of a stranger, as nginx writes them: control characters, `"`, `\` and all that is not ASCII become `\xXX`.
  /// In JSON `"` becomes `\"`, and the backslash of the others is doubled, so that the value of the string is that
  /// text again. Either way nothing leaves its quotes or its line, and every byte can be told.
  mutating func append(escaping bytes: UnsafeRawBufferPointer, as notation: Notation) {
    guard var next = bytes.baseAddress else { return }
    let last = next + bytes.count
    let lowest = Self.ones &* (notation == .bare ? 0x21 : 0x20)
    while last - next >= 16 {
      let words = next.loadUnaligned(as: (UInt64, UInt64).self)
      guard Self.isPlain(words.0, words.1, lowest: lowest) else { break }
      end.storeBytes(of: words, as: (UInt64, UInt64).self)
      end += 16
      next += 16
    }
    while last - next >= 8 {
      let word = next.loadUnaligned(as: UInt64.self)
      if Self.isPlain(word, lowest: lowest) {
        end.storeBytes(of: word, as: UInt64.self)
        end += 8
      } else {
        for offset in 0..<8 {
          append(escaping: next.load(fromByteOffset: offset, as: UInt8.self), as: notation)
        }
      }
      next += 8
    }
    let rest = last - next
    if rest > 0, bytes.count >= 8 {
      // The last eight bytes together: if they are plain, those of them that are written already are as they came.
      let word = (last - 8).loadUnaligned(as: UInt64.self)
      if Self.isPlain(word, lowest: lowest) {
        (end + rest - 8).storeBytes(of: word, as: UInt64.self)
        end += rest
        return
      }
    }
    while next < last {
      append(escaping: next.load(as: UInt8.self), as: notation)
      next += 1
    }
  }

  @inline(__always)
  private mutating func append(escaping byte: UInt8, as notation: Notation) {
    let isPlain =
      byte > 0x20 && byte < 0x7F && byte != 0x22 && byte != 0x5C || byte == 0x20 && notation != .bare
    if isPlain {
      append(byte: byte)
    } else if byte == 0x22, notation == .json {
      append("\\\"")
    } else {
      append(notation == .json ? "\\\\x" : "\\x")
      append(hexDigit: byte >> 4)
      append(hexDigit: byte & 0xF)
    }
  }

  private mutating func append(hexDigit: UInt8) {
    append(byte: hexDigit < 10 ? 0x30 + hexDigit : 0x37 + hexDigit)
  }

  private static let ones: UInt64 = 0x0101_0101_0101_0101

  /// True when none of the eight bytes has to be escaped. `lowest` is eight times the lowest byte that stays.
  ///
  /// Each term has a byte's top bit set where it finds something. A carry only ever reaches a byte beside one that is
  /// found anyway.
  @inline(__always)
  private static func isPlain(_ word: UInt64, lowest: UInt64) -> Bool {
    found(word, lowest) & (ones &* 0x80) == 0
  }

  @inline(__always)
  private static func isPlain(_ first: UInt64, _ second: UInt64, lowest: UInt64) -> Bool {
    (found(first, lowest) | found(second, lowest)) & (ones &* 0x80) == 0
  }

  @inline(__always)
  private static func found(_ word: UInt64, _ lowest: UInt64) -> UInt64 {
    let quote = word ^ (ones &* 0x22)
    let backslash = word ^ (ones &* 0x5C)
    return word | (word &+ ones) | (word &- lowest) | (quote &- ones) | (backslash &- ones)
  }
}
