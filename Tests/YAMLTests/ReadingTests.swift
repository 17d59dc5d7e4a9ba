import Testing
import YAML

private enum Level: String, CaseIterable {
  case off
  case info
  case warning
}

@Suite struct ReadingTests {
  /// What `read` makes of the value in `k: <value>`, and what it reports.
  private func reading<Value>(
    _ value: String, _ read: (Node, inout Diagnostics) -> Value?
  ) throws -> (Value?, [String]) {
    guard case .mapping(let root) = try tree("k: \(value)\n").content else { return (nil, ["not a mapping"]) }
    var diagnostics = Diagnostics()
    let result = read(try #require(root["k"]), &diagnostics)
    return (result, diagnostics.sorted.map(\.description))
  }

  @Test(arguments: [
    ("abc", "abc", []), ("'12'", "12", []),
    ("12", nil, ["t.yml:1:4: error: k: found the number 12, expected a string"]),
    ("on", nil, ["t.yml:1:4: error: k: found the boolean on, expected a string"]),
    ("", nil, ["t.yml:1:3: error: k: found nothing, expected a string"]),
    ("[a]", nil, ["t.yml:1:4: error: k: found a list, expected a string"]),
    ("2020-01-01", nil, ["t.yml:1:4: error: k: found a timestamp, 2020-01-01, expected a string"]),
  ])
  func strings(_ text: String, _ value: String?, _ reported: [String]) throws {
    let (result, messages) = try reading(text) { $0.string("k", into: &$1) }
    #expect(result == value)
    #expect(messages == reported)
  }

  @Test(arguments: [
    ("1", 1, []), ("9", 9, []), ("011", 9, []),
    ("10", nil, ["t.yml:1:4: error: k: found the number 10, expected a whole number from 1 to 9"]),
    (
      "012", nil,
      ["t.yml:1:4: error: k: found the number 10 (written 012), expected a whole number from 1 to 9"]
    ),
    ("1.5", nil, ["t.yml:1:4: error: k: found the number 1.5, expected a whole number from 1 to 9"]),
    ("'1'", nil, ["t.yml:1:4: error: k: found the string '1', expected a whole number from 1 to 9"]),
  ])
  func integers(_ text: String, _ value: Int?, _ reported: [String]) throws {
    let (result, messages) = try reading(text) { $0.integer("k", in: 1...9, into: &$1) }
    #expect(result == value)
    #expect(messages == reported)
  }

  @Test func booleans() throws {
    #expect(try reading("off") { $0.boolean("k", into: &$1) }.0 == false)
    let (result, messages) = try reading("maybe") { $0.boolean("k", into: &$1) }
    #expect(result == nil)
    #expect(messages == ["t.yml:1:4: error: k: found the string 'maybe', expected true or false"])
  }

  @Test func choices() throws {
    #expect(try reading("off") { $0.choice("k", of: Level.self, into: &$1) }.0 == .off)
    let (result, messages) = try reading("warnign") { $0.choice("k", of: Level.self, into: &$1) }
    #expect(result == nil)
    #expect(
      messages == [
        "t.yml:1:4: error: k: found the string 'warnign', expected off, info or warning (did you mean 'warning'?)"
      ])
  }

  @Test func conversionsSeeTheTextAsWritten() throws {
    #expect(try reading("1:30") { $0.converted("k", expecting: "x", into: &$1) { $0 } }.0 == "1:30")
    let (result, messages) = try reading("'~'") {
      $0.converted("k", expecting: "a duration such as 30s", into: &$1) { Int($0) }
    }
    #expect(result == nil)
    #expect(messages == ["t.yml:1:4: error: k: found the string '~', expected a duration such as 30s"])
  }

  @Test func collectionsMayBeEmpty() throws {
    #expect(try reading("") { $0.sequence("k", into: &$1) }.0?.count == 0)
    #expect(try reading("") { $0.mapping("k", into: &$1) }.0?.entries.count == 0)
    #expect(
      try reading("[1]") { $0.mapping("k", into: &$1) }.1
        == ["t.yml:1:4: error: k: found a list, expected a mapping"])
    #expect(
      try reading("{}") { $0.sequence("k", into: &$1) }.1
        == ["t.yml:1:4: error: k: found a mapping, expected a list"])
  }

  @Test func allUnknownKeysAreReported() throws {
    let (mapping, messages) = try reading("{lisen: 1, threads: 2, qqq: 3, on: 4}") {
      $0.mapping("settings", known: ["listen", "threads"], into: &$1)
    }
    #expect(mapping?["threads"]?.outline == "2")
    #expect(
      messages == [
        "t.yml:1:5: error: unknown key 'lisen' in settings (did you mean 'listen'?)",
        "t.yml:1:27: error: unknown key 'qqq' in settings; expected one of listen, threads",
        "t.yml:1:35: error: unknown key 'on' in settings; expected one of listen, threads",
      ])
  }
}

@Suite struct SpellingTests {
  @Test(arguments: [
    ("worker", "workers"), ("wrokers", "workers"), ("Workers", "workers"),
    ("restart-timeout", "restart_timeout"),
    ("timout", "timeout"), ("bnid", "bind"), ("b", nil), ("", nil), ("unrelated", nil), ("binding", nil),
    (String(repeating: "x", count: 5000), nil),
  ])
  func nearestKey(_ word: String, _ expected: String?) {
    let keys = ["bind", "workers", "timeout", "start_timeout", "restart_timeout"]
    #expect(nearest(word, in: keys) == expected)
  }
}

@Suite struct DiagnosticTests {
  @Test func problemsAreSortedAndThereOnce() {
    var diagnostics = Diagnostics()
    func at(_ file: String, _ line: Int, _ column: Int) -> Origin {
      .text(Position(file: file, line: line, column: column))
    }
    diagnostics.error("late", at: at("b.yml", 1, 1))
    diagnostics.warning("second", at: at("a.yml", 10, 2))
    diagnostics.error("first", at: at("a.yml", 9, 20), nearest: "x")
    diagnostics.error("late", at: at("b.yml", 1, 1))
    diagnostics.error("whole", at: .file("a.yml"))
    diagnostics.error("variable", at: .environment("GRAVITY_X"))
    diagnostics.error("option", at: .option("--listen"))
    diagnostics.error("nothing", at: .builtIn)
    #expect(
      diagnostics.sorted.map(\.description) == [
        "environment variable GRAVITY_X: error: variable", "option --listen: error: option",
        "error: nothing", "a.yml: error: whole",
        "a.yml:9:20: error: first (did you mean 'x'?)", "a.yml:10:2: warning: second",
        "b.yml:1:1: error: late",
      ])
    #expect(diagnostics.hasErrors)
  }
}
