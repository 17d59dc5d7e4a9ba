import JSON
import SystemCalls
import Testing

@testable import galaxy_lb

/// A line of the proxy, read.
func restartLine(_ text: String) throws -> RestartLine { RestartLine(try JSON(parsing: text)) }

/// A line about the phase of an upstream of the pool `main`.
func phaseLine(
  _ upstream: String, _ phase: String, event: String = "phase", elapsed: Double = 0, timeout: Double? = 120,
  inFlight: Int = 0, reason: String? = nil
) -> RestartLine {
  RestartLine([
    "event": .string(event), "pool": "main", "upstream": .string(upstream), "phase": .string(phase),
    "elapsed": .number(elapsed), "timeout": timeout.map(JSON.number) ?? .null,
    "in_flight": ["total": .integer(inFlight), "ordinary": .integer(inFlight), "upload": 0],
    "reason": reason.map(JSON.string) ?? .null,
  ])
}

/// The first line about a restart of some upstreams of the pool `main`.
func begunLine(_ upstreams: [String], attached: Bool = false, dryRun: Bool = false) -> RestartLine {
  let entries = upstreams.map { name -> JSON in
    ["name": .string(name), "manager": "systemd", "unit": .string("\(name).service")]
  }
  return RestartLine([
    "event": "begun", "attached": .boolean(attached), "dry_run": .boolean(dryRun),
    "pools": [["pool": "main", "approach": "the others serve", "upstreams": .array(entries)]],
  ])
}

func preflightLine(_ upstream: String, unit: String = "running", notes: [String] = []) -> RestartLine {
  RestartLine([
    "event": "preflight", "pool": "main", "upstream": .string(upstream), "unit": .string(unit),
    "answers": .boolean(unit == "running"), "version_running": "24.1", "version_on_disk": "24.2",
    "notes": .array(notes.map(JSON.string)),
  ])
}

@Suite struct ScreenTextTests {
  @Test(arguments: [
    ("plain", "plain"), ("two\nlines\tand", "two lines and"), ("\u{1B}[31mred\u{7F}", "[31mred"),
    ("a\u{202E}b\u{9B}2J", "ab2J"), ("é 漢字", "é 漢字"), ("cr\r\n", "cr "),
  ])
  func nothingIsObeyed(_ text: String, _ expected: String) {
    #expect(printable(text) == expected)
  }

  @Test func linesOfPrograms() {
    #expect(printableLines("one\r\n\n  two\u{7}\n   \nthree") == ["one", "  two", "three"])
    #expect(printableLines("") == [])
  }

  @Test(arguments: [
    ("", 0), ("abc", 3), ("é", 1), ("e\u{301}", 1), ("漢字", 4), ("한", 2), ("🙂", 2), ("a\u{200D}b", 2),
    ("\u{1B}[31mred\u{1B}[0m", 3), ("ｆｕ", 4),
  ])
  func widths(_ text: String, _ expected: Int) {
    #expect(columns(of: text) == expected)
  }

  @Test(arguments: [
    ("abcdef", 3, "abc"), ("漢字", 3, "漢"), ("ab", 5, "ab"), ("ab", 0, ""), ("e\u{301}x", 1, "e\u{301}"),
  ])
  func beginnings(_ text: String, _ limit: Int, _ expected: String) {
    #expect(beginning(of: text, columns: limit) == expected)
  }

  @Test(arguments: [
    ("main/gunicorn11", 15, "main/gunicorn11"), ("main/gunicorn11", 10, "..nicorn11"),
    ("main/gunicorn11", 4, "main"), ("main/gunicorn11", 0, ""), ("漢字漢字", 7, "..漢字"),
  ])
  func namesKeepTheirEnd(_ text: String, _ limit: Int, _ expected: String) {
    #expect(shortened(text, columns: limit) == expected)
  }
}

@Suite struct RestartLineTests {
  @Test func readsWhatIsToldOfAPhase() throws {
    let line = try restartLine(
      #"{"event":"progress","pool":"m","upstream":"g","phase":"awaiting_readiness","elapsed":1.5,"timeout":null,"new":{}}"#
    )
    #expect(
      line
        == .progress(
          .init(
            upstream: "m/g", phase: .awaitingReadiness, elapsed: .milliseconds(1500), timeout: nil,
            inFlight: nil, reason: nil)))
  }

  @Test(arguments: [
    #"{"event":"of the future"}"#, #"{}"#, #"[]"#, #""x""#, #"{"event":7}"#,
    #"{"event":"phase","pool":"m","upstream":"g","phase":"levitating"}"#,
  ])
  func whatIsNotKnownIsPassedOver(_ text: String) throws {
    #expect(try restartLine(text) == .unknown)
  }

  @Test func membersOfAnotherKindAreNone() throws {
    let line = try restartLine(
      #"{"event":"phase","pool":1,"upstream":"g","phase":"failed","elapsed":-1e300,"timeout":"x","in_flight":null}"#
    )
    #expect(
      line
        == .phase(
          .init(upstream: "?/g", phase: .failed, elapsed: .zero, timeout: nil, inFlight: nil, reason: nil)))
  }

  @Test(arguments: [(0, 0), (1, 1), (4, 4), (5, 5), (2, 1), (3, 1), (130, 1), (99, 1)] as [(Int, Int32)])
  func onlyTheStatusesOfARestartCount(_ number: Int, _ expected: Int32) {
    let end = RestartEnd(["event": "finished", "exit_status": .integer(number)])
    #expect(end.status.rawValue == expected)
  }

  @Test(
    arguments: [
      ("2026-11-20T12:00:00.000Z", "2026-11-20T12:01:40.500Z", 100.5),
      ("2026-12-31T23:59:59.000Z", "2027-01-01T00:00:00.250Z", 1.25),
      ("2026-11-20T12:00:05.000Z", "2026-11-20T12:00:00.000Z", 0),
      ("yesterday", "2026-11-20T12:00:00.000Z", nil),
      ("2026-11-20T12:00Z", "2026-11-20T12:00:00.000Z", nil),
    ] as [(String, String, Double?)])
  func theTimeInAll(_ began: String, _ ended: String, _ expected: Double?) {
    let end = RestartEnd(["report": ["began": .string(began), "ended": .string(ended)]])
    #expect(end.total == expected)
  }
}

@Suite struct RestartPlainTextTests {
  @Test func tellsEachChangeOnce() {
    var text = RestartPlainText()
    #expect(text.take(begunLine(["a", "b"])) == ["main: 2 upstreams: the others serve"])
    #expect(
      text.take(preflightLine("a", notes: ["It is slow.", "It is old."])) == [
        "main/a: preflight: systemd a.service running, answers, runs 24.1, 24.2 on disk",
        "main/a: note: It is slow.",
        "main/a: note: It is old.",
      ])
    #expect(
      text.take(preflightLine("x", unit: "stopped")) == [
        "main/x: preflight: stopped, does not answer, runs 24.1, 24.2 on disk"
      ])
    #expect(text.take(phaseLine("a", "waiting", timeout: nil)) == [])
    #expect(
      text.take(phaseLine("a", "draining", inFlight: 2)) == [
        "main/a: draining, 2 in flight (2 ordinary), at most 2min"
      ])
    #expect(text.take(phaseLine("a", "draining", event: "progress", elapsed: 5, inFlight: 1)) == [])
    #expect(text.take(phaseLine("a", "waiting", timeout: nil)) == ["main/a: waiting again"])
    // A line was missed: progress tells the phase, too.
    #expect(
      text.take(phaseLine("a", "probation", event: "progress", timeout: 30)) == [
        "main/a: probation, at most 30s"
      ])
    #expect(text.take(phaseLine("a", "completed", timeout: nil)) == ["main/a: completed"])
    #expect(text.take(phaseLine("b", "failed", reason: "it exited")) == ["main/b: failed: it exited"])
  }

  @Test func attachingAndRehearsingAreSaid() {
    var text = RestartPlainText()
    #expect(
      text.take(begunLine(["a"], attached: true, dryRun: true)) == [
        "attached to the restart that is in progress: its options are in force, not those given now",
        "dry run: nothing is touched", "main: 1 upstream: the others serve",
      ])
  }

  @Test func messagesAndHooks() throws {
    var text = RestartPlainText()
    #expect(
      text.take(try restartLine(#"{"event":"message","level":"error","text":"a\nb"}"#)) == ["error: a b"])
    #expect(
      text.take(
        try restartLine(#"{"event":"hook","hook":"after","ok":false,"output":"one\n\u001b[2Jtwo\n"}"#))
        == ["hook after: failed", "hook after: | one", "hook after: | [2Jtwo"])
    #expect(text.take(.unknown) == [])
  }
}

@Suite struct RestartSummaryTests {
  private func end(_ upstreams: [JSON], result: String = "completed", status: Int = 0) -> RestartEnd {
    RestartEnd([
      "event": "finished", "result": .string(result), "exit_status": .integer(status),
      "message": "That is all.",
      "problems": ["Do this.", "Do that."], "report_file": nil,
      "report": [
        "downtime": 61, "longest_hold": 0.04,
        "hooks": [["hook": "after", "ok": false], ["hook": "before", "ok": true]],
        "pools": [["pool": "p", "upstreams": .array(upstreams)]],
      ],
    ])
  }

  private let one: JSON = [
    "name": "g", "fate": "restarted", "drain_time": 0.04, "restart_time": 59.96, "probation_time": 3725,
    "version_before": "1", "version_after": "2", "cut": ["total": 3, "tunnel": 2, "event_stream": 1],
  ]

  @Test func isATable() {
    #expect(
      RestartSummary(end([one]), colours: false).lines == [
        "UPSTREAM  RESULT     DRAIN  RESTART  READY  PROBATION  VERSION  CUT  FAIL",
        "p/g       restarted     0s     1min      -    1h 2min  1 -> 2     3     0", "",
        "p/g: 3 cut (2 tunnel, 1 event_stream)", "hook after: failed", "completed: 1 restarted",
        "requests: 0 failed, 3 cut; downtime 1min 1s, longest hold 0s", "That is all.",
      ])
  }

  @Test func coloursWhatBecameOfEach() {
    let lines = RestartSummary(
      end([one, ["name": "h", "fate": "failed"], ["name": "i", "fate": "untouched"]]), colours: true
    ).lines
    #expect(lines[1].contains("  \u{1B}[32mrestarted\u{1B}[0m  "))
    #expect(lines[2].contains("  \u{1B}[31mfailed   \u{1B}[0m  "))
    #expect(!lines[0].contains("\u{1B}") && !lines[3].contains("\u{1B}"))
    #expect(columns(of: lines[1]) == columns(of: lines[3]))
  }

  @Test func nothingIsToldOfWhatWasNotTouched() {
    let untouched: JSON = ["name": "g", "fate": "untouched"]
    let refused = RestartSummary(end([untouched], result: "refused", status: 4), colours: false)
    #expect(refused.lines == [])
    #expect(refused.complaints == ["Do this.", "Do that.", "That is all."])
    #expect(RestartSummary(end([untouched], result: "rehearsed"), colours: false).lines == ["That is all."])
    // Stopped before the first one: that is told.
    let aborted = RestartSummary(end([untouched], result: "aborted", status: 5), colours: false)
    #expect(aborted.lines.contains("aborted: 0 restarted, 1 untouched"))
  }

  @Test(arguments: [
    (0.0, "0s"), (0.05, "0.1s"), (1.25, "1.3s"), (59.94, "59.9s"), (59.95, "1min"), (-1, "0s"),
    (1e30, "11574d 1h"),
  ])
  func times(_ seconds: Double, _ expected: String) {
    #expect(shortSeconds(seconds) == expected)
  }
}

@Suite struct GracefulTests {
  @Test func asksOnlyForWhatWasGiven() {
    var restart = Graceful(proxy: RunningProxy())
    #expect(restart.body([]) == [:])
    restart.maximumUnavailable = .number(2)
    restart.isRehearsal = true
    #expect(
      restart.body([.init(pool: "p", name: "a")]) == ["only": ["p/a"], "max_unavailable": 2, "dry_run": true])
  }
}
