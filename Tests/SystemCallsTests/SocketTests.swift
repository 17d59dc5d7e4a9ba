import Glibc
import Synchronization
import Testing

@testable import SystemCalls

/// Two connected unix sockets that close with this.
private final class UnixPair {
  let left: Int32
  let right: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    try retryingInterrupts("socketpair") { socketpair(AF_UNIX, nonBlockingStream, 0, &ends) }
    (left, right) = (ends[0], ends[1])
  }

  deinit {
    _ = close(left)
    _ = close(right)
  }
}

@Suite struct SocketAddressTests {
  @Test(arguments: [
    ("unix:/run/galaxy.sock", AF_UNIX), ("127.0.0.1:80", AF_INET), ("0.0.0.0:65535", AF_INET),
    ("[::1]:8080", AF_INET6), ("[2001:db8::1]:1", AF_INET6),
  ])
  func writesWhatItWasMadeOf(_ text: String, _ family: Int32) throws {
    let address = try SocketAddress.resolve(Endpoint(parsing: text))
    #expect(address.description == text)
    #expect(address.family == family)
  }

  @Test func theLongestPathFits() throws {
    let path = "/" + String(repeating: "p", count: Endpoint.longestUnixPath - 1)
    #expect(SocketAddress(unixPath: path).description == "unix:\(path)")
  }

  @Test func namesAreLookedUpToIPv4First() throws {
    #expect(try SocketAddress.resolve(.tcp(host: "localhost", port: 7)).description == "127.0.0.1:7")
  }

  @Test func aMappedAddressIsIPv4() throws {
    let address = try SocketAddress.resolve(.tcp(host: "::ffff:127.0.0.1", port: 7))
    #expect(address.family == AF_INET && address.description == "127.0.0.1:7")
  }

  @Test func anUnknownNameIsAnErrorWithItsName() {
    let error = #expect(throws: ResolutionFailure.self) {
      try SocketAddress.resolve(.tcp(host: "no-such-host.invalid", port: 1))
    }
    #expect(error?.host == "no-such-host.invalid")
    #expect(error?.description.contains("no-such-host.invalid") == true)
  }

  @Test func aSocketWithoutANameHasNoPath() throws {
    let pair = try UnixPair()
    #expect(SocketAddress(localAddressOf: pair.left)?.description == "unix:")
    #expect(SocketAddress(localAddressOf: -1) == nil)
  }
}

@Suite struct TransferTests {
  @Test func bytesMoveAndEndsAreTold() throws {
    let pair = try UnixPair()
    var buffer = [UInt8](repeating: 0, count: 16)
    #expect(buffer.withUnsafeMutableBytes { receive(pair.right, into: $0) } == .wouldBlock)
    let (first, second) = (Array("ab".utf8), Array("cde".utf8))
    let both = first.withUnsafeBytes { first in
      second.withUnsafeBytes { send(pair.left, first, then: $0) }
    }
    #expect(both == .bytes(5))
    #expect(
      [].withUnsafeBytes { nothing in second.withUnsafeBytes { send(pair.left, nothing, then: $0) } }
        == .bytes(3))
    #expect(buffer.withUnsafeMutableBytes { receive(pair.right, into: $0) } == .bytes(8))
    #expect(buffer.prefix(8).elementsEqual("abcdecde".utf8))
    endSending(pair.left)
    #expect(buffer.withUnsafeMutableBytes { receive(pair.right, into: $0) } == .end)
  }

  /// Without a signal that would end the process.
  @Test func sendingToNobodyIsAFailure() throws {
    let pair = try UnixPair()
    _ = shutdown(pair.right, Int32(SHUT_RDWR))
    let bytes = Array("x".utf8)
    #expect(bytes.withUnsafeBytes { send(pair.left, $0) } == .failed(EPIPE))
    #expect(bytes.withUnsafeBytes { bytes in send(pair.left, bytes, then: bytes) } == .failed(EPIPE))
  }

  @Test func aFullSocketWouldBlock() throws {
    let pair = try UnixPair()
    let piece = [UInt8](repeating: 0, count: 65_536)
    var result = Transfer.bytes(0)
    while case .bytes = result { result = piece.withUnsafeBytes { send(pair.left, $0) } }
    #expect(result == .wouldBlock)
  }
}

@Suite struct PeerCredentialsTests {
  @Test func theOtherEndOfAUnixSocketIsKnown() throws {
    let pair = try UnixPair()
    let credentials = try #require(PeerCredentials(of: pair.left))
    #expect(
      credentials.process == getpid() && credentials.user == geteuid() && credentials.group == getegid())
    #expect(credentials == PeerCredentials(of: pair.right))
  }

  @Test func othersHaveNone() throws {
    let tcp = Descriptor(owning: try retryingInterrupts("socket") { socket(AF_INET, nonBlockingStream, 0) })
    #expect(PeerCredentials(of: tcp.number) == nil)
    let file = Descriptor(owning: try retryingInterrupts("open") { open("/dev/null", O_RDONLY | O_CLOEXEC) })
    #expect(PeerCredentials(of: file.number) == nil)
    #expect(PeerCredentials(of: -1) == nil)
  }
}

@Suite struct ThreadTests {
  @Test func joiningWaitsForTheEnd() throws {
    let count = Atomic<Int>(0)
    let first = try Thread { for _ in 0..<10_000 { count.wrappingAdd(1, ordering: .relaxed) } }
    let second = try Thread { for _ in 0..<10_000 { count.wrappingAdd(1, ordering: .relaxed) } }
    first.join()
    second.join()
    #expect(count.load(ordering: .relaxed) == 20_000)
  }

  /// Signals are the main thread's business; and whoever starts a thread keeps its own.
  @Test func aThreadBlocksAllSignals() throws {
    var before = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &before)
    let blocked = Mutex<[Int32: Bool]>([:])
    let numbers = [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGCHLD, SIGPIPE]
    let thread = try Thread {
      var mask = sigset_t()
      pthread_sigmask(SIG_BLOCK, nil, &mask)
      blocked.withLock { blocked in
        for number in numbers { blocked[number] = sigismember(&mask, number) == 1 }
      }
    }
    thread.join()
    let found = blocked.withLock { $0 }
    for number in numbers { #expect(found[number] == true) }
    var after = sigset_t()
    pthread_sigmask(SIG_BLOCK, nil, &after)
    for number in numbers { #expect(sigismember(&before, number) == sigismember(&after, number)) }
  }
}

@Suite struct WakeUpTests {
  @Test func aSignalStandsUntilItIsCleared() throws {
    let wakeUp = try WakeUp()
    let reader = Descriptor(owning: try wakeUp.duplicate())
    #expect(!isReadable(reader.number))
    wakeUp.signal()
    wakeUp.signal()
    #expect(isReadable(reader.number))
    wakeUp.clear()
    #expect(!isReadable(reader.number))
    wakeUp.clear()
  }

  private func isReadable(_ descriptor: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, 0) == 1
  }
}
