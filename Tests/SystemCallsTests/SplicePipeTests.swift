import Glibc
import Testing

@testable import SystemCalls

/// Two connected sockets, each as both ends know it.
private final class SocketPair {
  let near: Descriptor
  let far: Descriptor

  init() throws {
    var ends: [Int32] = [-1, -1]
    try retryingInterrupts("socketpair") { socketpair(AF_UNIX, nonBlockingStream, 0, &ends) }
    near = Descriptor(owning: ends[0])
    far = Descriptor(owning: ends[1])
  }
}

@Suite struct SplicePipeTests {
  private func send(_ text: String, to socket: borrowing Descriptor) {
    let bytes = Array(text.utf8)
    #expect(bytes.withUnsafeBytes { SystemCalls.send(socket.number, $0) } == .bytes(bytes.count))
  }

  private func received(_ socket: borrowing Descriptor) -> String {
    var buffer = [UInt8](repeating: 0, count: 64)
    guard case .bytes(let count) = buffer.withUnsafeMutableBytes({ receive(socket.number, into: $0) }) else {
      return ""
    }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }

  @Test func noMoreMovesThanWasAskedFor() throws {
    let pipe = try #require(SplicePipe(capacity: 65_536, atLeast: 65_536))
    let (from, to) = (try SocketPair(), try SocketPair())
    #expect(pipe.fill(from: from.near.number, atMost: 10) == .wouldBlock)
    send("body" + "next request", to: from.far)
    #expect(pipe.fill(from: from.near.number, atMost: 4) == .bytes(4))
    #expect(pipe.count == 4)
    #expect(pipe.drain(to: to.near.number) == .bytes(4))
    #expect(pipe.count == 0)
    #expect(received(to.far) == "body")
    #expect(received(from.near) == "next request")
  }

  @Test func whatTheSocketDoesNotTakeStays() throws {
    let pipe = try #require(SplicePipe(capacity: 65_536, atLeast: 65_536))
    let (from, to) = (try SocketPair(), try SocketPair())
    send("late", to: from.far)
    #expect(pipe.fill(from: from.near.number, atMost: 64) == .bytes(4))
    let filler = [UInt8](repeating: 0, count: 65_536)
    while case .bytes = filler.withUnsafeBytes({ SystemCalls.send(to.near.number, $0) }) {}
    #expect(pipe.drain(to: to.near.number) == .wouldBlock)
    #expect(pipe.count == 4)
    var sink = [UInt8](repeating: 0, count: 65_536)
    while case .bytes = sink.withUnsafeMutableBytes({ receive(to.far.number, into: $0) }) {}
    #expect(pipe.drain(to: to.near.number) == .bytes(4))
    #expect(received(to.far) == "late")
  }

  @Test func whatItHoldsCanBeTakenOut() throws {
    let pipe = try #require(SplicePipe(capacity: 65_536, atLeast: 65_536))
    let from = try SocketPair()
    send("abcdef", to: from.far)
    #expect(pipe.fill(from: from.near.number, atMost: 64) == .bytes(6))
    var buffer = [UInt8](repeating: 0, count: 4)
    #expect(buffer.withUnsafeMutableBytes { pipe.read(into: $0) } == 4)
    #expect(buffer.elementsEqual("abcd".utf8) && pipe.count == 2)
    #expect(buffer.withUnsafeMutableBytes { pipe.read(into: $0) } == 2)
    #expect(buffer.prefix(2).elementsEqual("ef".utf8) && pipe.count == 0)
  }

  @Test func endsAndFailuresAreTold() throws {
    signal(SIGPIPE, SIG_IGN)
    let pipe = try #require(SplicePipe(capacity: 65_536, atLeast: 65_536))
    let (from, to) = (try SocketPair(), try SocketPair())
    send("x", to: from.far)
    endSending(from.far.number)
    #expect(pipe.fill(from: from.near.number, atMost: 64) == .bytes(1))
    _ = Glibc.shutdown(to.far.number, Int32(SHUT_RDWR))
    #expect(pipe.drain(to: to.near.number) == .failed(EPIPE))
    #expect(pipe.count == 1)
    let other = try #require(SplicePipe(capacity: 65_536, atLeast: 65_536))
    #expect(other.fill(from: from.near.number, atMost: 64) == .end)
  }

  @Test func aPipeThatIsTooSmallIsNone() {
    #expect(SplicePipe(capacity: 4096, atLeast: 65_536) == nil)
  }
}
