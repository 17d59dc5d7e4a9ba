import HTTP1
import JSON
import Testing
import UpstreamPool

@testable import galaxy_lb

@Suite struct UpstreamSelectionTests {
  private let several = UpstreamSelection([
    .init(pool: "main", name: "gunicorn0"), .init(pool: "main", name: "gunicorn1"),
    .init(pool: "test", name: "gunicorn0"), .init(pool: "test", name: "tool"), .init(pool: "tool", name: "x"),
    .init(pool: "solo", name: "solo"),
  ])

  @Test(arguments: [
    ("all", ["main/gunicorn0", "main/gunicorn1", "test/gunicorn0", "test/tool", "tool/x", "solo/solo"]),
    ("main", ["main/gunicorn0", "main/gunicorn1"]), ("main/all", ["main/gunicorn0", "main/gunicorn1"]),
    ("gunicorn1", ["main/gunicorn1"]), ("test/gunicorn0", ["test/gunicorn0"]), ("solo", ["solo/solo"]),
    ("tool/all", ["tool/x"]), ("test/tool", ["test/tool"]),
  ])
  func names(_ text: String, _ expected: [String]) throws {
    #expect(try several.named(text).map(\.fullName) == expected)
  }

  @Test(arguments: [
    ("gunicorn0", "'gunicorn0' is the name of several upstreams: main/gunicorn0, test/gunicorn0"),
    ("tool", "'tool' is the name of a pool and of an upstream: tool/all, test/tool"),
    (
      "gunicorn2",
      "no upstream and no pool is called 'gunicorn2' (did you mean 'gunicorn0'?), expected main/gunicorn0, "
        + "main/gunicorn1, test/gunicorn0, test/tool, tool/x, solo/solo, a pool or all"
    ),
  ])
  func namesNothing(_ text: String, _ expected: String) {
    let error = #expect(throws: UpstreamSelection.Unknown.self) { try several.named(text) }
    #expect(error?.message == expected)
  }

  @Test func readsTheProxysAnswer() {
    let document: JSON = [
      "upstreams": [["pool": "p", "name": "a"], ["pool": "p"], 3, ["pool": "p", "name": "b"]]
    ]
    #expect(UpstreamSelection(document).entries.map(\.path) == ["/v1/upstreams/p/a", "/v1/upstreams/p/b"])
  }
}

@Suite struct StatusTextTests {
  private func upstream(_ name: String, _ administrative: String, _ operational: String, reason: JSON = nil)
    -> JSON
  {
    [
      "pool": "main", "name": .string(name), "address": "unix:/run/g.sock",
      "administrative": .string(administrative), "operational": .string(operational), "reason": reason,
      "administrative_for": 90.5, "operational_for": 7200.0, "backup": false, "weight": 1,
      "in_flight": ["total": 3], "requests": 12345, "failures": ["total": 0],
    ]
  }

  private var document: JSON {
    [
      "version": "1.2.3", "pid": 42, "uptime": 90061.0, "stopping": false,
      "client_connections": ["open": 7], "requests": ["in_flight": ["total": 6], "ended": 99],
      "pools": [
        [
          "name": "main", "hold": ["waiting": 2],
          "upstreams": [
            upstream("gunicorn0", "ready", "up"), upstream("g1", "draining", "down", reason: "new code"),
          ],
        ]
      ],
    ]
  }

  @Test func isATable() {
    #expect(
      StatusText(document, colours: false).text == """
        galaxy-lb 1.2.3, pid 42, up 1d 1h: 7 client connections, 6 requests in flight, 99 ended

        POOL  UPSTREAM   ADDRESS           STATE          IN FLIGHT  REQUESTS  FAILURES  FOR
        main  gunicorn0  unix:/run/g.sock  ready/up               3     12345         0  1min 30s
        main  g1         unix:/run/g.sock  draining/down          3     12345         0  1min 30s

        pool main: 2 requests wait for an upstream
        main/g1 draining: new code

        """)
  }

  @Test func coloursTheStateAlone() {
    let text = StatusText(document, colours: true).text
    #expect(text.contains("  \u{1B}[32mready/up     \u{1B}[0m  "))
    #expect(text.contains("  \u{1B}[31mdraining/down\u{1B}[0m  "))
    #expect(text.count { $0 == "\u{1B}" } == 4)
  }

  @Test func summarizesOne() {
    #expect(
      UpstreamRow(upstream("g1", "draining", "up", reason: "x")).summary
        == "draining (x), up, weight 1, 3 requests in flight")
  }

  @Test(
    arguments: [
      (0, "0s"), (59, "59s"), (60, "1min"), (61, "1min 1s"), (3600, "1h"), (3725, "1h 2min"),
      (90_000, "1d 1h"),
    ] as [(Int64, String)])
  func durations(_ seconds: Int64, _ expected: String) {
    #expect(shortDuration(seconds) == expected)
  }

  @Test func drainProgressIsToldOnceOrWrittenOver() {
    func line(_ event: String, _ count: Int) -> JSON {
      [
        "event": .string(event), "in_flight": ["total": .integer(count), "upload": .integer(count)],
        "elapsed": 2.6,
      ]
    }
    var plain = DrainProgressText("p/u", isTerminal: false)
    #expect(plain.text(of: line("draining", 2)) == "p/u: draining, 2 in flight (2 upload)\n")
    #expect(plain.text(of: line("draining", 2)) == "")
    #expect(plain.text(of: line("draining", 1)) == "p/u: draining, 1 in flight (1 upload)\n")
    #expect(plain.text(of: line("timed_out", 1)) == "p/u: timed out, 1 in flight (1 upload), after 2s\n")
    var terminal = DrainProgressText("p/u", isTerminal: true)
    #expect(terminal.text(of: line("draining", 2)) == "\r\u{1B}[Kp/u: draining, 2 in flight (2 upload), 2s")
    #expect(terminal.text(of: line("drained", 0)) == "\r\u{1B}[Kp/u: drained, nothing in flight, after 2s\n")
  }
}

@Suite struct LineReaderTests {
  @Test func cutsHoweverItComes() {
    let text = Array("one\n\ntwo\nthree\nrest".utf8)
    for size in 1...text.count {
      var reader = LineReader()
      var lines: [String] = []
      for start in stride(from: 0, to: text.count, by: size) {
        lines += reader.take(Array(text[start..<min(start + size, text.count)])).map {
          String(decoding: $0, as: UTF8.self)
        }
      }
      #expect(lines == ["one", "two", "three"])
      #expect(reader.last == Array("three".utf8))
    }
  }
}

@Suite struct PrometheusTextTests {
  @Test func followsTheFormat() {
    var text = PrometheusText()
    text.metric("a_total", .counter, "What.", 3)
    text.begin("b", .gauge, "Other.")
    text.sample("b", [("name", "q\"b\\n\n"), ("le", "+Inf")], 0.5)
    #expect(
      String(decoding: text.bytes, as: UTF8.self) == """
        # HELP a_total What.
        # TYPE a_total counter
        a_total 3
        # HELP b Other.
        # TYPE b gauge
        b{name="q\\"b\\\\n\\n",le="+Inf"} 0.5

        """)
  }
}

@Suite struct WorkerStatisticsTests {
  @Test func everyReasonHasAPlaceOfItsOwn() {
    #expect(EndReason.all.enumerated().allSatisfy { $0.offset == $0.element.number })
    #expect(Set(EndReason.all.map(\.name)).count == EndReason.all.count)
    #expect(EndReason.all.count == 11 + Rejection.allCases.count + UpstreamFailure.allCases.count)
  }

  @Test func countsEachAlone() {
    let statistics = WorkerStatistics()
    for (times, reason) in EndReason.all.enumerated() { for _ in 0..<times { statistics.note(reason) } }
    for (times, reason) in EndReason.all.enumerated() { #expect(statistics.count(of: reason) == times) }
  }
}

@Suite struct TurnBarrierTests {
  @Test func isPassedByTheLast() {
    let barrier = TurnBarrier(loops: 2)
    barrier.pass()
    #expect(!barrier.isPassed)
    barrier.pass()
    #expect(barrier.isPassed && TurnBarrier(loops: 0).isPassed)
  }
}
