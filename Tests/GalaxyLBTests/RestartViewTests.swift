import SystemCalls
import Testing

@testable import galaxy_lb

@Suite struct RestartViewTests {
  private let screen = WindowSize(columns: 80, rows: 24)

  private func view(_ lines: [RestartLine], at time: Duration = .zero, colours: Bool = false) -> RestartView {
    var view = RestartView(colours: colours)
    for line in lines { _ = view.take(line, at: time) }
    return view
  }

  @Test func showsEachUpstreamAndTheSums() {
    let view = view([
      begunLine(["gunicorn0", "gunicorn1", "gunicorn2", "gunicorn3"]), preflightLine("gunicorn3"),
      phaseLine("gunicorn0", "completed", timeout: nil),
      phaseLine("gunicorn1", "draining", elapsed: 60, inFlight: 12),
      phaseLine("gunicorn2", "failed", reason: "it exited with status 1"),
      phaseLine("gunicorn3", "waiting", timeout: nil),
    ])
    #expect(
      view.frame(on: screen, at: .seconds(1)) == [
        "main/gunicorn0  completed",
        "main/gunicorn1  draining      1min 1s  12 in flight  [########........] of 2min",
        "main/gunicorn2  failed      it exited with status 1",
        "main/gunicorn3  waiting     24.1, 24.2 on disk",
        "1 of 4 restarted, 1 under way, 1 failed, 1 waiting, 1s",
      ])
  }

  @Test func beginsWithPreflight() {
    var view = RestartView(colours: false)
    #expect(view.frame(on: screen, at: .zero) == [])
    #expect(view.take(begunLine(["a", "b"]), at: .zero) == ["main: 2 upstreams: the others serve"])
    #expect(view.take(preflightLine("a"), at: .zero) == [])
    #expect(view.take(preflightLine("b", unit: "failed", notes: ["Hm."]), at: .zero).count == 2)
    #expect(view.take(preflightLine("a", notes: ["Hm."]), at: .zero) == ["main/a: note: Hm."])
    #expect(
      view.frame(on: screen, at: .seconds(3)) == [
        "main/a  checked     24.1, 24.2 on disk", "main/b  checked     24.1, 24.2 on disk",
        "preflight of 2 upstreams, 3s",
      ])
  }

  @Test func aDryRunTellsAllThatPreflightFinds() {
    var view = RestartView(colours: false)
    _ = view.take(begunLine(["a"], dryRun: true), at: .zero)
    #expect(
      view.take(preflightLine("a"), at: .zero) == [
        "main/a: preflight: systemd a.service running, answers, runs 24.1, 24.2 on disk"
      ])
  }

  @Test func timeGoesOnByItself() {
    let view = view(
      [begunLine(["a"]), phaseLine("a", "restarting", elapsed: 10, timeout: 20)], at: .seconds(100))
    let bar = { view.frame(on: screen, at: .seconds($0))[0] }
    #expect(bar(100) == "main/a  restarting        10s   0 in flight  [############.............] of 20s")
    #expect(bar(105).contains(" 15s ") && bar(105).contains("[##################.......]"))
    // Overdue is full, and a clock that is read earlier than the line came shows no negative time.
    #expect(bar(500).contains("[#########################]"))
    #expect(bar(0).contains(" 0s ") && bar(0).contains("[.........................]"))
  }

  @Test func theWholeTimeIsFromTheDrain() {
    var view = view([begunLine(["a"])])
    _ = view.take(phaseLine("a", "draining", elapsed: 1), at: .seconds(10))
    _ = view.take(phaseLine("a", "restarting"), at: .seconds(20))
    _ = view.take(phaseLine("a", "completed", timeout: nil), at: .seconds(74))
    _ = view.take(phaseLine("a", "completed", event: "progress", timeout: nil), at: .seconds(90))
    #expect(view.frame(on: screen, at: .seconds(99))[0] == "main/a  completed     1min 5s")
  }

  @Test func attachedNobodyKnowsSinceWhen() {
    let view = view([begunLine(["a"], attached: true), phaseLine("a", "waiting")])
    #expect(view.frame(on: screen, at: .seconds(9)).last == "0 of 1 restarted, 1 waiting")
  }

  @Test func anUpstreamThatWasNotToldOfIsShown() {
    let view = view([begunLine(["a"]), phaseLine("b", "draining")])
    #expect(view.frame(on: screen, at: .zero).count == 3)
  }

  @Test func coloursThePhaseAlone() {
    let view = view(
      [begunLine(["a", "b"]), phaseLine("a", "draining"), phaseLine("b", "failed")], colours: true)
    let lines = view.frame(on: screen, at: .zero)
    #expect(lines[0].hasPrefix("main/a  \u{1B}[33mdraining  \u{1B}[0m  "))
    #expect(lines[1] == "main/b  \u{1B}[31mfailed    \u{1B}[0m")
    #expect(!lines[2].contains("\u{1B}"))
  }

  // MARK: sizes

  @Test(arguments: [true, false])
  func neverWiderThanTheScreen(_ colours: Bool) {
    let view = view(
      [
        begunLine(["gunicorn0", "漢字漢字漢字漢字", "e\u{301}"]),
        phaseLine("gunicorn0", "draining", elapsed: 3599, timeout: 7200, inFlight: 123_456),
        phaseLine("漢字漢字漢字漢字", "failed", reason: String(repeating: "字", count: 100)),
        phaseLine("e\u{301}", "completed", timeout: nil),
      ], colours: colours)
    for columns in 1...200 {
      for line in view.frame(on: WindowSize(columns: columns, rows: 24), at: .zero) {
        #expect(galaxy_lb.columns(of: line) < columns)
      }
    }
  }

  @Test(arguments: [
    (120, "main/gunicorn0  draining          10s   3 in flight  [##............................] of 2min"),
    (80, "main/gunicorn0  draining          10s   3 in flight  [#...............] of 2min"),
    (70, "main/gunicorn0  draining          10s   3 in flight  [......] of 2min"),
    (69, "main/gunicorn0  draining          10s   3 in flight"),
    (50, "main/gunicorn0  draining          10s"),
    (40, "..n/gunicorn0  draining          10s"), (30, "..nicorn0  draining"), (20, "..icorn0  draining"),
    (9, "..icorn0"),
  ])
  func leavesOutWhatDoesNotFit(_ columns: Int, _ expected: String) {
    let view = view([begunLine(["gunicorn0"]), phaseLine("gunicorn0", "draining", elapsed: 10, inFlight: 3)])
    #expect(view.frame(on: WindowSize(columns: columns, rows: 24), at: .zero)[0] == expected)
  }

  @Test func showsTheMostUrgentOnes() {
    let names = (0..<10).map { "g\($0)" }
    var lines = [begunLine(names)]
    lines += names.map { phaseLine($0, "waiting", timeout: nil) }
    lines += ["g0", "g1", "g2"].map { phaseLine($0, "completed", timeout: nil) }
    lines += [phaseLine("g3", "failed"), phaseLine("g4", "probation"), phaseLine("g8", "draining")]
    let view = view(lines)
    func shown(_ rows: Int) -> [Substring] {
      view.frame(on: WindowSize(columns: 80, rows: rows), at: .zero).map { $0.split(separator: " ")[0] }
    }
    #expect(shown(4) == ["main/g4", "main/g8", "3"])
    #expect(shown(5) == ["main/g3", "main/g4", "main/g8", "3"])
    #expect(shown(8) == ["main/g3", "main/g4", "main/g5", "main/g6", "main/g7", "main/g8", "3"])
    #expect(shown(11).count == 10 && shown(12).count == 11 && shown(100).count == 11)
    #expect(shown(2) == ["3"] && shown(1) == [])
    #expect(
      view.frame(on: WindowSize(columns: 80, rows: 5), at: .zero).last
        == "3 of 10 restarted, 2 under way, 1 failed, 4 waiting, 0s, 7 not shown")
  }
}

@Suite struct LiveScreenTests {
  private let size = WindowSize(columns: 20, rows: 10)

  @Test func writesOverWhatItWrote() {
    var screen = LiveScreen()
    #expect(screen.show(["a", "b"], on: size) == "a\u{1B}[K\nb\u{1B}[K\n\u{1B}[J")
    #expect(screen.show(["a", "b"], on: size) == "")
    #expect(screen.show(["c"], on: size) == "\r\u{1B}[2Ac\u{1B}[K\n\u{1B}[J")
    #expect(screen.clear(on: size) == "\r\u{1B}[1A\u{1B}[J")
    #expect(screen.clear(on: size) == "")
  }

  @Test func otherLinesScrollByAbove() {
    var screen = LiveScreen()
    _ = screen.show(["a", "b"], on: size)
    #expect(
      screen.show(["a", "c"], above: ["news", "more"], on: size) == "\r\u{1B}[2A\u{1B}[Jnews\nmore\na\nc\n")
    #expect(screen.show(["d"], on: size).hasPrefix("\r\u{1B}[2A"))
  }

  @Test func countsTheRowsOfANarrowerScreen() {
    var screen = LiveScreen()
    _ = screen.show([String(repeating: "a", count: 19), "\u{1B}[31mb\u{1B}[0m", ""], on: size)
    #expect(screen.show(["c"], on: WindowSize(columns: 9, rows: 10)).hasPrefix("\r\u{1B}[5A"))
    _ = screen.show([String(repeating: "a", count: 19)], on: size)
    #expect(screen.show(["c"], on: WindowSize(columns: 1, rows: 10)).hasPrefix("\r\u{1B}[10A"))
  }

  @Test func leavesWhatSomebodyWroteBehind() {
    var screen = LiveScreen()
    _ = screen.show(["a"], on: size)
    screen.leave()
    #expect(screen.show(["a"], on: size) == "a\u{1B}[K\n\u{1B}[J")
  }
}
