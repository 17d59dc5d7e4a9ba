import HTTP1
import HTTP1Invariants
import Testing

/// RFC 9112 7.1.
@Suite struct ChunkedDecoderTests {
  private struct Decoded {
    var content = ""
    var ending = ChunkedDecoder.Event.needsMore
    var byteCount = 0
    var trailers = ""

    init(_ text: String, trailerLimits: HeadLimits = HeadLimits(line: 0, head: 1000, fields: 10)) {
      let bytes = Array(text.utf8)
      var decoder = ChunkedDecoder(trailerLimits: trailerLimits)
      while true {
        ending = decoder.next(bytes.span, &byteCount)
        guard case .data(let range) = ending else { break }
        content += latin1(bytes[range])
      }
      guard decoder.isAtEnd else { return }
      var buffer = ByteBuffer()
      decoder.writeTrailers(to: &buffer)
      trailers = latin1(buffer.bytes)
    }
  }

  @Test(arguments: [
    ("0\r\n\r\n", ""), ("000\r\n\r\n", ""), ("1\r\na\r\n0\r\n\r\n", "a"),
    ("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
    ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"), ("A\r\n0123456789\r\n00\r\n\r\n", "0123456789"),
    ("0000000000000000000000000001\r\na\r\n0\r\n\r\n", "a"), ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
    ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"), ("1;x\r\na\r\n0;y\r\n\r\n", "a"),
    ("1;x=y;z=\"q;\t\"\r\na\r\n0\r\n\r\n", "a"),
    ("1 ;x\r\na\r\n0\t \t;\r\n\r\n", "a"), ("1;\r\na\r\n0\r\n\r\n", "a"), ("1;é\r\na\r\n0\r\n\r\n", "a"),
  ])
  func bodiesAreRead(_ text: String, _ content: String) {
    let decoded = Decoded(text + "GET")
    #expect(decoded.ending == .end && decoded.content == content && decoded.byteCount == text.utf8.count)
  }

  @Test(arguments: [
    "", "0", "0\r", "0\r\n", "0\r\n\r", "1\r\n", "1\r\na", "1\r\na\r", "1\r\na\r\n", "1;x", "0\r\nA: b",
    "0\r\nA: b\r\n",
    "7fffffffffffffff\r\nabc",
  ])
  func theBeginningOfABodyNeedsMore(_ text: String) {
    let decoded = Decoded(text)
    #expect(decoded.ending == .needsMore && decoded.byteCount == text.utf8.count)
  }

  @Test(arguments: [
    "\r\n", "\r\n0\r\n\r\n", " 0\r\n\r\n", "\t1\r\na\r\n", "g\r\n", "-1\r\n", "+1\r\na\r\n", "0x1\r\na\r\n",
    "1_0\r\n", "1h\r\n",
    "1\na\r\n0\r\n\r\n", "1\rxa\r\n", "1 \r\na\r\n0\r\n\r\n", "1\t\r\n", "1 x\r\na\r\n", "1 1\r\n", "1,x\r\n",
    ";x\r\n",
    "1;x\na\r\n0\r\n\r\n", "1;x\rya\r\n", "1;\0\r\na", "1;x\u{7F}\r\n", "1\r\nab\r\n", "1\r\na\n0\r\n\r\n",
    "1\r\na0\r\n\r\n",
    "1\r\na\r0\r\n", "1\r\na\r\r\n", "1\r\na \r\n", "٣\r\n", "１\r\n", "8000000000000000\r\n",
    "fffffffffffffffff\r\n",
    "10000000000000000\r\n", "00000000000000000008000000000000000\r\n",
  ])
  func malformedBodiesAreRefused(_ text: String) {
    #expect(Decoded(text).ending == .rejected(.malformedChunk), "\(text.debugDescription)")
  }

  @Test(arguments: [
    ("0\r\n\rX", Rejection.bareLineEnd), ("0\r\n\n\r\n", .bareLineEnd), ("0\r\nA: b\n\r\n", .bareLineEnd),
    ("0\r\nA: b\rC: d\r\n\r\n", .bareLineEnd), ("0\r\nA\r\n\r\n", .malformedFieldName),
    ("0\r\n: b\r\n\r\n", .malformedFieldName), ("0\r\nA : b\r\n\r\n", .whitespaceBeforeColon),
    ("0\r\nA: b\r\n c\r\n\r\n", .lineFolding), ("0\r\n A: b\r\n\r\n", .lineFolding),
    ("0\r\nA: \0\r\n\r\n", .malformedFieldValue), ("0\r\nContent-Length: x\r\n\r\n", .malformedContentLength),
    ("0\r\nGET / HTTP/1.1\r\n\r\n", .whitespaceBeforeColon),
  ])
  func malformedTrailersAreRefused(_ text: String, _ expected: Rejection) {
    #expect(Decoded(text).ending == .rejected(expected), "\(text.debugDescription)")
  }

  /// Guards against waiting for the end of a section that another reader has seen already.
  @Test(arguments: ["0\r\nA: b\n", "0\r\n\n", "0\r\nA: b\r\nC\n"])
  func aBareLineFeedInTrailersIsToldAtOnce(_ text: String) {
    #expect(Decoded(text).ending == .rejected(.bareLineEnd))
  }

  @Test func trailersAreKeptApart() {
    let decoded = Decoded("1\r\na\r\n0\r\nX-Sum:  1 \r\nA: b\r\n\r\n0\r\n")
    #expect(decoded.ending == .end && decoded.content == "a")
    #expect(decoded.trailers == "X-Sum: 1\r\nA: b\r\n")
  }

  @Test(arguments: [
    "Content-Length: 5", "Transfer-Encoding: chunked", "Host: evil", "Connection: X-Sum", "TE: x",
    "Upgrade: x",
    "Trailer: x", "Expect: 100-continue", "Content-Type: x", "X-Forwarded-For: 1", "Forwarded: x",
    "X_Forwarded_For: 1",
    "Content_Length: 1", "X-Request-ID: 1",
  ])
  func trailersThatFrameOrRouteAreDropped(_ line: String) {
    #expect(Decoded("0\r\nA: 1\r\n\(line)\r\nB: 2\r\n\r\n").trailers == "A: 1\r\nB: 2\r\n")
  }

  /// Guards against an identity that comes in as a trailer.
  @Test func identityTrailersAreDropped() {
    let bytes = Array("0\r\nA: 1\r\nRemote-User: root\r\nREMOTE_USER: root\r\n\r\n".utf8)
    var decoder = ChunkedDecoder(trailerLimits: ordinaryLimits)
    var position = 0
    #expect(decoder.next(bytes.span, &position) == .end)
    var buffer = ByteBuffer()
    decoder.writeTrailers(
      to: &buffer, classifier: FieldNameClassifier(identityNames: [Array("remote-user".utf8)]))
    #expect(latin1(buffer.bytes) == "A: 1\r\n")
  }

  @Test func sizesAreReadUpToTheirBound() {
    let bytes = Array("7fffffffffffffff\r\nabc".utf8)
    var decoder = ChunkedDecoder(trailerLimits: ordinaryLimits)
    var position = 0
    #expect(decoder.next(bytes.span, &position) == .data(18..<21))
    #expect(decoder.next(bytes.span, &position) == .needsMore)
  }

  @Test func sizeLinesAreBounded() {
    let room = ChunkedDecoder.longestSizeLine - 4
    let extensions = String(repeating: "x", count: room)
    #expect(Decoded("1;\(extensions)\r\na\r\n0;\(extensions)\r\n\r\n").ending == .end)
    #expect(Decoded("1;\(extensions)x\r\na\r\n0\r\n\r\n").ending == .rejected(.chunkExtensionTooLong))
    #expect(Decoded(String(repeating: "0", count: 5000)).ending == .rejected(.chunkExtensionTooLong))
    #expect(Decoded("1" + String(repeating: " ", count: 5000)).ending == .rejected(.chunkExtensionTooLong))
  }

  @Test func trailersAreBounded() {
    let limits = HeadLimits(line: 0, head: 20, fields: 2)
    #expect(
      Decoded("0\r\nA: 23456\r\nB: 234567\r\n\r\n", trailerLimits: limits).ending
        == .rejected(.trailersTooLarge))
    #expect(Decoded("0\r\nA: 23456\r\nB: 23456\r\n\r\n", trailerLimits: limits).ending == .end)
    #expect(
      Decoded("0\r\n" + String(repeating: "a", count: 1000), trailerLimits: limits).ending
        == .rejected(.trailersTooLarge))
    #expect(Decoded("0\r\nA:\r\nB:\r\nC:\r\n\r\n", trailerLimits: limits).ending == .rejected(.tooManyFields))
  }

  @Test func nothingBehindTheEndIsRead() {
    let bytes = Array("0\r\n\r\nGET / HTTP/1.1\r\n".utf8)
    var decoder = ChunkedDecoder(trailerLimits: ordinaryLimits)
    var position = 0
    #expect(decoder.next(bytes.span, &position) == .end && position == 5)
    #expect(decoder.next(bytes.span, &position) == .end && position == 5)
    position = bytes.count
    #expect(decoder.next(bytes.span, &position) == .end && position == bytes.count)
  }

  @Test func anEmptyPieceChangesNothing() {
    var decoder = ChunkedDecoder(trailerLimits: ordinaryLimits)
    var position = 0
    #expect(decoder.next([UInt8]().span, &position) == .needsMore)
    #expect(!decoder.isAtEnd && decoder.trailers.isEmpty)
  }
}

@Suite struct ChunkFrameTests {
  @Test(arguments: [
    (0, "0"), (1, "1"), (9, "9"), (10, "a"), (15, "f"), (16, "10"), (255, "ff"), (4096, "1000"),
    (65536, "10000"),
    (Int.max, "7fffffffffffffff"),
  ])
  func sizeLinesAreInHexadecimal(_ count: Int, _ expected: String) {
    #expect(latin1(ChunkedInvariants.sizeLine(count)) == expected + "\r\n")
  }

  @Test func theLongestSizeLineFits() {
    #expect(ChunkedInvariants.sizeLine(.max).count == ChunkFrame.longestSizeLine)
  }

  @Test func theSizeLineEndsWhereTheBufferEnds() {
    var room = [UInt8](repeating: 0x2A, count: 30)
    let length = room.withUnsafeMutableBytes { ChunkFrame.writeSizeLine(0x1F, endingAtEndOf: $0) }
    #expect(length == 4)
    #expect(latin1(room) == String(repeating: "*", count: 26) + "1f\r\n")
  }

  @Test func theLastChunkIsRead() {
    let bytes = Array(ChunkFrame.last.description.utf8)
    var decoder = ChunkedDecoder(trailerLimits: ordinaryLimits)
    var position = 0
    #expect(decoder.next(bytes.span, &position) == .end && position == bytes.count)
  }
}
