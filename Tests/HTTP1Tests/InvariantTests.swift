import HTTP1
import HTTP1Invariants
import Testing

/// The invariants on generated messages, under wide limits and under narrow ones.
@Suite struct InvariantTests {
  private static let limits = [
    ordinaryLimits, HeadLimits(line: 24, head: 120, fields: 5), HeadLimits(line: 64, head: 60, fields: 3),
  ]

  @Test func requestsAreReadAlikeInAnyPiecesAndWrittenAsRead() {
    var generator = MessageGenerator(seededGenerator())
    var taken = 0
    for round in 0..<6000 {
      let bytes = generator.request()
      do {
        if try RequestInvariants.check(bytes, limits: Self.limits[round % 3]) { taken += 1 }
      } catch {
        Issue.record("\(error): \(latin1(bytes).debugDescription)")
        return
      }
    }
    #expect((600..<5400).contains(taken), "\(taken) of 6000 were taken")
  }

  @Test func responsesAreReadAlikeInAnyPiecesAndWrittenAsRead() {
    var generator = MessageGenerator(seededGenerator())
    var taken = 0
    for round in 0..<6000 {
      let bytes = generator.response()
      do {
        if try ResponseInvariants.check(bytes, limits: Self.limits[round % 3], isHead: round % 5 == 0) {
          taken += 1
        }
      } catch {
        Issue.record("\(error): \(latin1(bytes).debugDescription)")
        return
      }
    }
    #expect((600..<5400).contains(taken), "\(taken) of 6000 were taken")
  }

  @Test func chunkedBodiesAreReadAlikeInAnyPieces() {
    var generator = MessageGenerator(seededGenerator())
    var taken = 0
    for round in 0..<6000 {
      let bytes = generator.chunkedBody()
      do {
        if try ChunkedInvariants.check(bytes, trailerLimits: Self.limits[round % 3]) { taken += 1 }
      } catch {
        Issue.record("\(error): \(latin1(bytes).debugDescription)")
        return
      }
    }
    #expect((600..<5700).contains(taken), "\(taken) of 6000 were taken")
  }

  /// Every cut in two of one head of each kind: the second half is read only where it can change the answer.
  @Test(arguments: [
    "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "\r\nGET / HTTP/1.0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
  ])
  func everyCutInTwoIsTheSame(_ text: String) {
    let bytes = Array(text.utf8)
    let whole = RequestReading(bytes).progress
    for cut in 0...bytes.count {
      let first = RequestReading(Array(bytes[..<cut])).progress
      #expect(first == .incomplete || first == whole, "cut at \(cut)")
      #expect(ends(bytes[cut...]) || first == whole)
    }
  }

  private func ends(_ piece: ArraySlice<UInt8>) -> Bool { endsLine(piece.span) }

  @Test func piecesWithALineFeedEndALine() {
    for text in ["\n", "a\nb", "ab\n", "\r\n"] { #expect(ends(Array(text.utf8)[...])) }
    for text in ["", "a", "abc\r"] { #expect(!ends(Array(text.utf8)[...])) }
  }
}

/// The second reader refuses what it must, or the invariants would hold for anything.
@Suite struct StrictHeadTests {
  @Test(arguments: [
    "", "GET / HTTP/1.1", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA: b\n\r\n",
    "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\nA\r\n\r\n", "GET / HTTP/1.1\r\n: b\r\n\r\n",
    "GET / HTTP/1.1\r\nA : b\r\n\r\n", "GET / HTTP/1.1\r\nA: \0\r\n\r\n", "GET / HTTP/1.1\r\n A: b\r\n\r\n",
  ])
  func malformedHeadsAreRefused(_ text: String) {
    #expect(throws: Violation.self) { try StrictHead(Array(text.utf8)[...]) }
  }

  @Test(arguments: [
    "GET  HTTP/1.1", "GET / HTTP/1.2", "GET / x HTTP/1.1", "G@T / HTTP/1.1", " / HTTP/1.1",
    "GET /\t HTTP/1.1",
  ])
  func malformedRequestLinesAreRefused(_ line: String) throws {
    let head = try StrictHead(Array("\(line)\r\n\r\n".utf8)[...])
    #expect(throws: Violation.self) { try head.requestLine() }
  }

  @Test(arguments: [
    "Content-Length: 5\r\nTransfer-Encoding: chunked", "Content-Length: 5\r\ncontent-length: 5",
    "Content-Length: 5, 5",
    "Content-Length:", "Transfer-Encoding: Chunked", "Transfer-Encoding: gzip",
    "Content-Length: 9223372036854775808",
  ])
  func doubtfulFramingIsRefused(_ lines: String) throws {
    let head = try StrictHead(Array("GET / HTTP/1.1\r\n\(lines)\r\n\r\n".utf8)[...])
    #expect(throws: Violation.self) { try head.framing() }
  }

  @Test func wellFormedHeadsAreRead() throws {
    let head = try StrictHead(Array("GET /x HTTP/1.1\r\nA:  b \r\nC:\r\nContent-Length: 3\r\n\r\n".utf8)[...])
    #expect(head.fields.map(\.name) == ["a", "c", "content-length"])
    #expect(head.fields.map { latin1($0.value) } == ["b", "", "3"])
    #expect(try head.framing() == (3, false))
    #expect(try head.requestLine().method == "GET")
  }
}
