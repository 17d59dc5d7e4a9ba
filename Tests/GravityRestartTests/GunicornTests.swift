import SystemCalls
import Testing
import YAML

@testable import GravityRestart

@Suite struct BindTests {
  @Test(arguments: [
    ("localhost", Endpoint.tcp(host: "localhost", port: 8000)),
    ("127.0.0.1", .tcp(host: "127.0.0.1", port: 8000)),
    ("galaxy.example.org:80", .tcp(host: "galaxy.example.org", port: 80)),
    ("tcp://127.0.0.1:81", .tcp(host: "127.0.0.1", port: 81)),
    ("[::1]:8080", .tcp(host: "::1", port: 8080)),
    ("[::1]", .tcp(host: "::1", port: 8000)),
    (":8080", .tcp(host: "127.0.0.1", port: 8080)),
    ("0.0.0.0", .tcp(host: "127.0.0.1", port: 8000)),
    ("[::]:8080", .tcp(host: "::1", port: 8080)),
    ("unix:/run/g.sock", .unix(path: "/run/g.sock")),
    ("unix:///run/g.sock", .unix(path: "/run/g.sock")),
    ("unix:var/g.sock", .unix(path: "/srv/galaxy/var/g.sock")),
    ("unix:../g.sock", .unix(path: "/srv/galaxy/../g.sock")),
  ])
  func reads(_ bind: String, _ expected: Endpoint) throws {
    #expect(try Endpoint(gunicornBind: bind, in: "/srv/galaxy") == expected)
  }

  @Test(arguments: [
    ("fd://3", "the address of an inherited descriptor is not known here, expected HOST:PORT or unix:PATH"),
    ("/run/g.sock", "gunicorn takes this for a host name, expected unix:/run/g.sock"),
    ("localhost:0", "port 0 is another one after every start, expected a port from 1 to 65535"),
    ("localhost:http", "'http' is not a port (0 to 65535)"),
    ("::1", "'::1' is not a host name or address (IPv6 goes in brackets)".replacing("'::1'", with: "':'")),
    ("", "the address is empty"), ("unix:", "no path follows 'unix:'"),
    ("unix://", "no path follows 'unix:'"),
    (
      "unix:" + String(repeating: "p", count: 100),
      "the socket's path has 112 bytes, the system's limit is 107"
    ),
  ])
  func refuses(_ bind: String, _ message: String) {
    do throws(BindProblem) {
      Issue.record("read \(bind) as \(try Endpoint(gunicornBind: bind, in: "/srv/galaxy"))")
    } catch {
      #expect(error.description == message)
    }
  }
}

@Suite struct GunicornSettingsTests {
  private func gunicorn(_ settings: String, _ variables: [String: String] = [:]) throws -> GunicornService {
    let site = try Site()
    site.environment.variables = variables
    let instance = try site.instance("gravity:\(settings)\ngalaxy: {}\n")
    return try #require(instance.gunicorns.first)
  }

  @Test func defaults() throws {
    let gunicorn = try gunicorn(" {}")
    #expect(gunicorn.bind == Sourced("localhost:8080", from: .builtIn))
    #expect(gunicorn.workers == Sourced(1, from: .builtIn))
    #expect(gunicorn.timeout == Sourced(300, from: .builtIn))
    #expect(gunicorn.preload == Sourced(true, from: .builtIn))
    #expect(gunicorn.startTimeout == Sourced(15, from: .builtIn))
    #expect(gunicorn.stopTimeout == Sourced(65, from: .builtIn))
    #expect(gunicorn.restartTimeout == Sourced(300, from: .builtIn))
  }

  /// Every expectation is what Gravity 1.2.4 with pydantic 2 makes of the value.
  @Test(arguments: [
    ("4", 4), ("'4'", 4), ("' 4 '", 4), ("'4.0'", 4), ("4.0", 4), ("true", 1), ("'1_000'", 1000), ("'+4'", 4),
    ("010", 8),
  ])
  func numbers(_ written: String, _ expected: Int) throws {
    #expect(try gunicorn(" {gunicorn: {workers: \(written)}}").workers.value == expected)
  }

  @Test(arguments: [
    "4.5", "'0x4'", "''", "", "'-0'", "'1e1'", "many", "[4]", "'1__0'", "0", "-1", "99999999999",
  ])
  func noNumbers(_ written: String) throws {
    let site = try Site()
    let problems = try site.problems("gravity:\n  gunicorn:\n    workers: \(written)\ngalaxy: {}\n")
    #expect(problems.count == 1)
    #expect(problems.first?.hasPrefix("ROOT/config/galaxy.yml:3:") == true)
    #expect(problems.first?.contains("error: workers: found ") == true)
    #expect(problems.first?.hasSuffix("expected a whole number from 1 to 2147483647") == true)
  }

  @Test(arguments: [
    ("yes", true), ("'On'", true), ("t", true), ("'Y'", true), ("'1'", true), ("1", true), ("1.0", true),
    ("off", false), ("'0'", false), ("n", false), ("0", false), ("", false), ("null", false),
  ])
  func booleans(_ written: String, _ expected: Bool) throws {
    #expect(try gunicorn("\n  gunicorn:\n    preload: \(written)").preload.value == expected)
  }

  @Test(arguments: ["2", "maybe", "''", "' true '", "{}"])
  func noBooleans(_ written: String) throws {
    let site = try Site()
    let problems = try site.problems("gravity:\n  gunicorn:\n    preload: \(written)\ngalaxy: {}\n")
    #expect(problems.count == 1)
    #expect(problems.first?.hasSuffix("expected true or false") == true)
  }

  @Test func valuesHaveThePlaceTheyComeFrom() throws {
    let site = try Site()
    let text = "gravity:\n  gunicorn:\n    workers: '3'\n    restart_timeout: 600\ngalaxy: {}\n"
    let gunicorn = try #require(try site.instance(text).gunicorns.first)
    let file = site.root + "/config/galaxy.yml"
    #expect(gunicorn.workers == Sourced(3, from: .text(Position(file: file, line: 3, column: 14))))
    #expect(gunicorn.restartTimeout == Sourced(600, from: .text(Position(file: file, line: 4, column: 22))))
    #expect(gunicorn.origin == .text(Position(file: file, line: 3, column: 5)))
  }

  @Test func environmentFillsWhatTheFileLacks() throws {
    let json = ["GRAVITY_GUNICORN": #"{"bind": "unix:/j", "workers": "7"}"#]
    let both = json.merging(["gravity_gunicorn.BIND": "unix:/d"]) { $1 }
    #expect(try gunicorn(" {gunicorn: {workers: 3}}", json).bind.value == "unix:/j")
    #expect(try gunicorn(" {gunicorn: {workers: 3}}", json).workers.value == 3)
    #expect(
      try gunicorn(" {}", both).bind == Sourced("unix:/d", from: .environment("gravity_gunicorn.BIND")))
    #expect(try gunicorn(" {}", both).workers == Sourced(7, from: .environment("GRAVITY_GUNICORN")))
    // A list of the file, and null, leave nothing to the environment.
    #expect(try gunicorn(" {gunicorn: [{workers: 3}]}", both).bind.value == "localhost:8080")
    #expect(try gunicorn(" {gunicorn: null}", both).bind.value == "localhost:8080")
  }

  @Test func environmentMayHoldAList() throws {
    let site = try Site()
    site.environment.variables["GRAVITY_GUNICORN"] = #"[{"bind": "unix:/a"}, {"bind": "unix:/b"}]"#
    let instance = try site.instance("gravity: {handlers: {h: {}}}\ngalaxy: {}\n")
    #expect(instance.gunicorns.map(\.unit) == ["gunicorn:gunicorn_0", "gunicorn:gunicorn_1"])
    #expect(instance.gunicorns.map(\.origin).allSatisfy { $0 == .environment("GRAVITY_GUNICORN") })
    #expect(
      try site.instance("gravity: {gunicorn: {workers: 2}}\ngalaxy: {}\n").gunicorns.map(\.bind.value)
        == ["localhost:8080"])
  }

  @Test(arguments: ["{bind", "", "12", "text"])
  func environmentThatIsNoObjectIsAnError(_ value: String) throws {
    let site = try Site()
    site.environment.variables["GRAVITY_GUNICORN"] = value
    #expect(
      try site.problems("gravity: {}\ngalaxy: {}\n") == [
        "environment variable GRAVITY_GUNICORN: error: gunicorn: found the string '\(value)', expected a JSON "
          + "object or a JSON list of objects"
      ])
  }
}
