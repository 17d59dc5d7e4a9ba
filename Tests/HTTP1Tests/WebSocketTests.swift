import HTTP1
import HTTP1Invariants
import Testing

/// A frame of so many bytes of payload.
private func frame(_ first: UInt8, _ count: Int, isMasked: Bool = false, lengthBytes: Int? = nil) -> [UInt8] {
  let mask: UInt8 = isMasked ? 0x80 : 0
  let extended = lengthBytes ?? (count < 126 ? 0 : count < 65_536 ? 2 : 8)
  let length: [UInt8] =
    extended == 0
    ? [mask | UInt8(count)]
    : [mask | (extended == 2 ? 126 : 127)]
      + (0..<extended).reversed().map { UInt8(truncatingIfNeeded: count >> (8 * $0)) }
  let key: [UInt8] = isMasked ? [0x88, 0x02, 0x81, 0x00] : []
  // A payload that looks like frames itself.
  return [first] + length + key + (0..<count).map { [0x88, 0x00, 0x81][$0 % 3] }
}

private let text: UInt8 = 0x81
private let close: UInt8 = 0x88

@Suite struct WebSocketFramesTests {
  private func scan(_ bytes: [UInt8]) -> (last: Int?, frames: WebSocketFrames) {
    var frames = WebSocketFrames()
    let last = bytes.withUnsafeBytes { frames.scan($0) }
    return (last, frames)
  }

  @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 70_000], [false, true])
  func framesOfAllLengthsEndWhereTheySay(_ count: Int, _ isMasked: Bool) throws {
    let bytes = frame(0x82, count, isMasked: isMasked)
    let (last, frames) = scan(bytes)
    #expect(last == bytes.count && frames.isAtBoundary && !frames.isClosed && !frames.isBroken)
    for missing in [1, bytes.count - 1] where missing > 0 {
      let (last, frames) = scan(Array(bytes.dropLast(missing)))
      #expect(last == nil && !frames.isAtBoundary)
    }
    // Behind it another one.
    #expect(scan(bytes + frame(text, 3)).last == bytes.count + 5)
    #expect(scan(bytes + frame(text, 3).dropLast()).last == bytes.count)
    if bytes.count < 1_000 { try WebSocketInvariants.check(bytes + bytes) }
  }

  /// Lengths must be written as short as possible (RFC 6455 5.2), but whoever does not is understood all the same.
  @Test func lengthsThatAreTooLongAreUnderstood() {
    #expect(scan(frame(text, 5, lengthBytes: 2)).last == 9)
    #expect(scan(frame(text, 5, lengthBytes: 8) + frame(text, 0)).last == 17)
  }

  @Test func betweenFragmentsIsABoundary() {
    let (last, frames) = scan(frame(0x01, 10) + frame(0x89, 4) + frame(0x00, 10))
    #expect(last == 30 && frames.isAtBoundary)
  }

  @Test func aCloseFrameIsTheLast() {
    for closing in [frame(close, 0), frame(close, 2), frame(close, 20, isMasked: true)] {
      let (last, frames) = scan(frame(text, 3) + closing + frame(text, 3))
      #expect(last == 5 + closing.count && frames.isClosed && !frames.isAtBoundary)
    }
    #expect(!scan(frame(close, 2).dropLast()).frames.isClosed)
  }

  @Test(
    arguments: [
      [text, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], [0x89, 126, 0, 126], [close, 127],
      Array("no WebSocket at".utf8),
    ] as [[UInt8]])
  func whatIsNoWebSocketHasNoBoundaries(_ bytes: [UInt8]) {
    let (last, frames) = scan(frame(text, 3) + bytes + bytes)
    #expect(last == 5 || last == nil)
    #expect(!frames.isAtBoundary && !frames.isClosed)
  }

  @Test func theLargestLengthDoesNotOverflow() {
    var (last, frames) = scan([text, 0xFF, 0x7F] + Array(repeating: 0xFF, count: 7))
    let more = Array(repeating: UInt8(0), count: 1_000)
    more.withUnsafeBytes { bytes in
      for _ in 0..<100 { if frames.scan(bytes) != nil { last = 0 } }
    }
    #expect(last == nil && !frames.isBroken && !frames.isAtBoundary)
  }

  @Test func boundariesAreTheSameInAnyPieces() throws {
    var generator = seededGenerator()
    var taken = 0
    for round in 0..<1_500 {
      var bytes: [UInt8] = []
      for _ in 0..<Int.random(in: 0...6, using: &generator) {
        let firsts: [UInt8] = [0x81, 0x02, 0x00, 0x80, 0xC1, 0x89, 0x8A, 0x81, 0x82, 0x88]
        let first = firsts.randomElement(using: &generator)!
        let longest = first & 8 != 0 ? 125 : [3, 140, 300].randomElement(using: &generator)!
        bytes += frame(
          first, .random(in: 0...longest, using: &generator), isMasked: .random(using: &generator))
      }
      if round % 3 == 0, !bytes.isEmpty {
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bytes[.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
        }
      }
      bytes.removeLast(min(bytes.count, .random(in: 0...5, using: &generator)))
      do {
        if try WebSocketInvariants.check(bytes) { taken += 1 }
      } catch {
        Issue.record("\(error): \(bytes)")
        return
      }
    }
    #expect((750..<1_500).contains(taken), "\(taken) of 1500 have a frame")
  }
}

@Suite struct WebSocketDirectionTests {
  /// By reference, because `#expect` takes no calls that change a value.
  private final class Direction {
    private var value = WebSocketDirection()

    var peerHasClosed: Bool { value.peerHasClosed }
    var isBroken: Bool { value.isBroken }
    func close() -> Bool { value.close() }
    func relay(_ bytes: [UInt8]) -> WebSocketDirection.Step { bytes.withUnsafeBytes { value.relay($0) } }
  }

  @Test func whatNobodyWantsClosedGoesOnAsItIs() {
    let direction = Direction()
    for bytes in [frame(text, 3), frame(close, 2), frame(text, 3), Array("whatever".utf8)] {
      #expect(direction.relay(bytes) == .init(passedCount: bytes.count, closes: false))
    }
  }

  @Test func betweenFramesItClosesAtOnce() {
    let direction = Direction()
    _ = direction.relay(frame(text, 3))
    #expect(direction.close())
    #expect(!direction.close(), "once")
    // Nothing goes on, but the peer's Close frame is noticed.
    #expect(direction.relay(frame(text, 30)) == .init(passedCount: 0, closes: false))
    #expect(!direction.peerHasClosed)
    #expect(direction.relay(frame(close, 2)) == .init(passedCount: 0, closes: false))
    #expect(direction.peerHasClosed)
  }

  @Test func insideAFrameItClosesBehindIt() {
    let direction = Direction()
    let bytes = frame(0x01, 300)
    _ = direction.relay(Array(bytes[..<100]))
    #expect(!direction.close())
    #expect(direction.relay(Array(bytes[100..<200])) == .init(passedCount: 100, closes: false))
    #expect(
      direction.relay(Array(bytes[200...]) + frame(0x00, 9).dropLast(4))
        == .init(passedCount: bytes.count - 200, closes: true))
    #expect(direction.relay(frame(text, 3)) == .init(passedCount: 0, closes: false))
  }

  @Test func thePeersOwnCloseFrameIsTheLast() {
    let closing = frame(close, 10)
    let direction = Direction()
    _ = direction.relay(Array(closing[..<5]))
    #expect(!direction.close())
    #expect(
      direction.relay(Array(closing[5...]) + frame(text, 3)) == .init(passedCount: 7, closes: false))
    #expect(direction.peerHasClosed)
    #expect(direction.relay(frame(text, 3)) == .init(passedCount: 0, closes: false))

    let earlier = Direction()
    _ = earlier.relay(closing)
    #expect(!earlier.close() && earlier.peerHasClosed)
    #expect(earlier.relay(frame(text, 3)) == .init(passedCount: 0, closes: false))
  }

  @Test func whatIsNoWebSocketCanNotBeClosed() {
    let direction = Direction()
    let bytes: [UInt8] = [0x89, 0xFF, 1, 2, 3]
    #expect(direction.relay(bytes) == .init(passedCount: 5, closes: false))
    #expect(direction.isBroken && !direction.close())
    #expect(direction.relay(bytes) == .init(passedCount: 5, closes: false))
    #expect(direction.isBroken && !direction.peerHasClosed)
  }

  /// RFC 6455 5.2, 5.3, 5.5.1, 7.4.1.
  @Test func closeFramesSayThatTheServerGoesAway() {
    var plain = ByteBuffer()
    WebSocketClose.writeGoingAway(maskedBy: nil, to: &plain)
    #expect(Array(plain.bytes) == [0x88, 0x02, 0x03, 0xE9])
    var masked = ByteBuffer()
    WebSocketClose.writeGoingAway(maskedBy: 0x1122_3344, to: &masked)
    #expect(Array(masked.bytes) == [0x88, 0x82, 0x11, 0x22, 0x33, 0x44, 0x03 ^ 0x11, 0xE9 ^ 0x22])
  }
}
