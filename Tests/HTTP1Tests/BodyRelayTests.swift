import HTTP1
import HTTP1Invariants
import Testing

/// What goes out of the relay, byte for byte; that any chunked body in any pieces keeps its content is among the
/// invariants.
@Suite struct BodyRelayTests {
  private func relay(
    _ pieces: [String], _ framing: BodyFraming, writesChunks: Bool, keepsTrailers: Bool = false
  ) throws -> RelayInvariants.Relayed {
    try RelayInvariants.Relayed(
      pieces.map { Array($0.utf8)[...] }, framing, writesChunks: writesChunks, keepsTrailers: keepsTrailers,
      trailerLimits: ordinaryLimits)
  }

  @Test func aKnownLengthEndsWhereItIsReached() throws {
    let relayed = try relay(["hel", "lo", "GET"], .length(5), writesChunks: false)
    #expect(latin1(relayed.output) == "hello" && relayed.isComplete && relayed.byteCount == 5)
    let early = try relay(["helloGET /", "x"], .length(5), writesChunks: false)
    #expect(latin1(early.output) == "hello" && early.isComplete && early.byteCount == 5)
    #expect(try !relay(["hell"], .length(5), writesChunks: false).isComplete)
  }

  @Test func noContentTakesNothing() throws {
    let relayed = try relay(["GET"], .none, writesChunks: false)
    #expect(relayed.output.isEmpty && relayed.isComplete && relayed.byteCount == 0)
  }

  @Test func chunksOfOneReadBecomeOneChunk() throws {
    let relayed = try relay(["3;x\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET"], .chunked, writesChunks: true)
    #expect(latin1(relayed.output) == "5\r\nabcde\r\n0\r\n\r\n" && relayed.isComplete)
    let bare = try relay(["3;x\r\nabc\r\n2\r\nde\r\n0\r\n\r\nGET"], .chunked, writesChunks: false)
    #expect(latin1(bare.output) == "abcde" && bare.isComplete && bare.byteCount == 22)
  }

  @Test func theEndMayComeAlone() throws {
    let relayed = try relay(["1\r\na\r", "\n0\r\n", "\r", "\nGET"], .chunked, writesChunks: true)
    #expect(latin1(relayed.output) == "1\r\na\r\n0\r\n\r\n" && relayed.isComplete)
  }

  @Test func trailersGoOnBehindTheLastChunk() throws {
    let text = "1\r\na\r\n0\r\nA:  b\r\nHost: x\r\n\r\n"
    let kept = try relay([text], .chunked, writesChunks: true, keepsTrailers: true)
    #expect(latin1(kept.output) == "1\r\na\r\n0\r\nA: b\r\n\r\n")
    #expect(latin1(try relay([text], .chunked, writesChunks: true).output) == "1\r\na\r\n0\r\n\r\n")
    #expect(latin1(try relay([text], .chunked, writesChunks: false, keepsTrailers: true).output) == "a")
  }

  /// Guards against a broken body that looks complete.
  @Test func aBrokenBodyIsNeverComplete() throws {
    let text = "1\r\na\r\nx"
    for writesChunks in [false, true] {
      var relay = BodyRelay(
        .chunked, writesChunks: writesChunks, keepsTrailers: false, trailerLimits: ordinaryLimits)
      var memory = [UInt8](repeating: 0, count: 32) + Array(text.utf8) + [UInt8](repeating: 0, count: 32)
      let step = memory.withUnsafeMutableBytes { relay.relay($0, 32..<$0.count - 32) }
      #expect(step.rejection == .malformedChunk && step.output.isEmpty && !relay.isComplete)
      let after = memory.withUnsafeMutableBytes { relay.relay($0, 32..<$0.count - 32) }
      #expect(after.output.isEmpty && !relay.isComplete)
      #expect(memory.withUnsafeMutableBytes { relay.end($0) } == nil)
    }
  }

  @Test(arguments: [BodyFraming.none, .length(5), .chunked, .untilClose])
  func onlySomeMessagesMayEndWithTheConnection(_ framing: BodyFraming) throws {
    for writesChunks in [false, true] {
      if case .length = framing, writesChunks { continue }
      var relay = BodyRelay(
        framing, writesChunks: writesChunks, keepsTrailers: false, trailerLimits: ordinaryLimits)
      var memory = [UInt8](repeating: 0, count: 64)
      let output = memory.withUnsafeMutableBytes { relay.end($0) }
      switch framing {
      case .none: #expect(output == 0..<0 && relay.isComplete)
      case .untilClose:
        let text = latin1(memory[try #require(output)])
        #expect(text == (writesChunks ? "0\r\n\r\n" : "") && relay.isComplete)
      case .length, .chunked: #expect(output == nil && !relay.isComplete)
      }
    }
  }

  @Test func whatLastsUntilTheEndGetsFrames() throws {
    let framed = try relay(["abc", "0123456789abcdef"], .untilClose, writesChunks: true)
    #expect(latin1(framed.output) == "3\r\nabc\r\n10\r\n0123456789abcdef\r\n" && !framed.isComplete)
    #expect(latin1(try relay(["abc", "de"], .untilClose, writesChunks: false).output) == "abcde")
  }

  @Test func whatPassesByItselfCounts() throws {
    var relay = BodyRelay(
      .length(5), writesChunks: false, keepsTrailers: false, trailerLimits: ordinaryLimits)
    relay.passed(3)
    #expect(relay.remainingLength == 2 && !relay.isComplete)
    relay.passed(2)
    #expect(relay.isComplete)
  }

  @Test func theLengthToComeIsKnown() throws {
    var relay = BodyRelay(
      .length(5), writesChunks: false, keepsTrailers: false, trailerLimits: ordinaryLimits)
    #expect(relay.remainingLength == 5)
    var memory = [UInt8](repeating: 0x61, count: 66)
    _ = memory.withUnsafeMutableBytes { relay.relay($0, 32..<34) }
    #expect(relay.remainingLength == 3)
    #expect(BodyRelay.none.remainingLength == nil && BodyRelay.none.isComplete)
  }
}
