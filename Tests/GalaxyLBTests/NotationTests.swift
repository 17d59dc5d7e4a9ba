import Testing

@testable import galaxy_lb

@Suite struct NotationTests {
  @Test(arguments: [
    ("1ms", 1), ("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("1h", 3_600_000), ("0", 0), ("0s", 0),
    ("007s", 7000),
  ])
  func durations(_ text: String, _ milliseconds: Int64) throws {
    #expect(try Notation.duration.value(of: text) == milliseconds)
  }

  @Test(arguments: [
    ("0", 0), ("65536", 65_536), ("1B", 1), ("64KiB", 65_536), ("1MiB", 1_048_576), ("2GiB", 2_147_483_648),
    ("1TiB", 1_099_511_627_776),
  ])
  func sizes(_ text: String, _ bytes: Int64) throws {
    #expect(try Notation.size.value(of: text) == bytes)
  }

  @Test(arguments: [
    ("", Notation.Malformed.noNumber), ("s", .noNumber), ("-5s", .noNumber), ("+5s", .noNumber),
    ("1.5s", .noNumber), ("٣s", .noNumber), ("30", .noUnit),
    ("5 s", .unknownUnit(" s", nearest: nil)), ("5min", .unknownUnit("min", nearest: "m")),
    ("5S", .unknownUnit("S", nearest: "s")), ("5millis", .unknownUnit("millis", nearest: "ms")),
    ("5sec", .unknownUnit("sec", nearest: "s")), ("5d", .unknownUnit("d", nearest: nil)),
    ("9223372036854775808ms", .tooLarge), ("9223372036854775807s", .tooLarge),
    ("99999999999999999999ms", .tooLarge),
  ])
  func malformedDurations(_ text: String, _ expected: Notation.Malformed) {
    #expect(throws: expected) { try Notation.duration.value(of: text) }
  }

  @Test(arguments: [
    ("64KB", Notation.Malformed.unknownUnit("KB", nearest: "KiB")),
    ("64k", .unknownUnit("k", nearest: "KiB")), ("1mib", .unknownUnit("mib", nearest: "MiB")),
    ("1M", .unknownUnit("M", nearest: "MiB")), ("1xB", .unknownUnit("xB", nearest: nil)),
    ("8388608TiB", .tooLarge),
  ])
  func malformedSizes(_ text: String, _ expected: Notation.Malformed) {
    #expect(throws: expected) { try Notation.size.value(of: text) }
  }

  @Test(arguments: [0, 1, 999, 1000, 1500, 30_000, 75_000, 300_000, 3_600_000, 86_400_000])
  func durationsAreWrittenAsTheyAreRead(_ milliseconds: Int64) throws {
    #expect(try Notation.duration.value(of: Notation.duration.text(milliseconds)) == milliseconds)
  }

  @Test(arguments: [0, 1, 1000, 1024, 65_536, 1 << 20, 1 << 40, .max])
  func sizesAreWrittenAsTheyAreRead(_ bytes: Int64) throws {
    #expect(try Notation.size.value(of: Notation.size.text(bytes)) == bytes)
  }

  @Test func theLargestUnitIsWritten() {
    #expect(Notation.duration.text(75_000) == "75s")
    #expect(Notation.duration.text(1500) == "1500ms")
    #expect(Notation.size.text(65_536) == "64KiB")
    #expect(Notation.size.text(1000) == "1000")
  }
}
