import Foundation
import SystemCalls
import Testing
import YAML

@testable import GravityRestart

let fixtures = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

/// A folder of its own for one test, with Galaxy's layout in it, removed at the end. `ROOT` in a text stands for
/// the folder's path.
final class Site {
  let root: String
  var environment: GravityEnvironment

  init(galaxyCode: Bool = true) throws {
    let folder = URL(filePath: NSTemporaryDirectory()).resolvingSymlinksInPath()
      .appending(path: "gravity-\(UUID().uuidString.prefix(8))")
    root = folder.path()
    environment = GravityEnvironment(
      variables: [:], user: 1000, workingDirectory: root, home: root + "/home")
    environment.systemFolder = root + "/etc"
    try FileManager.default.createDirectory(atPath: root + "/config", withIntermediateDirectories: true)
    if galaxyCode { try makeFolder("lib/galaxy") }
  }

  deinit {
    try? FileManager.default.removeItem(atPath: root)
  }

  func makeFolder(_ path: String, mode: Int = 0o755) throws {
    let whole = "\(root)/\(path)"
    try FileManager.default.createDirectory(atPath: whole, withIntermediateDirectories: true)
    try setMode(path, mode)
  }

  func setMode(_ path: String, _ mode: Int) throws {
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: "\(root)/\(path)")
  }

  @discardableResult
  func write(_ text: String, to path: String = "config/galaxy.yml") throws -> String {
    let file = URL(filePath: "\(root)/\(path)")
    try FileManager.default.createDirectory(
      at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
    try text.replacing("ROOT", with: root).write(to: file, atomically: true, encoding: .utf8)
    return path
  }

  /// A file of `Fixtures`, with `/srv/galaxy` moved into the site.
  func copyFixture(_ name: String, to path: String = "config/galaxy.yml") throws {
    let text = try String(contentsOf: fixtures.appending(path: name), encoding: .utf8)
    try write(text.replacing("/srv/galaxy", with: "ROOT"), to: path)
  }

  /// Reads `files` as if they were named on the command line, or what is discovered, and returns the problems as
  /// they are printed, with `ROOT` for the folder.
  func read(_ files: [String]? = ["config/galaxy.yml"]) -> (instances: [GalaxyInstance], problems: [String]) {
    var diagnostics = Diagnostics()
    let reader = GravityReader(environment: environment)
    let named = files.map { $0.map { Sourced($0, from: Origin.option("--galaxy-config")) } }
    let instances = reader.instances(of: named ?? reader.discover(), into: &diagnostics)
    return (instances, diagnostics.sorted.map { $0.description.replacing(root, with: "ROOT") })
  }

  /// The only instance of a text without errors.
  func instance(
    _ text: String, warnings: Int = 0, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> GalaxyInstance {
    try write(text)
    let (instances, problems) = read()
    #expect(problems.count == warnings, "\(problems)", sourceLocation: sourceLocation)
    #expect(!problems.contains { $0.contains("error:") }, "\(problems)", sourceLocation: sourceLocation)
    return try #require(instances.count == 1 ? instances[0] : nil, sourceLocation: sourceLocation)
  }

  /// The problems of a text.
  func problems(_ text: String) throws -> [String] {
    try write(text)
    return read().problems
  }
}

func names(ofFixturesIn folder: String) -> [String] {
  names(inFolder: fixtures.appending(path: folder).path())
}
