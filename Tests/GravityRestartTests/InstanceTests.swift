import Foundation
import SystemCalls
import Testing
import YAML

@testable import GravityRestart

@Suite struct PlaceTests {
  private let text = "gravity: {}\ngalaxy: {}\n"

  @Test func stateIsInTheDataFolderBelowTheRoot() throws {
    let site = try Site()
    let instance = try site.instance(text)
    #expect(instance.galaxyRoot == Sourced(site.root, from: .file(site.root + "/config/galaxy.yml")))
    #expect(instance.stateDirectory == Sourced(site.root + "/database/gravity", from: .builtIn))
    let folder = site.root + "/database/gravity/supervisor"
    #expect(
      instance.processManager
        == Sourced(.supervisor(folder: folder, socket: folder + "/supervisor.sock"), from: .builtIn))
  }

  @Test(arguments: [
    ("gravity: {}\ngalaxy: {data_dir: var/x}\n", "ROOT/var/x/gravity"),
    ("gravity: {}\ngalaxy: {data_dir: /data}\n", "/data/gravity"),
    ("gravity: {galaxy_root: ''}\ngalaxy: {root: /g}\n", "/g/database/gravity"),
    ("gravity: {galaxy_root: /h}\ngalaxy: {root: /g}\n", "/h/database/gravity"),
  ])
  func stateFolders(_ text: String, _ expected: String) throws {
    let site = try Site()
    #expect(
      try site.instance(text).stateDirectory.value.replacing(site.root, with: "ROOT") == expected)
  }

  @Test(arguments: [
    ("gravity: {galaxy_root: sub}\ngalaxy: {data_dir: var/x}\n", "ROOT/sub/var/x/gravity"),
    ("gravity: {galaxy_root: ~/x}\ngalaxy: {}\n", "ROOT/~/x/database/gravity"),
    ("gravity: {}\ngalaxy: {root: sub}\n", "ROOT/sub/database/gravity"),
  ])
  func aRelativeRootDependsOnWhereGalaxyctlRuns(_ text: String, _ expected: String) throws {
    let site = try Site()
    let instance = try site.instance(text, warnings: 1)
    #expect(instance.stateDirectory.value.replacing(site.root, with: "ROOT") == expected)
    #expect(
      site.read().problems[0].contains("is relative: Gravity takes it from the folder that galaxyctl runs in")
    )
  }

  @Test func theEnvironmentMovesThings() throws {
    let site = try Site(galaxyCode: false)
    site.environment.variables = [
      "GRAVITY_STATE_DIR": "st", "GALAXY_ROOT_DIR": "code", "SUPERVISORD_SOCKET": "/run/s.sock",
      "GRAVITY_INSTANCE_NAME": "from-env",
    ]
    let instance = try site.instance(text)
    #expect(instance.galaxyRoot == Sourced(site.root + "/code", from: .environment("GALAXY_ROOT_DIR")))
    #expect(instance.stateDirectory == Sourced(site.root + "/st", from: .environment("GRAVITY_STATE_DIR")))
    #expect(
      instance.processManager.value
        == .supervisor(folder: site.root + "/st/supervisor", socket: "/run/s.sock"))
    #expect(instance.name == Sourced("from-env", from: .environment("GRAVITY_INSTANCE_NAME")))
    #expect(instance.gunicorns.map(\.unit) == ["from-env:gunicorn"])
  }

  @Test func whatTheFileSaysGoesBeforeTheEnvironment() throws {
    let site = try Site()
    site.environment.variables = [
      "GRAVITY_INSTANCE_NAME": "env", "GRAVITY_PROCESS_MANAGER": "systemd", "GRAVITY_GALAXY_ROOT": "/env",
    ]
    let instance = try site.instance("gravity: {instance_name: file, process_manager: }\ngalaxy: {}\n")
    #expect(instance.name.value == "file")
    #expect(instance.processManager.value.keyword == "supervisor")
    #expect(instance.galaxyRoot?.value == "/env")
  }

  @Test func severalGalaxiesShareASupervisor() throws {
    let site = try Site()
    for name in ["a", "b"] {
      try site.write(
        "gravity: {instance_name: \(name), gunicorn: {bind: 'unix:ROOT/\(name)'}}\ngalaxy: {}\n",
        to: "config/\(name).yml")
    }
    func folders() -> Set<String> {
      Set(
        site.read(["config/a.yml", "config/b.yml"]).instances.map {
          if case .supervisor(let folder, _) = $0.processManager.value { folder } else { "none" }
        })
    }
    #expect(folders() == [site.root + "/home/.config/galaxy-gravity/supervisor"])
    site.environment.variables["XDG_CONFIG_HOME"] = "/xdg"
    #expect(folders() == ["/xdg/galaxy-gravity/supervisor"])
    site.environment.variables["GRAVITY_STATE_DIR"] = "/st"
    #expect(folders() == ["/st/supervisor"])
  }

  @Test func anInstalledGalaxyHasNoRoot() throws {
    let site = try Site()
    try site.makeFolder("venv/lib/python3.11/site-packages/galaxy/version")
    site.environment.variables["VIRTUAL_ENV"] = site.root + "/venv"
    let instance = try site.instance(text)
    #expect(instance.galaxyRoot == nil)
    #expect(instance.stateDirectory.value == site.root + "/data/gravity")
  }

  @Test func aRootThatCanNotBeFoundIsSaid() throws {
    let site = try Site(galaxyCode: false)
    #expect(
      try site.problems(text) == [
        "ROOT/config/galaxy.yml:1:10: warning: Galaxy '_default_': its root folder can't be found, relative paths "
          + "are taken from ROOT; expected galaxy_root"
      ])
    #expect(try site.problems("gravity: {}\ngalaxy: {data_dir: ROOT/data}\n") == [])
    #expect(
      try site.problems("gravity: {gunicorn: {bind: 'unix:g'}}\ngalaxy: {data_dir: ROOT/data}\n").count == 1)
  }

  @Test func linksAreResolvedInNamedFilesOnly() throws {
    let site = try Site()
    try site.write("gravity: {}\ngalaxy: {}\n", to: "elsewhere/config/real.yml")
    try site.makeFolder("elsewhere/lib/galaxy")
    try FileManager.default.createSymbolicLink(
      atPath: site.root + "/config/galaxy.yml", withDestinationPath: "../elsewhere/config/real.yml")
    #expect(site.read().instances.first?.galaxyRoot?.value == site.root + "/elsewhere")
    #expect(site.read(nil).instances.first?.galaxyRoot?.value == site.root)
  }

  @Test func systemd() throws {
    let site = try Site()
    func places(_ change: (inout GravityEnvironment) -> Void) throws -> ProcessManager {
      let before = site.environment
      defer { site.environment = before }
      change(&site.environment)
      return try site.instance("gravity: {process_manager: systemd, galaxy_user: g}\ngalaxy: {}\n")
        .processManager.value
    }
    let user = ProcessManager.systemd(userMode: true, unitFolder: site.root + "/home/.config/systemd/user")
    let system = ProcessManager.systemd(userMode: false, unitFolder: "/etc/systemd/system")
    #expect(try places { _ in } == user)
    #expect(try places { $0.user = 0 } == system)
    #expect(try places { $0.variables["GRAVITY_USER"] = "no" } == system)
    #expect(
      try places {
        $0.user = 0
        $0.variables["GRAVITY_SKIP_SYSTEMD"] = "True"
      } == user)
    #expect(
      try places { $0.variables["GRAVITY_SYSTEMD_UNIT_PATH"] = "units" }
        == .systemd(userMode: true, unitFolder: site.root + "/units"))
  }

  @Test func rootHasSystemdAndWantsAUser() throws {
    let site = try Site()
    site.environment.user = 0
    let instance = try site.instance(text, warnings: 1)
    #expect(instance.processManager.value == .systemd(userMode: false, unitFolder: "/etc/systemd/system"))
    #expect(site.read().problems[0].contains("ROOT/config/galaxy.yml:1:10: warning: systemd's units"))
    site.environment.variables["GRAVITY_GALAXY_USER"] = "galaxy"
    #expect(try site.instance(text).processManager.value.keyword == "systemd")
  }
}

@Suite struct PrefixTests {
  @Test(arguments: [
    ("/galaxy", "/galaxy/api/version"), ("/galaxy/", "/galaxy/api/version"), ("/", "/api/version"),
    ("''", "/api/version"), ("", "/api/version"), ("/a/b", "/a/b/api/version"),
  ])
  func healthPath(_ prefix: String, _ expected: String) throws {
    let site = try Site()
    #expect(
      try site.instance("gravity: {}\ngalaxy:\n  galaxy_url_prefix: \(prefix)\n").healthPath == expected)
  }

  @Test(arguments: ["galaxy", "'/a b'", "/a?b", "12"])
  func noPath(_ prefix: String) throws {
    let site = try Site()
    let problems = try site.problems("gravity: {}\ngalaxy:\n  galaxy_url_prefix: \(prefix)\n")
    #expect(problems.count == 1)
    #expect(problems[0].hasPrefix("ROOT/config/galaxy.yml:3:22: error: galaxy_url_prefix: found "))
    #expect(problems[0].hasSuffix("expected a path such as /galaxy"))
  }
}

@Suite struct DiscoveryTests {
  private func discovered(_ site: Site) -> [String] {
    GravityReader(environment: site.environment).discover().map {
      "\($0.origin): \($0.value)".replacing(site.root, with: "ROOT")
    }
  }

  @Test func variablesNameFiles() throws {
    let site = try Site()
    site.environment.variables = ["GALAXY_CONFIG_FILE": "g.yml"]
    #expect(discovered(site) == ["environment variable GALAXY_CONFIG_FILE: g.yml"])
    site.environment.variables["GRAVITY_CONFIG_FILE"] = "a.yml::b.yml"
    #expect(
      discovered(site) == [
        "environment variable GRAVITY_CONFIG_FILE: a.yml", "environment variable GRAVITY_CONFIG_FILE: b.yml",
      ])
  }

  @Test func usersHaveTheFirstInTheWorkingDirectory() throws {
    let site = try Site()
    #expect(discovered(site) == [])
    try site.write("", to: "galaxy.yml")
    try site.write("", to: "config/galaxy.yml.sample")
    #expect(discovered(site) == ["default: galaxy.yml"])
    try site.write("", to: "config/galaxy.yml")
    #expect(discovered(site) == ["default: config/galaxy.yml"])
  }

  @Test func rootHasAllInTheSystemFolder() throws {
    let site = try Site()
    site.environment.user = 0
    for file in ["galaxy.yml", "gravity.d/b.yml", "gravity.d/a.yaml", "gravity.d/a.yml", "gravity.d/c.txt"] {
      try site.write("", to: "etc/" + file)
    }
    #expect(
      discovered(site)
        == ["galaxy.yml", "gravity.d/a.yml", "gravity.d/b.yml", "gravity.d/a.yaml"].map {
          "default: ROOT/etc/\($0)"
        })
    site.environment.variables["GRAVITY_SKIP_SYSTEMD"] = "1"
    #expect(discovered(site) == [])
  }
}
