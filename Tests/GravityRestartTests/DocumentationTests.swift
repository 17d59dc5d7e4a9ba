import SystemCalls
import Testing
import YAML

@testable import GravityRestart

/// The examples of Gravity's and Galaxy's own documentation.
@Suite struct DocumentationTests {
  @Test func zeroDowntimeRestarts() throws {
    let site = try Site()
    try site.copyFixture("documentation/zero-downtime.yml")
    let (instances, problems) = site.read()
    #expect(
      problems == [
        "ROOT/config/galaxy.yml: warning: no 'galaxy' section, Galaxy's defaults are used",
        "ROOT/config/galaxy.yml:4:5: warning: Galaxy '_default_' has 2 gunicorns and no separate job handlers, so "
          + "jobs are handled more than once; expected 'handlers' in the gravity section, or processes in Galaxy's "
          + "job configuration",
      ])
    let gunicorns = try #require(instances.first).gunicorns
    #expect(gunicorns.map(\.unit) == ["gunicorn:gunicorn_0", "gunicorn:gunicorn_1"])
    #expect(gunicorns.map(\.workers.value) == [4, 4])
    #expect(
      gunicorns.map(\.endpoint) == [
        .unix(path: site.root + "/var/gunicorn0.sock"), .unix(path: site.root + "/var/gunicorn1.sock"),
      ])
    #expect(gunicorns.map(\.restartTimeout) == [Sourced(300, from: .builtIn), Sourced(300, from: .builtIn)])
  }

  @Test func severalGalaxiesInOneFile() throws {
    let site = try Site()
    try site.copyFixture("documentation/multiple-galaxies.yml", to: "etc/gravity.yml")
    try site.write("galaxy:\n  galaxy_url_prefix: /test/\n", to: "test/config/galaxy.yml")
    try site.write("galaxy:\n  data_dir: ROOT/main/data\n", to: "main/config/galaxy.yml")
    site.environment.user = 0
    let (instances, problems) = site.read(nil)
    #expect(problems == [])
    #expect(instances.map(\.name.value) == ["test", "main"])
    #expect(instances.map(\.healthPath) == ["/test/api/version", "/api/version"])
    #expect(instances.map(\.galaxyFile) == ["test", "main"].map { "\(site.root)/\($0)/config/galaxy.yml" })
    #expect(instances.map(\.galaxyRoot?.value) == ["test", "main"].map { "\(site.root)/\($0)/server" })
    #expect(
      instances.map(\.stateDirectory.value) == [
        site.root + "/test/server/database/gravity", site.root + "/main/data/gravity",
      ])
    #expect(
      instances.map(\.processManager.value)
        == [ProcessManager](
          repeating: .systemd(userMode: false, unitFolder: "/etc/systemd/system"), count: 2))
    #expect(
      instances.flatMap(\.gunicorns).map(\.unit) == [
        "galaxy-test-gunicorn.service", "galaxy-main-gunicorn.service",
      ])
    #expect(instances.flatMap(\.gunicorns).map(\.workers.value) == [1, 8])
  }

  @Test(arguments: [
    ("scaling", "127.0.0.1:8080"), ("scaling-socket", "unix:ROOT/var/gunicorn.sock"),
    ("scaling-port", "127.0.0.1:4001"), ("scaling-debug", "unix:ROOT/var/gunicorn.sock"),
    ("scaling-every-address", "127.0.0.1:443"), ("scaling-handlers", "localhost:8080"),
  ])
  func galaxyScaling(_ name: String, _ endpoint: String) throws {
    let site = try Site()
    try site.copyFixture("documentation/\(name).yml")
    let (instances, problems) = site.read()
    #expect(problems == ["ROOT/config/galaxy.yml: warning: no 'galaxy' section, Galaxy's defaults are used"])
    let gunicorns = try #require(instances.first).gunicorns
    #expect(gunicorns.map { $0.endpoint.description.replacing(site.root, with: "ROOT") } == [endpoint])
    #expect(gunicorns.map(\.unit) == ["gunicorn"])
  }

  @Test func aPathWithoutSchemeIsNoLongerAnAddress() throws {
    let site = try Site()
    try site.copyFixture("documentation/scaling-22.01-socket.yml")
    #expect(
      site.read().problems == [
        "ROOT/config/galaxy.yml: warning: no 'galaxy' section, Galaxy's defaults are used",
        "ROOT/config/galaxy.yml:6:11: error: bind: found 'ROOT/var/gunicorn.sock': gunicorn takes this for a host "
          + "name, expected unix:ROOT/var/gunicorn.sock",
      ])
  }

  @Test func everyExampleIsTried() {
    let tried = [
      "multiple-galaxies", "scaling", "scaling-22.01-socket", "scaling-debug", "scaling-every-address",
      "scaling-handlers", "scaling-port", "scaling-socket", "zero-downtime",
    ]
    #expect(Set(names(ofFixturesIn: "documentation")) == Set(tried.map { $0 + ".yml" }))
  }
}
