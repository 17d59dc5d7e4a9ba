import Glibc
import Testing

@testable import galaxy_lb

@Suite struct LogLineTests {
  private func line(_ value: String) -> String {
    var line = LogLine(prefix: "")
    line.append(field: "k", value)
    return String(decoding: line.finished(), as: UTF8.self)
  }

  @Test(arguments: [
    ("plain", " k=plain\n"),
    ("unix:/run/g.sock", " k=unix:/run/g.sock\n"),
    ("", " k=\"\"\n"),
    ("two words", " k=\"two words\"\n"),
    ("a=b", " k=\"a=b\"\n"),
    ("say \"hi\"", " k=\"say \\\"hi\\\"\"\n"),
    ("back\\slash", " k=\"back\\\\slash\"\n"),
    ("line\nERROR forged key=value", " k=\"line\\nERROR forged key=value\"\n"),
    ("\r\n", " k=\"\\r\\n\"\n"),
    ("\u{1B}[2J", " k=\"\\u{1b}[2J\"\n"),
    ("\u{9B}2J", " k=\"\\u{9b}2J\"\n"),
    ("a\u{2028}b", " k=\"a\\u{2028}b\"\n"),
    ("a\u{202E}b", " k=\"a\\u{202e}b\"\n"),
    ("\u{0}\u{7F}", " k=\"\\u{0}\\u{7f}\"\n"),
    ("naïve 🦊", " k=\"naïve 🦊\"\n"),
  ])
  func valuesCannotLeaveTheirField(_ value: String, _ expected: String) {
    #expect(line(value) == expected)
  }

  @Test func messagesCannotStartALine() {
    var line = LogLine(prefix: "INFO ")
    line.append(message: "one\ntwo\r\u{1B}[0m \"quoted\"")
    #expect(
      String(decoding: line.finished(), as: UTF8.self) == "INFO one\\ntwo\\r\\u{1b}[0m \"quoted\"\n")
  }

  @Test(arguments: 0..<8)
  func longLinesAreCutAtACharacter(_ offset: Int) {
    var line = LogLine(prefix: String(repeating: "x", count: offset))
    line.append(message: String(repeating: "🦊", count: 2000))
    let bytes = line.finished()
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(bytes.count <= LogLine.longest && bytes.count > LogLine.longest - 4)
    #expect(text.hasSuffix("🦊...\n"))
    #expect(!text.unicodeScalars.contains("\u{FFFD}"))
  }

  @Test func aLineThatJustFitsIsWhole() {
    var line = LogLine(prefix: "")
    line.append(message: String(repeating: "x", count: LogLine.longest - 1))
    #expect(line.finished() == Array(repeating: UInt8(ascii: "x"), count: LogLine.longest - 1) + [0x0A])
  }
}

@Suite struct LogTests {
  /// What `body` makes a log write, read back through a pipe.
  private func written(
    _ level: LogLevel, _ style: Log.Style, _ body: (Log) -> Void
  ) throws -> [String] {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    body(Log(level: level, descriptor: ends[1], style: style))
    close(ends[1])
    defer { close(ends[0]) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = read(ends[0], &buffer, buffer.count), count > 0 { bytes += buffer[..<count] }
    return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  @Test func theJournalGetsPrioritiesAndNoTime() throws {
    let lines = try written(.debug, .journal) { log in
      log.debug("a")
      log.info("b", ["upstream": "g0", "tries": 3])
      log.notice("c")
      log.warning("d")
      log.error("e", ["reason": "no such file"])
    }
    #expect(
      lines == [
        "<7>DEBUG a", "<6>INFO b upstream=g0 tries=3", "<5>NOTICE c", "<4>WARNING d",
        "<3>ERROR e reason=\"no such file\"",
      ])
  }

  @Test func linesStartWithTheTime() throws {
    let before = Timestamp.now().description
    let lines = try written(.info, .timestamped) { $0.info("started") }
    let after = Timestamp.now().description
    let words = try #require(lines.first).split(separator: " ").map(String.init)
    try #require(words.count == 3)
    #expect(before <= words[0] && words[0] <= after)
    #expect(words[1...] == ["INFO", "started"])
  }

  @Test(arguments: LogLevel.allCases)
  func lowerLevelsAreLeftOut(_ level: LogLevel) throws {
    let lines = try written(level, .journal) { log in
      log.debug("DEBUG")
      log.info("INFO")
      log.notice("NOTICE")
      log.warning("WARNING")
      log.error("ERROR")
    }
    #expect(
      lines.map { String($0.split(separator: " ")[1]) }
        == LogLevel.allCases.filter { $0 >= level }.map(\.label))
  }

  @Test func whatIsLeftOutIsNotBuilt() throws {
    var built = 0
    func text() -> String {
      built += 1
      return "x"
    }
    _ = try written(.error, .journal) { $0.debug(text(), ["k": text()]) }
    #expect(built == 0)
  }

  @Test func theLevelCanChange() throws {
    let lines = try written(.error, .journal) { log in
      log.info("before")
      log.level = .info
      log.info("after")
    }
    #expect(lines == ["<6>INFO after"])
  }

  @Test func linesOfManyThreadsDoNotMix() async throws {
    let path = "/tmp/galaxy-lb-log-\(getpid())-\(UInt32.random(in: 0 ... .max))"
    let file = open(path, O_CREAT | O_EXCL | O_WRONLY | O_APPEND, 0o600)
    try #require(file >= 0)
    defer {
      close(file)
      unlink(path)
    }
    let log = Log(level: .info, descriptor: file, style: .journal)
    await withTaskGroup(of: Void.self) { group in
      for worker in 0..<8 {
        group.addTask { for count in 0..<200 { log.info("event", ["worker": worker, "count": count]) } }
      }
    }
    let text = try String(contentsOfPath: path)
    let lines = Set(text.split(separator: "\n").map(String.init))
    #expect(lines.count == 1600)
    #expect(lines.contains("<6>INFO event worker=7 count=199"))
    #expect(lines.allSatisfy { $0.wholeMatch(of: /<6>INFO event worker=[0-7] count=[0-9]{1,3}/) != nil })
  }

  @Test func theJournalIsRecognisedByItsFile() throws {
    var ends: [Int32] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer {
      for end in ends { close(end) }
    }
    var status = stat()
    try #require(fstat(ends[1], &status) == 0)
    let stream = "\(status.st_dev):\(status.st_ino)"
    #expect(Log.isJournal(ends[1], journalStream: stream))
    #expect(!Log.isJournal(ends[1], journalStream: "\(status.st_dev):\(status.st_ino + 1)"))
    #expect(!Log.isJournal(ends[1], journalStream: "\(status.st_dev + 1):\(status.st_ino)"))
    for malformed in [nil, "", ":", "1", stream + ":1", "x:y"] {
      #expect(!Log.isJournal(ends[1], journalStream: malformed))
    }
  }
}

@Suite struct TimestampTests {
  @Test(arguments: [
    (0, "1970-01-01T00:00:00.000Z"),
    (951_782_399_999, "2000-02-28T23:59:59.999Z"),
    (951_782_400_000, "2000-02-29T00:00:00.000Z"),
    (1_767_225_600_007, "2026-01-01T00:00:00.007Z"),
    (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
  ])
  func isUTC(_ milliseconds: Int64, _ expected: String) {
    #expect(Timestamp(milliseconds: milliseconds).description == expected)
  }
}
