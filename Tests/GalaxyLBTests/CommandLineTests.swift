import GravityRestart
import SystemCalls
import Testing
import YAML

@testable import galaxy_lb

@Suite struct CommandLineTests {
  /// The verb, or the problems as they are printed.
  private func parse(_ arguments: String...) -> (verb: Verb?, problems: [String]) {
    var diagnostics = Diagnostics()
    let verb = Verb(arguments: ["galaxy-lb"] + arguments, diagnostics: &diagnostics)
    return (verb, diagnostics.sorted.map(\.description))
  }

  @Test func nothingAtAllServes() {
    #expect(parse().verb == .serve(CommandLineSettings()))
  }

  @Test func everySettingIsTaken() {
    var expected = CommandLineSettings()
    expected.listen = [.tcp(host: "", port: 80), .unix(path: "/run/public.sock")]
    expected.upstreams = [.unix(path: "a.sock"), .tcp(host: "::1", port: 8080)]
    expected.galaxyFiles = ["one.yml", "two.yml"]
    expected.file = "galaxy-lb.yml"
    expected.threads = 3
    expected.control = .at(path: "/run/control.sock")
    expected.logLevel = .debug
    let (verb, problems) = parse(
      "--listen", ":80", "--upstream=unix:a.sock", "--galaxy-config", "one.yml", "--config=galaxy-lb.yml",
      "--listen", "unix:/run/public.sock", "--upstream", "[::1]:8080", "--galaxy-config=two.yml", "--threads",
      "3", "--control", "/run/control.sock", "--log-level", "debug")
    #expect(problems.isEmpty)
    #expect(verb == .serve(expected))
  }

  @Test(arguments: [
    (["--help"], Verb.help), (["--help", "--drain", "x", "--json"], .help), (["-h"], .help),
    (["--version"], .version), (["-V"], .version),
    (["--check"], .check(CommandLineSettings())), (["--check", "--version"], .version),
    (["--version", "--check", "--help"], .help), (["-Vh"], .help), (["--"], .serve(CommandLineSettings())),
  ])
  func verbs(_ arguments: [String], _ expected: Verb) {
    var diagnostics = Diagnostics()
    #expect(Verb(arguments: ["galaxy-lb"] + arguments, diagnostics: &diagnostics) == expected)
    #expect(diagnostics.isEmpty)
  }

  @Test(arguments: ["run/c.sock", "unix:run/c.sock", "unix://run/c.sock"])
  func theControlSocketIsAPath(_ text: String) {
    var expected = CommandLineSettings()
    expected.control = .at(path: "run/c.sock")
    #expect(parse("--control", text).verb == .serve(expected))
  }

  @Test func commandsFindTheirProxy() {
    let proxy = RunningProxy(control: .at(path: "c.sock"), file: "lb.yml")
    #expect(
      parse("--control", "c.sock", "--status", "--config", "lb.yml").verb == .status(Status(proxy: proxy)))
    #expect(
      parse("--control", "off").verb
        == .serve(
          {
            var all = CommandLineSettings()
            all.control = .off
            return all
          }()))
  }

  @Test func commandsTakeTheirOptions() {
    let proxy = RunningProxy()
    #expect(parse("--status", "--json").verb == .status(Status(proxy: proxy, json: true)))
    #expect(parse("--ready", "main/a").verb == .ready(Ready(proxy: proxy, name: "main/a")))
    #expect(
      parse("--maintenance", "all", "--reason", "new disks").verb
        == .maintenance(Maintenance(proxy: proxy, name: "all", reason: "new disks")))
    #expect(parse("--weight", "a=b=7").verb == .weight(Weight(proxy: proxy, name: "a=b", weight: 7)))
    #expect(parse("--drain", "a").verb == .drain(Drain(proxy: proxy, name: "a")))
    #expect(
      parse("--drain", "a", "--wait", "--timeout", "1500ms", "--json", "--reason", "x").verb
        == .drain(Drain(proxy: proxy, name: "a", reason: "x", waits: true, timeout: 1500, json: true)))
  }

  @Test func aRestartTakesItsOptions() {
    let proxy = RunningProxy()
    #expect(parse("--graceful").verb == .graceful(Graceful(proxy: proxy)))
    #expect(parse("--abort", "--config", "f").verb == .abort(Abort(proxy: RunningProxy(file: "f"))))
    var expected = Graceful(proxy: RunningProxy(control: .at(path: "c.sock")))
    expected.names = ["a", "main/b"]
    expected.maximumUnavailable = .percent(50)
    expected.startsStopped = true
    expected.allowsVersionSkew = true
    expected.isRehearsal = true
    expected.json = true
    let (verb, problems) = parse(
      "--control", "c.sock", "--only", "a", "--graceful", "--max-unavailable", "50%", "--start-if-stopped",
      "--only=main/b", "--allow-version-skew", "--dry-run", "--json")
    #expect(problems.isEmpty && verb == .graceful(expected))
  }

  @Test(
    arguments: [
      ("1", .number(1)), ("250", .number(250)), ("1%", .percent(1)), ("100%", .percent(100)), ("0", nil),
      ("0%", nil), ("101%", nil), ("-1", nil), ("+1", nil), ("", nil), ("%", nil), ("2 %", nil), ("1.5", nil),
      ("two", nil), ("99999999999999999999", nil),
    ] as [(String, UpstreamQuantity?)])
  func howManyAtOnce(_ text: String, _ expected: UpstreamQuantity?) {
    let (verb, problems) = parse("--graceful", "--max-unavailable", text)
    if let expected {
      var restart = Graceful(proxy: RunningProxy())
      restart.maximumUnavailable = expected
      #expect(verb == .graceful(restart))
    } else {
      #expect(
        problems == [
          "option --max-unavailable: error: expected a number of upstreams such as 2, or a part of them from 1% to "
            + "100%, found '\(text)'"
        ])
    }
  }

  @Test func commandsAreWrittenForTheSameProxy() {
    #expect(RunningProxy().commandLine(.abort) == "galaxy-lb --abort")
    #expect(
      RunningProxy(control: .at(path: "c.sock"), file: "f").commandLine(.status)
        == "galaxy-lb --control c.sock --status")
    #expect(RunningProxy(file: "f.yml").commandLine(.graceful) == "galaxy-lb --config f.yml --graceful")
  }

  @Test func checkTakesTheSettings() {
    var expected = CommandLineSettings()
    expected.threads = 2
    #expect(parse("--threads", "2", "--check").verb == .check(expected))
  }

  @Test(arguments: [
    (["--lisen", ":80"], "error: unknown option '--lisen' (did you mean '--listen'?)"),
    (["--upsteam=unix:a"], "error: unknown option '--upsteam' (did you mean '--upstream'?)"),
    (["--galaxy_config", "f"], "error: unknown option '--galaxy_config' (did you mean '--galaxy-config'?)"),
    (["--frobnicate"], "error: unknown option '--frobnicate'"),
    (["-x"], "error: unknown option '-x'"),
    (["--c"], "error: '--c' is the beginning of several options: --config, --control, --check"),
    (["chekc"], "error: stray argument 'chekc' (did you mean '--check'?)"),
    (["--", "--check"], "error: stray argument '--check'"),
    (["--listen"], "option --listen: error: an argument is missing: --listen ADDRESS"),
    (
      ["--listen", "--threads=2"],
      "option --listen: error: an argument is missing: --listen ADDRESS, found '--threads=2'"
    ),
    (["--status", "--drain", "a"], "option --drain: error: does not go with --status"),
    (["--status", "--listen", ":80"], "option --listen: error: does not go with --status"),
    (["--ready", "a", "--reason", "x"], "option --reason: error: does not go with --ready"),
    (["--check", "--json"], "option --json: error: does not go with --check"),
    (["--graceful", "--wait"], "option --wait: error: does not go with --graceful"),
    (["--graceful", "--abort"], "option --abort: error: does not go with --graceful"),
    (["--graceful", "--upstream", "unix:a"], "option --upstream: error: does not go with --graceful"),
    (["--status", "--dry-run"], "option --dry-run: error: does not go with --status"),
    (["--only", "a"], "option --only: error: only together with --graceful"),
    (["--dryrun"], "error: unknown option '--dryrun' (did you mean '--dry-run'?)"),
    (["--graceful", "a"], "error: stray argument 'a'"),
    (["--only"], "option --only: error: an argument is missing: --only NAME"),
    (["--reason", "x"], "option --reason: error: only together with --maintenance or --drain"),
    (["--drain", "a", "--timeout", "5s"], "option --timeout: error: only together with --wait"),
    (["--drain", "a", "--json"], "option --json: error: only together with --wait"),
    (
      ["--drain", "a", "--wait", "--timeout", "5"],
      "option --timeout: error: expected a duration such as 500ms, 30s, 5m or 1h, up to 168h, found '5'"
    ),
    (["--weight", "a"], "option --weight: error: expected NAME=N with N from 1 to 1000, found 'a'"),
    (["--weight", "a=0"], "option --weight: error: expected NAME=N with N from 1 to 1000, found 'a=0'"),
    (["--weight", "=5"], "option --weight: error: expected NAME=N with N from 1 to 1000, found '=5'"),
    (["--drain"], "option --drain: error: an argument is missing: --drain NAME"),
    (["--check=yes"], "option --check: error: takes no argument"),
    (["--threads", "0"], "option --threads: error: expected a number from 1 to 256, found '0'"),
    (["--threads", "two"], "option --threads: error: expected a number from 1 to 256, found 'two'"),
    (["--threads", "1", "--threads", "2"], "option --threads: error: given more than once"),
    (["--config", ""], "option --config: error: the path is empty"),
    (
      ["--log-level", "warn"],
      "option --log-level: error: expected one of debug, info, notice, warning, error, found 'warn'"
    ),
    (
      ["--log-level", "eror"],
      "option --log-level: error: expected one of debug, info, notice, warning, error, found 'eror' "
        + "(did you mean 'error'?)"
    ),
    (
      ["--listen", "8080"],
      "option --listen: error: '8080': no port (expected HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH)"
    ),
    (
      ["--upstream", ":8080"],
      "option --upstream: error: ':8080': an upstream needs a host (expected HOST:PORT)"
    ),
    (
      ["--upstream", "h:0"], "option --upstream: error: 'h:0': an upstream needs a port from 1 to 65535"
    ),
    (
      ["--control", String(repeating: "p", count: 108)],
      "option --control: error: 'unix:\(String(repeating: "p", count: 108))': the socket's path has 108 bytes, the "
        + "system's limit is 107"
    ),
  ])
  func mistakes(_ arguments: [String], _ expected: String) {
    var diagnostics = Diagnostics()
    #expect(Verb(arguments: ["galaxy-lb"] + arguments, diagnostics: &diagnostics) == nil)
    #expect(diagnostics.sorted.map(\.description) == [expected])
  }

  @Test func anAddressWithoutItsOptionIsExplained() {
    #expect(
      parse("--upstream", "unix:a", "unix:b").problems == [
        "error: stray argument 'unix:b'; each ADDRESS needs its own --upstream"
      ])
  }

  @Test func allMistakesAreToldAtOnce() {
    let (verb, problems) = parse("stray", "--hlep", "--threads", "x", "--listen", "nowhere", "-q")
    #expect(verb == nil)
    #expect(problems.count == 5)
  }

  @Test func helpWithAMistakeIsAMistake() {
    #expect(parse("--help", "--nonsense").verb == nil)
  }
}

@Suite struct HelpTests {
  private let lines = Help.text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()

  @Test func fitsAScreen() {
    // One line of the 24 is the next prompt.
    #expect(lines.count <= 23)
    #expect(lines.allSatisfy { $0.count <= 80 })
  }

  @Test(arguments: Option.allCases)
  func namesEveryOptionOnce(_ option: Option) {
    let places = lines.count { line in
      line.hasPrefix("  ") && (line.contains("\(option.usage) ") || line.contains("[\(option.usage)]"))
    }
    // What goes with several verbs is shown with the first of them.
    #expect(places == 1)
  }
}
