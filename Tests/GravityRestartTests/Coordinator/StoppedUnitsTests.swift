import SystemCalls
import Testing

@testable import GravityRestart

@Suite struct StoppedUnitsTests {
  private let target = RestartTarget(
    unit: "gunicorn:gunicorn_0", pool: "main", upstream: "gunicorn0", endpoint: .unix(path: "/nowhere"))

  @Test func whatWasStoppedIsFoundByTheNextProxy() throws {
    let site = try Site(galaxyCode: false)
    let notes = StoppedUnits(folder: site.root + "/state/deep")
    #expect(notes.left().isEmpty)
    #expect(notes.add(target) == nil)
    #expect(notes.add(target) == nil)
    let entry = StoppedUnits.Entry(pool: "main", upstream: "gunicorn0", unit: "gunicorn:gunicorn_0")
    #expect(StoppedUnits(folder: site.root + "/state/deep").left() == [entry])
    notes.remove(target)
    #expect(notes.left().isEmpty)
  }

  @Test func aFolderThatCannotBeMadeIsSaid() throws {
    let site = try Site(galaxyCode: false)
    try writeFile(site.root + "/file", [], mode: 0o600)
    let complaint = StoppedUnits(folder: site.root + "/file/state").add(target)
    #expect(complaint?.contains("gunicorn0") == true)
    #expect(complaint?.contains("Not a directory") == true)
  }

  @Test func withoutAFolderNothingIsKept() {
    let notes = StoppedUnits(folder: nil)
    #expect(notes.add(target) == nil)
    #expect(notes.left().isEmpty)
  }

  @Test func aNoteThatIsNoneIsPassedOver() throws {
    let site = try Site(galaxyCode: false)
    try writeFile(site.root + "/a,b.stopped", Array("half a note\n".utf8), mode: 0o600)
    #expect(StoppedUnits(folder: site.root).left().isEmpty)
  }

  @Test func aServiceThatIsNeverLeftStoppedIsOnlyForgotten() throws {
    let site = try Site(galaxyCode: false)
    let notes = StoppedUnits(folder: site.root)
    _ = notes.add(target)
    let command = RestartCommand(.program("/bin/false", arguments: []))
    let service = UpstreamService(manager: .command(restart: command, start: nil), unit: target.unit)
    #expect(try !notes.start(target, service, within: WaitLimit(until: .after(.seconds(5)))))
    #expect(notes.left().isEmpty)
  }
}
