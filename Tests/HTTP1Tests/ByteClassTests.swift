import HTTP1Invariants
import Testing

@testable import HTTP1

@Suite struct ByteClassTests {
  @Test func tokenBytesAreThoseOfTheGrammar() {
    // RFC 9110 5.6.2.
    let grammar = Set(
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    for byte in UInt8.min...UInt8.max {
      #expect(ASCII.isToken(byte) == grammar.contains(byte), "\(byte)")
    }
  }

  @Test func hexadecimalDigitsAreThoseOfTheGrammar() {
    let digits: [Character: UInt8] = [
      "0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9, "a": 10, "b": 11,
      "c": 12, "d": 13, "e": 14, "f": 15, "A": 10, "B": 11, "C": 12, "D": 13, "E": 14, "F": 15,
    ]
    for byte in UInt8.min...UInt8.max {
      #expect(ASCII.hexValue(byte) == digits[Character(Unicode.Scalar(byte))], "\(byte)")
    }
  }

  @Test func onlyLettersChangeTheirCase() {
    for byte in UInt8.min...UInt8.max {
      let expected = (0x41...0x5A).contains(byte) ? byte + 0x20 : byte
      #expect(ASCII.lowercased(byte) == expected, "\(byte)")
    }
  }

  /// Guards the search in sixteen bytes at once: every byte at every place of blocks and of their rest, among neighbours
  /// that are close to a stop.
  @Test func theFirstStopIsExact() {
    var compared = 0
    for neighbour in [0x21, 0x7E, 0x80, 0xA0, 0xFF] as [UInt8] {
      for length in [1, 8, 15, 16, 17, 31, 32, 35] {
        for position in 0..<length {
          for byte in UInt8.min...UInt8.max {
            var bytes = [UInt8](repeating: neighbour, count: length)
            bytes[position] = byte
            for stoppingAtSpace in [false, true] {
              let stops = byte < (stoppingAtSpace ? 0x21 : 0x20) || byte == 0x7F
              let found = bytes.span.firstStop(from: 0, stoppingAtSpace: stoppingAtSpace)
              compared += 1
              if found != (stops ? position : length) {
                Issue.record("\(byte) at \(position) of \(length) among \(neighbour): \(found)")
                return
              }
            }
          }
        }
      }
    }
    #expect(compared == 5 * (1 + 8 + 15 + 16 + 17 + 31 + 32 + 35) * 256 * 2)
  }

  /// The same for the search that passes over names.
  @Test func theEndOfLettersAndDashesIsExact() {
    let passing = Set("-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
    for neighbour in Array("-AZaz".utf8) {
      for length in [1, 15, 16, 17, 31, 33] {
        for position in 0..<length {
          for byte in UInt8.min...UInt8.max {
            var bytes = [UInt8](repeating: neighbour, count: length)
            bytes[position] = byte
            // What stands behind a stop must not matter.
            if position + 1 < length { bytes[position + 1] = ~byte }
            let stop = bytes.firstIndex { !passing.contains($0) } ?? length
            let found = bytes.span.endOfLettersAndDashes(from: 0)
            if found != stop {
              Issue.record("\(byte) at \(position) of \(length) among \(neighbour): \(found)")
              return
            }
          }
        }
      }
    }
  }

  @Test func ofTwoStopsTheFirstIsFound() {
    for first in [0x00, 0x01, 0x09, 0x0D, 0x1F, 0x7F] as [UInt8] {
      for second in UInt8.min...UInt8.max {
        for position in 0..<16 {
          for later in (position + 1)..<17 {
            var bytes = [UInt8](repeating: 0x61, count: 17)
            bytes[position] = first
            bytes[later] = second
            let found = bytes.span.firstStop(from: 0, stoppingAtSpace: false)
            if found != position {
              Issue.record("\(first) at \(position), \(second) at \(later): \(found)")
              return
            }
          }
        }
      }
    }
  }

  @Test func theSearchStartsWhereItIsTold() {
    let bytes = Array("\rab\rcdefghijk\r".utf8)
    #expect(bytes.span.firstStop(from: 0, stoppingAtSpace: false) == 0)
    #expect(bytes.span.firstStop(from: 1, stoppingAtSpace: false) == 3)
    #expect(bytes.span.firstStop(from: 4, stoppingAtSpace: false) == 13)
    #expect(bytes.span.firstStop(from: 14, stoppingAtSpace: false) == 14)
  }

  @Test(arguments: [
    ("", []), (",", []), (" , ,\t,", []), ("a", ["a"]), (" a ", ["a"]), ("a,b", ["a", "b"]),
    (",a,, b\t, ,c,", ["a", "b", "c"]), ("a b", ["a b"]),
  ])
  func listsAreCutAtCommas(_ text: String, _ expected: [String]) {
    let bytes = Array(text.utf8)
    var rest = 0..<bytes.count
    var found: [String] = []
    while let element = bytes.span.nextListElement(in: &rest) { found.append(latin1(bytes[element])) }
    #expect(found == expected)
  }
}
