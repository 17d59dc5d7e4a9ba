import Testing

@testable import GravityRestart

/// One case of the table of names, as Gravity 1.2.4 with supervisor 4.3 and systemd shows them.
struct NamingCase: Sendable, CustomTestStringConvertible {
  var fixture: String
  var supervisor: [String]
  var systemd: [String]
  var services: [String]

  var testDescription: String { fixture }

  static let all = [
    NamingCase(
      fixture: "mapping", supervisor: ["gunicorn"], systemd: ["galaxy-gunicorn.service"],
      services: ["gunicorn"]),
    NamingCase(
      fixture: "null", supervisor: ["gunicorn"], systemd: ["galaxy-gunicorn.service"], services: ["gunicorn"]),
    NamingCase(
      fixture: "list-with-one-enabled", supervisor: ["gunicorn"], systemd: ["galaxy-gunicorn.service"],
      services: ["gunicorn"]),
    NamingCase(
      fixture: "list-of-two", supervisor: ["gunicorn:gunicorn_0", "gunicorn:gunicorn_1"],
      systemd: ["galaxy-gunicorn@0.service", "galaxy-gunicorn@1.service"], services: ["gunicorn", "gunicorn"]),
    NamingCase(
      fixture: "list-of-two-separate", supervisor: ["gunicorn0", "gunicorn1"],
      systemd: ["galaxy-gunicorn0.service", "galaxy-gunicorn1.service"], services: ["gunicorn0", "gunicorn1"]),
    NamingCase(
      fixture: "list-of-two-named", supervisor: ["main:gunicorn0", "main:gunicorn1"],
      systemd: ["galaxy-main-gunicorn@0.service", "galaxy-main-gunicorn@1.service"],
      services: ["gunicorn", "gunicorn"]),
    NamingCase(
      fixture: "one-named", supervisor: ["test:gunicorn"], systemd: ["galaxy-test-gunicorn.service"],
      services: ["gunicorn"]),
    NamingCase(
      fixture: "list-with-disabled", supervisor: ["gunicorn:gunicorn_0", "gunicorn:gunicorn_1"],
      systemd: ["galaxy-gunicorn@0.service", "galaxy-gunicorn@1.service"], services: ["gunicorn", "gunicorn"]),
    NamingCase(
      fixture: "list-with-disabled-separate", supervisor: ["gunicorn1", "gunicorn2"],
      systemd: ["galaxy-gunicorn1.service", "galaxy-gunicorn2.service"], services: ["gunicorn1", "gunicorn2"]),
    NamingCase(
      fixture: "direct", supervisor: ["gunicorn0", "gunicorn1"],
      systemd: ["galaxy-gunicorn0.service", "galaxy-gunicorn1.service"], services: ["gunicorn0", "gunicorn1"]),
    NamingCase(
      fixture: "list-of-one-separate-named", supervisor: ["main:gunicorn0"],
      systemd: ["galaxy-main-gunicorn0.service"], services: ["gunicorn0"]),
  ]
}

@Suite struct NamingTests {
  @Test(arguments: NamingCase.all, ["supervisor", "systemd"])
  func table(_ row: NamingCase, _ manager: String) throws {
    let site = try Site()
    site.environment.variables["GRAVITY_PROCESS_MANAGER"] = manager
    try site.copyFixture("naming/\(row.fixture).yml")
    let (instances, problems) = site.read()
    #expect(!problems.contains { $0.contains("error:") }, "\(problems)")
    let gunicorns = try #require(instances.first).gunicorns
    #expect(gunicorns.map(\.unit) == (manager == "systemd" ? row.systemd : row.supervisor))
    #expect(gunicorns.map(\.serviceName) == row.services)
    #expect(gunicorns.map(\.number) == Array(gunicorns.indices))
  }

  @Test func everyFixtureIsInTheTable() throws {
    let files = names(ofFixturesIn: "naming")
    #expect(Set(files) == Set(NamingCase.all.map { $0.fixture + ".yml" }))
  }

  @Test func severalGalaxiesAllHaveTheirNamesInCommands() throws {
    let site = try Site()
    try site.write("gravity: {gunicorn: {bind: 'unix:ROOT/a'}}\ngalaxy: {}\n", to: "a/galaxy.yml")
    try site.write(
      "gravity: {instance_name: b, gunicorn: [{bind: 'unix:ROOT/0'}, {bind: 'unix:ROOT/1'}], handlers: {h: {}}}\n"
        + "galaxy: {}\n", to: "b/galaxy.yml")
    let (instances, problems) = site.read(["a/galaxy.yml", "b/galaxy.yml"])
    #expect(problems == [])
    #expect(
      instances.map { $0.gunicorns.map(\.unit) } == [["_default_:gunicorn"], ["b:gunicorn0", "b:gunicorn1"]])
  }
}
