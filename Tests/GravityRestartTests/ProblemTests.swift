import Testing
import YAML

@testable import GravityRestart

@Suite struct ProblemTests {
  @Test(arguments: [
    ("- a\n", ["1:1: error: found a list, expected a mapping with a 'gravity' or a 'galaxy' section"]),
    ("", ["1:1: error: found nothing, expected a mapping with a 'gravity' or a 'galaxy' section"]),
    (
      "gravity: 12\n", ["1:10: error: gravity: found the number 12, expected a mapping or a list of mappings"]
    ),
    ("gravity: {}\ngalaxy: []\n", ["2:9: error: galaxy: found a list, expected a mapping"]),
    (
      "gravity: {process_manager: Systemd}\ngalaxy: {}\n",
      [
        "1:28: error: process_manager: found the string 'Systemd', expected supervisor, systemd or multiprocessing "
          + "(did you mean 'systemd'?)"
      ]
    ),
    (
      "gravity: {process_manager: multiprocessing}\ngalaxy: {}\n",
      [
        "1:28: error: process_manager: found multiprocessing, which can't restart one gunicorn alone, expected "
          + "supervisor or systemd"
      ]
    ),
    (
      "gravity: {instance_name: 12}\ngalaxy: {}\n",
      ["1:26: error: instance_name: found the number 12, expected a string"]
    ),
    (
      "gravity: {use_service_instances: }\ngalaxy: {}\n",
      ["1:34: error: use_service_instances: found nothing, expected true or false"]
    ),
    (
      "gravity: {app_server: unicornherder}\ngalaxy: {}\n",
      ["1:23: error: app_server: found the string 'unicornherder', expected gunicorn"]
    ),
    (
      "gravity: {gunicorn: text}\ngalaxy: {}\n",
      ["1:21: error: gunicorn: found the string 'text', expected a mapping or a list of mappings"]
    ),
    (
      "gravity: {gunicorn: [{}, 12]}\ngalaxy: {}\n",
      ["1:26: error: gunicorn[1]: found the number 12, expected a mapping"]
    ),
    (
      "gravity:\n  gunicorn: []\ngalaxy: {}\n",
      [
        "2:13: error: gunicorn: found a list without an enabled item, which Gravity can't read; expected one at "
          + "least, or a mapping with 'enable: false'"
      ]
    ),
    (
      "gravity:\n  gunicorn: {enable: no}\ngalaxy: {}\n",
      ["2:13: warning: Galaxy '_default_' has no enabled gunicorn"]
    ),
    (
      "gravity: {gunicorn: {bind: 'fd://3'}}\ngalaxy: {}\n",
      [
        "1:28: error: bind: found 'fd://3': the address of an inherited descriptor is not known here, expected "
          + "HOST:PORT or unix:PATH"
      ]
    ),
    (
      "gravity: {gunicorn: {bind: 8080}}\ngalaxy: {}\n",
      ["1:28: error: bind: found the number 8080, expected a string"]
    ),
    (
      "gravity:\n  gunicorn:\n    worker: 4\n    nonsense: 1\n  wrokers: 1\ngalaxy: {}\n",
      ["3:5: warning: unknown key 'worker' in gunicorn is ignored by Gravity (did you mean 'workers'?)"]
    ),
    (
      "other: {}\ngravty: {}\n",
      [
        "2:1: error: neither a 'gravity' nor a 'galaxy' section, expected Gravity's or Galaxy's configuration (did "
          + "you mean 'gravity'?)"
      ]
    ),
    ("gravity: {}\ngalaxy: {data_dir: }\n", ["2:20: error: data_dir: found nothing, expected a path"]),
    (
      "gravity: {}\ngravity: {}\ngalaxy: {}\n",
      ["2:1: warning: key 'gravity' is there twice, first in line 1; the last one counts"]
    ),
    (
      "gravity: {galaxy_config_file: other.yml}\ngalaxy: {}\n",
      ["1:31: warning: galaxy_config_file is ignored, because this file has a 'galaxy' section of its own"]
    ),
    (
      "gravity: [{galaxy_config_file: galaxy.yml}]\ngalaxy: {}\n",
      [
        "2:9: error: found a 'galaxy' section beside a list of Gravity sections, expected a galaxy_config_file in "
          + "each of them"
      ]
    ),
    (
      "gravity: [{galaxy_conf_file: x}]\n",
      [
        "1:12: error: no galaxy_config_file, expected one in each of a list of Gravity sections (did you mean "
          + "'galaxy_config_file'?)"
      ]
    ),
    (
      "gravity: {galaxy_config_file: other.yml}\n",
      ["1:31: error: 'ROOT/config/other.yml' can't be read (No such file or directory)"]
    ),
    (
      "gravity: {galaxy_config_file: galaxy.yml}\n",
      ["1:31: error: no 'galaxy' section in 'ROOT/config/galaxy.yml', expected Galaxy's options there"]
    ),
  ])
  func reported(_ text: String, _ expected: [String]) throws {
    let site = try Site()
    #expect(try site.problems(text) == expected.map { "ROOT/config/galaxy.yml:" + $0 })
  }

  @Test(arguments: [
    ("galaxy: {}\n", "warning: no 'gravity' section, Gravity's defaults are used"),
    ("gravity: {}\n", "warning: no 'galaxy' section, Galaxy's defaults are used"),
    (
      "other: {}\n",
      "error: neither a 'gravity' nor a 'galaxy' section, expected Gravity's or Galaxy's configuration"
    ),
  ])
  func missingSections(_ text: String, _ expected: String) throws {
    let site = try Site()
    #expect(try site.problems(text) == ["ROOT/config/galaxy.yml: " + expected])
  }

  @Test func aMissingFileIsReportedWhereItIsNamed() throws {
    let site = try Site()
    #expect(
      site.read(["none.yml"]).problems == [
        "option --galaxy-config: error: 'ROOT/none.yml' can't be read (No such file or directory)"
      ])
  }

  @Test func allAreReportedAtOnce() throws {
    let site = try Site()
    let text = """
      gravity:
        process_manager: upstart
        use_service_instances: perhaps
        gunicorn:
          - {bind: 'fd://3', workers: none}
          - {bind: 7, restart_timeout: []}
        handlers: {h: {}}
      galaxy:
        galaxy_url_prefix: galaxy

      """
    let problems = try site.problems(text)
    #expect(
      problems.map { $0.split(separator: ":")[1...2].joined(separator: ":") }
        == ["2:20", "3:26", "5:14", "5:33", "6:14", "6:34", "9:22"])
    #expect(problems.allSatisfy { $0.contains(" error: ") })
  }

  @Test func aNameMayBeUsedOnce() throws {
    let site = try Site()
    for name in ["a", "b"] {
      try site.write("gravity: {gunicorn: {bind: 'unix:ROOT/\(name)'}}\ngalaxy: {}\n", to: "\(name).yml")
    }
    #expect(
      site.read(["a.yml", "b.yml"]).problems.filter { $0.contains("error") } == [
        "ROOT/b.yml:1:10: error: instance_name '_default_' is there twice, first at ROOT/a.yml:1:10; expected a "
          + "name of its own for each Galaxy"
      ])
  }

  @Test func anAddressMayBeUsedOnce() throws {
    let site = try Site()
    let text = """
      gravity:
        handlers: {h: {}}
        gunicorn:
          - bind: localhost:8080
          - workers: 2
          - bind: 127.0.0.1:8080
          - bind: unix:var/./g
          - bind: unix:ROOT/var/g
          - enable: false
      galaxy: {}

      """
    #expect(
      try site.problems(text) == [
        "ROOT/config/galaxy.yml:5:7: error: bind 'localhost:8080' is the address of another gunicorn, at "
          + "ROOT/config/galaxy.yml:4:13; expected an address of its own for each",
        "ROOT/config/galaxy.yml:6:13: error: bind '127.0.0.1:8080' is the address of another gunicorn, at "
          + "ROOT/config/galaxy.yml:4:13; expected an address of its own for each",
        "ROOT/config/galaxy.yml:8:13: error: bind 'unix:ROOT/var/g' is the address of another gunicorn, at "
          + "ROOT/config/galaxy.yml:7:13; expected an address of its own for each",
      ])
  }
}

@Suite struct WarningTests {
  private let two = "gravity: {gunicorn: [{bind: 'localhost:1'}, {bind: 'localhost:2'}]}\n"

  private func hasWarning(_ galaxy: String = "galaxy: {}\n", jobs: [String: String] = [:]) throws -> Bool {
    let site = try Site()
    for (file, text) in jobs { try site.write(text, to: "config/" + file) }
    let problems = try site.problems(two + galaxy)
    #expect(problems.count <= 1)
    return problems.contains { $0.contains("no separate job handlers") }
  }

  @Test func jobHandlersAreFoundWhereGravityLooksForThem() throws {
    let processes = "handling:\n  processes:\n    handler0:\n"
    let xml = "<job_conf><handlers><handler id='h0'/></handlers></job_conf>"
    let commented = "<job_conf><!-- <handler id='h0'/> --><handlers/></job_conf>"
    #expect(try hasWarning())
    #expect(try hasWarning(jobs: ["job_conf.yml": "handling:\n  assign: [db-skip-locked]\n"]))
    #expect(try hasWarning(jobs: ["job_conf.xml": commented]))
    #expect(try hasWarning("galaxy: {job_config_file: none.yml}\n"))
    #expect(try !hasWarning(jobs: ["job_conf.yml": processes]))
    #expect(try !hasWarning(jobs: ["job_conf.xml": xml]))
    #expect(try !hasWarning("galaxy: {job_config_file: sub/j.yml}\n", jobs: ["sub/j.yml": processes]))
    #expect(try !hasWarning("galaxy:\n  job_config: {handling: {processes: {h: {}}}}\n"))
  }

  @Test func oneGunicornNeedsNoHandlers() throws {
    let site = try Site()
    #expect(try site.problems("gravity: {gunicorn: [{}, {enable: false}]}\ngalaxy: {}\n") == [])
  }

  @Test(arguments: [(0o755, 0), (0o770, 0), (0o777, 1), (0o1777, 1), (0o703, 1)])
  func foldersOfSocketsBelongToSomebody(_ mode: Int, _ warnings: Int) throws {
    let site = try Site()
    try site.makeFolder("var", mode: mode)
    let problems = try site.problems("gravity: {gunicorn: {bind: 'unix:var/g'}}\ngalaxy: {}\n")
    #expect(problems.count == warnings)
    #expect(
      problems.allSatisfy {
        $0
          == "ROOT/config/galaxy.yml:1:28: warning: bind 'unix:var/g': every user can write to ROOT/var, and put a "
          + "socket of their own there; expected a folder for Galaxy and the proxy alone"
      })
  }
}
