import HTTP1
import HTTP1Invariants
import Testing

/// What a buffer holds; `#expect` takes nothing that can't be copied.
private struct Held: Equatable {
  let count: Int
  let isEmpty: Bool
  let text: String
  let address: UnsafeRawPointer?

  init(_ buffer: borrowing ByteBuffer) {
    count = buffer.count
    isEmpty = buffer.isEmpty
    text = latin1(buffer.bytes)
    address = buffer.bytes.baseAddress
  }
}

@Suite struct ByteBufferTests {
  @Test func isEmptyAtFirst() {
    var buffer = ByteBuffer()
    #expect(Held(buffer).isEmpty && Held(buffer).count == 0 && Held(buffer).address == nil)
    let lent = buffer.withSpan { $0.count }
    #expect(lent == 0)
    buffer.consume(0)
    buffer.removeAll()
    buffer.removeAllKeepingMemory()
    #expect(Held(buffer).isEmpty)
  }

  /// Guards against a trap where nothing is held and nothing is wanted.
  @Test func roomForNothingIsGiven() {
    var buffer = ByteBuffer()
    let room = buffer.reserve(0).count
    #expect(room == 0)
    buffer.commit(0)
    buffer.append(UnsafeRawBufferPointer(start: nil, count: 0))
    #expect(Held(buffer).isEmpty)
  }

  @Test func whatIsCommittedIsHeld() {
    var buffer = ByteBuffer()
    let room = buffer.reserve(3)
    #expect(room.count >= 3)
    room.copyBytes(from: Array("abcdef".utf8).prefix(3))
    buffer.commit(2)
    #expect(Held(buffer).text == "ab")
    buffer.append("c")
    buffer.append(byte: 0x64)
    buffer.append(text: "é")
    #expect(Held(buffer).text == latin1("abcdé".utf8))
  }

  @Test func memoryGoesWithTheLastByte() {
    var buffer = ByteBuffer()
    buffer.append("abc")
    buffer.consume(2)
    #expect(Held(buffer).address != nil && Held(buffer).text == "c")
    buffer.consume(1)
    #expect(Held(buffer).address == nil)
    buffer.append("d")
    buffer.removeAll()
    #expect(Held(buffer).address == nil)
    buffer.append("e")
    let address = Held(buffer).address
    buffer.removeAllKeepingMemory()
    #expect(Held(buffer).isEmpty)
    buffer.append("f")
    #expect(Held(buffer).address == address && Held(buffer).text == "f")
  }

  @Test func onlySoMuchMemoryIsKept() {
    var buffer = ByteBuffer()
    let room = buffer.reserve(100).count
    buffer.append("a")
    let address = Held(buffer).address
    buffer.removeAllKeepingMemory(upTo: room)
    buffer.append("b")
    #expect(Held(buffer).address == address && Held(buffer).text == "b")
    buffer.removeAllKeepingMemory(upTo: room - 1)
    #expect(Held(buffer).isEmpty && Held(buffer).address == nil)
  }

  @Test(arguments: [
    (0, "0"), (7, "7"), (10, "10"), (99, "99"), (100, "100"), (Int64.max, "9223372036854775807"),
  ])
  func numbersAreDecimal(_ number: Int64, _ expected: String) {
    var buffer = ByteBuffer()
    buffer.append("x")
    buffer.append(decimal: number)
    #expect(Held(buffer).text == "x" + expected)
  }

  /// Against an array that does the same, over growth, sliding and emptying.
  @Test func isAQueue() {
    var generator = seededGenerator()
    for _ in 0..<50 {
      var buffer = ByteBuffer()
      var model: [UInt8] = []
      for _ in 0..<400 {
        switch Int.random(in: 0..<8, using: &generator) {
        case 0...3:
          let piece = (0..<Int.random(in: 0...700, using: &generator)).map { _ in
            UInt8.random(in: 0...255, using: &generator)
          }
          piece.withUnsafeBytes { buffer.append($0) }
          model += piece
        case 4:
          let count = Int.random(in: 0...300, using: &generator)
          let room = buffer.reserve(count)
          #expect(room.count >= count)
          for index in 0..<count { room[index] = UInt8(truncatingIfNeeded: index) }
          buffer.commit(count)
          model += (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        case 5...6:
          let count = Int.random(in: 0...model.count, using: &generator)
          buffer.consume(count)
          model.removeFirst(count)
        default:
          buffer.append(byte: 0x2A)
          model.append(0x2A)
        }
        guard buffer.bytes.elementsEqual(model), buffer.count == model.count else {
          Issue.record("the buffer differs from the model")
          return
        }
      }
    }
  }

  /// Guards against memory that grows with what went through instead of with what is held.
  @Test func aQueueThatIsNeverEmptyStaysSmall() {
    var buffer = ByteBuffer()
    buffer.append(byte: 0)
    for _ in 0..<100_000 {
      buffer.append("0123456789")
      buffer.consume(10)
    }
    let room = buffer.reserve(0).count
    #expect(Held(buffer).count == 1 && room <= 2048)
  }
}
