import Foundation
import Glibc
import HTTP1
import SystemCalls
import Testing

@testable import galaxy_lb

@Suite struct AccessLogBatchTests {
  private func append(_ text: String, to batch: inout AccessLogBatch, unsent: Int = 0) -> Bool {
    var record = ExchangeRecord()
    record.bytesSent = 100
    let texts = LoggedTexts(request: 0..<UInt32(text.utf8.count))
    return Array(text.utf8).withUnsafeBytes {
      batch.append($0, texts, record, from: Peer(address: nil, port: 0), unsentBytes: unsent)
    }
  }

  /// What a batch hands over; nil for nothing.
  private func handOver(_ batch: inout AccessLogBatch) -> (lines: [Substring], count: Int)? {
    var result: (lines: [Substring], count: Int)?
    batch.handOver { bytes, count in
      #expect(result == nil && bytes.last == 0x0A)
      result = (String(decoding: bytes, as: UTF8.self).split(separator: "\n"), count)
    }
    return result
  }

  @Test func aBatchIsFullAtItsSizeAndHandedOverWhole() throws {
    var batch = AccessLogBatch(.json)
    var count = 1
    while !append("request \(count)", to: &batch) { count += 1 }
    let handed = handOver(&batch)
    let all = try #require(handed)
    #expect(count > 100 && all.count == count && all.lines.count == count)
    for (number, line) in all.lines.enumerated() {
      #expect(line.contains("\"request\":\"request \(number + 1)\""))
    }
    #expect(all.lines.reduce(0) { $0 + $1.utf8.count + 1 } >= AccessLogBatch.fullSize)
    let nothing = handOver(&batch)
    #expect(nothing == nil)
  }

  @Test func aBatchIsHandedOverBeforeItIsFull() throws {
    var batch = AccessLogBatch(.combined)
    #expect(!append("one", to: &batch) && !append("two", to: &batch, unsent: 40))
    let handed = handOver(&batch)
    let two = try #require(handed)
    #expect(two.count == 2 && two.lines.count == 2)
    #expect(two.lines[0].contains("\"one\"") && two.lines[0].contains(" bytes_sent=100 "))
    #expect(two.lines[1].contains("\"two\"") && two.lines[1].contains(" bytes_sent=60 "))
    #expect(!append("three", to: &batch))
    let third = handOver(&batch)
    #expect(third?.lines.map { $0.contains("\"three\"") } == [true])
  }

  @Test func longTextsFillABatch() throws {
    var batch = AccessLogBatch(.combined)
    let long = String(repeating: "é", count: 4000)
    var count = 1
    while !append(long, to: &batch) { count += 1 }
    let handed = handOver(&batch)
    #expect(count < 20 && handed?.count == count)
  }
}

@Suite struct AccessLogBacklogTests {
  private let first: AccessLogDestination
  private let second: AccessLogDestination

  init() throws {
    first = try AccessLogDestination(path: "/dev/null")
    second = try AccessLogDestination(path: "/dev/null")
  }

  private func add(_ text: String, to backlog: inout AccessLogBacklog, _ destination: AccessLogDestination)
    -> Bool
  {
    let bytes = Array(text.utf8)
    return bytes.withUnsafeBytes {
      backlog.add($0, lineCount: bytes.filter { $0 == 0x0A }.count, for: destination)
    }
  }

  private func finish(_ pieces: [AccessLogBacklog.Piece], _ backlog: inout AccessLogBacklog) {
    for var piece in pieces {
      backlog.written(lineCount: piece.lineCount)
      backlog.done(&piece)
    }
  }

  @Test func theWriterIsWokenOnceForWhatItTakes() {
    var backlog = AccessLogBacklog()
    #expect(backlog.call() == false, "there is nothing to take")
    #expect(!add("a\n", to: &backlog, first) && !add("b\n", to: &backlog, first))
    #expect(backlog.call() && !backlog.call())
    let pieces = backlog.take()
    #expect(pieces.map(\.bytes) == [Array("a\nb\n".utf8)] && pieces.map(\.lineCount) == [2])
    #expect(backlog.lineCount == 2, "what was taken waits until it is written")
    #expect(backlog.call() == false)
    #expect(!add("c\n", to: &backlog, first) && backlog.call())
    finish(pieces, &backlog)
    #expect(backlog.lineCount == 1)
  }

  @Test func muchIsAReasonToWakeTheWriter() {
    var backlog = AccessLogBacklog()
    let half = String(repeating: "x", count: AccessLogBacklog.fullBatch / 2 - 1) + "\n"
    #expect(!add(half, to: &backlog, first))
    #expect(add(half, to: &backlog, first) && !add(half, to: &backlog, first) && !backlog.call())
  }

  @Test func linesKeepTheirOrderAndTheirDestination() {
    var backlog = AccessLogBacklog()
    for (text, destination) in [("a\n", first), ("b\n", second), ("c\n", second), ("d\n", first)] {
      _ = add(text, to: &backlog, destination)
    }
    let pieces = backlog.take()
    #expect(pieces.map { String(decoding: $0.bytes, as: UTF8.self) } == ["a\n", "b\nc\n", "d\n"])
    #expect(pieces[0].destination === first && pieces[1].destination === second)
    #expect(pieces[2].destination === first && backlog.take().isEmpty)
  }

  @Test func memoryOfAWrittenPieceHoldsNothingOfIt() {
    var backlog = AccessLogBacklog()
    for round in 0..<5 {
      _ = add("round \(round)\n", to: &backlog, first)
      let pieces = backlog.take()
      #expect(pieces.map(\.bytes) == [Array("round \(round)\n".utf8)])
      finish(pieces, &backlog)
    }
    #expect(backlog.lineCount == 0)
  }

  @Test func memoryIsUsedAgain() {
    var backlog = AccessLogBacklog()
    func address() -> UnsafeRawPointer? {
      _ = add("line\n", to: &backlog, first)
      var pieces = backlog.take()
      guard var piece = pieces.popLast() else { return nil }
      defer { backlog.done(&piece) }
      return piece.bytes.withUnsafeBytes { $0.baseAddress }
    }
    let before = address()
    #expect(before != nil)
    for _ in 0..<3 { #expect(address() == before) }
  }

  @Test func whatDoesNotFitIsCountedUntilThereIsRoom() {
    var backlog = AccessLogBacklog()
    let batch = String(repeating: "x", count: 1023) + "\n"
    let room = AccessLogBacklog.capacity / 1024
    for _ in 0..<room { _ = add(batch, to: &backlog, first) }
    #expect(backlog.lineCount == room && backlog.takeLost() == 0)
    let pieces = backlog.take()
    // The writer is busy with them, so there still is no room.
    #expect(!add("\n\n\n", to: &backlog, first) && !add("\n", to: &backlog, first) && !backlog.call())
    #expect(backlog.takeLost() == 4 && backlog.takeLost() == 0)
    finish(pieces, &backlog)
    #expect(!add(batch, to: &backlog, first) && backlog.lineCount == 1 && backlog.takeLost() == 0)
  }

  @Test func whatIsGivenUpIsLost() {
    var backlog = AccessLogBacklog()
    _ = add("a\nb\n", to: &backlog, first)
    let taken = backlog.take()
    _ = add("c\n", to: &backlog, first)
    backlog.written(lineCount: 1)
    backlog.giveUp()
    #expect(taken.count == 1 && backlog.takeLost() == 2 && backlog.take().isEmpty && backlog.lineCount == 0)
  }
}

@Suite struct WholeLinesTests {
  @Test(arguments: [
    ("ab\ncd\n", 0, 100, 6), ("ab\ncd\n", 0, 6, 6), ("ab\ncd\n", 0, 5, 3), ("ab\ncd\n", 0, 3, 3),
    ("ab\ncd\n", 0, 2, 3), ("ab\ncd\n", 3, 1, 6), ("abcdef\n\n", 0, 2, 7), ("\n\n\n", 0, 2, 2),
  ])
  func aWriteEndsWithALine(_ lines: String, _ start: Int, _ longest: Int, _ end: Int) {
    #expect(endOfWholeLines(in: Array(lines.utf8), from: start, longest: longest) == end)
  }

  @Test(arguments: [(0, 0), (1, 0), (2, 0), (3, 3), (4, 3), (6, 6)])
  func aTornLineBeginsBehindTheNewlineBefore(_ position: Int, _ start: Int) {
    #expect(startOfLine(in: Array("ab\ncd\n".utf8), at: position) == start)
  }
}

/// The thread that writes, on real files and pipes.
@Suite(.timeLimit(.minutes(1))) struct AccessLogWriterTests {
  private let folder: TemporaryFolder
  private let log: Log

  init() throws {
    folder = try TemporaryFolder()
    let path = try folder.write("events", "")
    let number = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    log = Log(level: .debug, descriptor: number, style: .timestamped)
  }

  private func events() throws -> String { try String(contentsOfPath: "\(folder.path)/events") }

  private func add(_ text: String, to accessLog: AccessLog?) throws {
    let bytes = Array(text.utf8)
    try #require(accessLog != nil)
    bytes.withUnsafeBytes { accessLog?.add($0, lineCount: bytes.filter { $0 == 0x0A }.count) }
    accessLog?.flush()
  }

  private func settings(_ path: String) -> AccessLogSettings {
    AccessLogSettings(destination: .file(path: path), format: .combined)
  }

  /// Waits until something is so, within a bound.
  private func eventually(_ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(20)
    while try !condition() {
      try #require(Date() < deadline)
      usleep(2000)
    }
  }

  @Test func aStopWritesEverything() throws {
    let writer = try AccessLogWriter(log: log)
    let path = "\(folder.path)/access.log"
    try writer.use(settings(path))
    for number in 0..<1000 { try add("line \(number)\n", to: writer.current) }
    writer.finish()
    #expect(try String(contentsOfPath: path) == (0..<1000).map { "line \($0)\n" }.joined())
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o777 & ~0o640 == 0)
  }

  @Test func aNewNameGetsWhatComesAfterReopening() throws {
    let writer = try AccessLogWriter(log: log)
    let path = "\(folder.path)/access.log"
    try writer.use(settings(path))
    try add("before\n", to: writer.current)
    try eventually { try String(contentsOfPath: path) == "before\n" }
    #expect(rename(path, path + ".1") == 0)
    try add("between\n", to: writer.current)
    try eventually { try String(contentsOfPath: path + ".1") == "before\nbetween\n" }
    writer.reopen()
    try eventually { FileStatus(of: path) != nil }
    try add("after\n", to: writer.current)
    writer.finish()
    #expect(try String(contentsOfPath: path) == "after\n")
    #expect(try String(contentsOfPath: path + ".1") == "before\nbetween\n")
  }

  @Test func aFileThatCannotBeReopenedStays() throws {
    let writer = try AccessLogWriter(log: log)
    let path = "\(folder.path)/access.log"
    try writer.use(settings(path))
    #expect(rename(path, path + ".1") == 0 && mkdir(path, 0o700) == 0)
    writer.reopen()
    try add("line\n", to: writer.current)
    writer.finish()
    #expect(try String(contentsOfPath: path + ".1") == "line\n")
    #expect(try events().contains("can't be reopened"))
  }

  @Test func aFullDiskIsToldOnceAndWhatIsLostIsCounted() throws {
    let writer = try AccessLogWriter(log: log)
    try writer.use(settings("/dev/full"))
    try add("one\ntwo\n", to: writer.current)
    try eventually { try events().contains("can't be written") }
    try add("three\n", to: writer.current)
    writer.finish()
    let told = try events()
    #expect(told.components(separatedBy: "can't be written").count == 2)
    #expect(told.contains("access log lines lost lines=3"))
  }

  @Test func aFullDiskThatIsReplacedLosesNothing() throws {
    let writer = try AccessLogWriter(log: log)
    let path = "\(folder.path)/access.log"
    #expect(symlink("/dev/full", path) == 0)
    try writer.use(settings(path))
    try add("one\n", to: writer.current)
    try eventually { try events().contains("can't be written") }
    try add("two\n", to: writer.current)
    #expect(unlink(path) == 0)
    writer.reopen()
    try eventually { FileStatus(of: path) != nil }
    writer.finish()
    #expect(try String(contentsOfPath: path) == "one\ntwo\n")
    #expect(try events().contains("is written again") && !events().contains("lost"))
  }

  @Test func aReloadChangesTheFileAndKeepsTheOrder() throws {
    let writer = try AccessLogWriter(log: log)
    let paths = (0..<2).map { "\(folder.path)/\($0).log" }
    try writer.use(settings(paths[0]))
    let old = writer.current
    try writer.use(settings(paths[1]))
    try add("new\n", to: writer.current)
    try add("old\n", to: old)
    #expect(throws: AccessLogFailure.self) { try writer.use(settings("\(folder.path)/none/x")) }
    try add("newer\n", to: writer.current)
    writer.finish()
    #expect(try String(contentsOfPath: paths[0]) == "old\n")
    #expect(try String(contentsOfPath: paths[1]) == "new\nnewer\n")
  }

  @Test func aPipeThatNobodyReadsIsNoStandstill() throws {
    let path = "\(folder.path)/pipe"
    #expect(mkfifo(path, 0o600) == 0)
    let writer = try AccessLogWriter(log: log)
    #expect(throws: AccessLogFailure.self) { try writer.use(settings(path)) }
    #expect(writer.current == nil)
    writer.finish()
  }
}
