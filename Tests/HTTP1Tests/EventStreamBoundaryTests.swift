import HTTP1
import Testing

@Suite struct EventStreamBoundaryTests {
  @Test(arguments: [
    ("", true), ("\n", true), ("data: 1", false), ("data: 1\n", false), ("data: 1\n\n", true),
    ("data: 1\r\n", false), ("data: 1\r\n\r\n", true), ("data: 1\r\r", true), ("data: 1\r", false),
    ("data: 1\n\r\n", true), (": ping\n\ndata", false), ("data: 1\n\nid: 2\ndata: 2\n\n", true),
  ])
  func tellsWhereAStreamMayEnd(_ text: String, _ expected: Bool) {
    var whole = EventStreamBoundary()
    Array(text.utf8).withUnsafeBytes { _ = whole.scan($0) }
    #expect(whole.isAtBoundary == expected)
    // However the bytes are cut.
    var pieces = EventStreamBoundary()
    for byte in text.utf8 { withUnsafeBytes(of: byte) { _ = pieces.scan($0) } }
    #expect(pieces.isAtBoundary == expected)
  }

  @Test(
    arguments: [
      ("data: 1", nil), ("data: 1\n\n", 9), ("data: 1\n\ndata: 2", 9), ("data: 1\r\n\r\ndata: 2", 11),
      ("data: 1\n\ndata: 2\n\nd", 18),
    ] as [(String, Int?)])
  func tellsWhereTheLastOneInAPieceIs(_ text: String, _ expected: Int?) {
    var stream = EventStreamBoundary()
    #expect(Array(text.utf8).withUnsafeBytes { stream.scan($0) } == expected)
  }
}
