import TestSupport
import Testing

@testable import HTTP1

@Suite struct LineShapeTests {
  private static let pieces: [[UInt8]] = [
    "Accept", "x-a", "_", "1", "-", ":", ": ", " ", "\t", "value", "a b", "\u{7F}", "\r\n", "\r", "\n", "ä",
    "a name that is longer than sixteen bytes", "Quite-A-Long-Name-Of-A-Field",
  ].map { Array($0.utf8) }

  /// Whatever is read in one go is read so by the way for all lines too; and what nearly all lines look like is.
  @Test(arguments: 0..<8 as Range<UInt64>) func theQuickWayAgreesWithTheLongOne(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var plainCount = 0
    for _ in 0..<20_000 {
      let start = Int.random(in: 0...3, using: &random)
      var bytes = [UInt8](repeating: 0x41, count: start)
      // Mostly a name, a colon and so on, each now and then something else.
      for expected: [[UInt8]] in [Self.pieces, [Array(": ".utf8)], Self.pieces, Self.pieces, [[0x0D, 0x0A]]] {
        let isAsExpected = Int.random(in: 0..<5, using: &random) > 0
        bytes += (isAsExpected ? expected : Self.pieces).randomElement(using: &random)!
      }
      guard let plain = LineShape(plain: bytes.span, at: start) else { continue }
      plainCount += 1
      let found = LineShape.read(bytes.span, at: start, removesBlanksBeforeColon: false)
      #expect(found == .line(plain), "seed \(seed): \(bytes)")
    }
    #expect(plainCount > 100)
  }

  @Test(arguments: [
    "Host: h\r\n", "Accept-Language: en-GB,en;q=0.5\r\n", "A: b c\r\nB: c\r\n", "A: \u{E4}\r\n",
  ])
  func linesOfTheUsualShapeAreReadInOneGo(_ text: String) throws {
    let bytes = Array(text.utf8)
    let found = LineShape(plain: bytes.span, at: 0)
    let plain = try #require(found)
    #expect(plain.isCanonical && !plain.hasUnderscore)
    #expect(bytes[plain.nameEnd] == 0x3A && plain.valueStart == plain.nameEnd + 2)
    #expect(bytes[plain.valueEnd] == 0x0D && plain.end == plain.valueEnd + 2)
  }

  @Test(arguments: [
    "A:b\r\n", "A:  b\r\n", "A: b \r\n", "A:\tb\r\n", "A: b\tc\r\n", "A: b\n", "A: b\r", "A: b", "A: \r\n",
    ": b\r\n", "A_B: c\r\n", "A1: b\r\n", "A : b\r\n", " A: b\r\n",
  ])
  func otherLinesAreLeftToTheLongWay(_ text: String) {
    let bytes = Array(text.utf8)
    let found = LineShape(plain: bytes.span, at: 0)
    #expect(found == nil)
  }
}
