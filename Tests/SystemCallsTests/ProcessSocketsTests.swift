import Glibc
import Testing

@testable import SystemCalls

@Suite struct ProcessSocketsTests {
  private static let unixTable = Array(
    """
    Num       RefCount Protocol Flags    Type St Inode Path
    0000000000000000: 00000002 00000000 00010000 0001 01 23456 /srv/galaxy/run/g 0.sock
    0000000000000000: 00000003 00000000 00000000 0001 03 23457 /srv/galaxy/run/g 0.sock
    0000000000000000: 00000002 00000000 00010000 0001 01 23458 run/g 0.sock
    0000000000000000: 00000002 00000000 00010000 0001 01 23459 /srv/galaxy/run/g1.sock
    0000000000000000: 00000002 00000000 00010000 0001 01 23460

    """.utf8)

  private static let tcpTable = Array(
    """
      sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
       0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 34567 1 0 100 0 0 10 0
       1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 34568 1 0 100 0 0 10 0
       2: 0100007F:1F90 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 34569 1 0 20 4 30 10 -1

    """.utf8)

  @Test func aPathIsFoundByItsLastPart() {
    #expect(ProcessSockets.listening(on: "/srv/galaxy/run/g 0.sock", in: Self.unixTable) == [23456, 23458])
    #expect(ProcessSockets.listening(on: "/elsewhere/g1.sock", in: Self.unixTable) == [23459])
    #expect(ProcessSockets.listening(on: "/srv/galaxy/run/g2.sock", in: Self.unixTable) == [])
  }

  @Test func aPortIsFoundWhereSomebodyListens() {
    #expect(ProcessSockets.listening(on: UInt16(8080), in: Self.tcpTable) == [34567])
    #expect(ProcessSockets.listening(on: UInt16(49153), in: Self.tcpTable) == [])
  }

  @Test func ownSocketsAreSeenForAsLongAsTheyAreOpen() throws {
    var template = Array("/tmp/galaxy-lb-test-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let folder = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    let path = "\(folder)/listener"
    defer {
      unlink(path)
      rmdir(folder)
    }
    let listener = try Listening.sockets(on: .unix(path: path), count: 1, options: .init(deferAccept: false))[
      0]
    let listening = ProcessSockets.listening(at: .unix(path: path), seenBy: getpid())
    #expect(listening.count == 1)
    #expect(listening.isSubset(of: ProcessSockets.open(in: getpid())))
    close(listener)
    #expect(ProcessSockets.listening(at: .unix(path: path), seenBy: getpid()).isEmpty)
    #expect(listening.isDisjoint(with: ProcessSockets.open(in: getpid())))
  }

  @Test func aProcessRunsUnderItsParent() {
    #expect(ProcessRecord.isRunning(getpid()) && ProcessRecord.isRunning(getpid(), childOf: getppid()))
    #expect(!ProcessRecord.isRunning(getpid(), childOf: getpid()))
    #expect(!ProcessRecord.isRunning(0))
  }
}
