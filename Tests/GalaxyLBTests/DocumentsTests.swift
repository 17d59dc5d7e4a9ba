import Foundation
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

/// The example file and the reference say what the program does.
@Suite struct DocumentsTests {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path()
  private static let exampleFile = root + "conf/galaxy-lb.yml"

  /// The example with its settings in force: a `#` goes, unless exactly one space and a word follow it.
  private static func uncommented(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.firstMatch(of: /^#( [^ ]|$)/) == nil && line.hasPrefix("#")
        ? String(line.dropFirst()) : String(line)
    }.joined(separator: "\n")
  }

  private func expectDefaults(_ settings: Settings) {
    let defaults = Settings()
    #expect(
      settings.threads == defaults.threads && settings.control == defaults.control && settings.runAs == nil)
    #expect(settings.controlGroup == nil && settings.metrics == nil && settings.stateDirectory == nil)
    #expect(settings.restartHooks == defaults.restartHooks)
    #expect(settings.timeouts == defaults.timeouts)
    #expect(settings.limits == defaults.limits)
    #expect(settings.trustedProxies == defaults.trustedProxies)
    #expect(settings.identityHeaders == defaults.identityHeaders)
    #expect(settings.accessLog == defaults.accessLog)
    #expect(settings.logLevel == defaults.logLevel && settings.deferAccept == defaults.deferAccept)
  }

  @Test func theExampleChangesNothing() {
    let file = SettingsFile(path: Self.exampleFile, namedBy: .option("--config"))
    #expect(file.diagnostics.sorted == [])
    #expect(file.isReadable && file.configuration.origins.isEmpty && file.configuration.pools.isEmpty)
    expectDefaults(file.configuration.settings)
  }

  @Test func theExampleUncommentedIsTheDefaults() throws {
    let text = Self.uncommented(try String(contentsOfPath: Self.exampleFile))
    let file = SettingsFile(text, path: "galaxy-lb.yml")
    #expect(file.diagnostics.sorted == [])
    expectDefaults(file.configuration.settings)
    #expect(file.configuration.settings.listen == [Settings.defaultListen])
    #expect(file.configuration.pools.map(\.settings.upstreams.count) == [2])
    let said = Set(file.configuration.poolOptions.map(\.key))
    // These have no one default.
    #expect(
      Set(PoolKey.all.map(\.name)).subtracting(said) == [
        "health.probe", "health.path", "hold.time", "restart.timeout",
      ])
    var draft = PoolDraft(PoolSettings(name: "main", upstreams: []))
    for option in file.configuration.poolOptions { option.apply(&draft) }
    #expect(draft.settings == PoolSettings(name: "main", upstreams: []))
    #expect(draft.balance == .leastConnections && draft.hashOn == .clientAddress)
    #expect(draft.maximumConnections == nil && draft.restart == RestartDraft())
    #expect(file.configuration.origins["restart.hooks.timeout"] != nil)
    #expect(file.configuration.routes.map(\.value) == [Route(pool: "main")])
    // Each default is really written there, not only left out.
    for key in TimeoutKey.all.map({ "timeouts.\($0.name)" }) + LimitKey.all.map({ "limits.\($0.name)" }) {
      #expect(file.configuration.origins[key] != nil, "\(key) is missing")
    }
  }

  @Test func theExampleHasEveryKey() throws {
    let text = Self.uncommented(try String(contentsOfPath: Self.exampleFile))
    var diagnostics = Diagnostics()
    let root = try #require(Parser().parse(Array(text.utf8), file: "f", into: &diagnostics))
    let keys = try #require(root.mapping("f", into: &diagnostics)).entries.map(\.key.text)
    #expect(keys.sorted() == SettingsFile.keys.sorted())
  }

  @Test func theReferenceHasEveryKeyAndOption() throws {
    let text = try String(contentsOfPath: Self.root + "docs/configuration.md")
    let headings = text.split(separator: "\n").filter { $0.hasPrefix("### ") }
      .flatMap { $0.dropFirst(4).split(separator: ", ") }.map(String.init)
    #expect(headings.sorted() == SettingsFile.keys.sorted())
    for key in TimeoutKey.all {
      let value = Notation.duration.text(Timeouts()[keyPath: key.field])
      // One minute is written as 60s there.
      let seconds = "\(Timeouts()[keyPath: key.field] / 1000)s"
      #expect(
        text.contains("| `\(key.name)` | `\(value)` |") || text.contains("| `\(key.name)` | `\(seconds)` |"),
        "\(key.name) is missing, or has another default")
    }
    for key in LimitKey.all { #expect(text.contains("| `\(key.name)` | "), "\(key.name) is missing") }
    for key in PoolKey.all {
      let name = key.nameInSection.map { "| `\($0)` | " } ?? "### \(key.name)\n"
      #expect(text.contains(name), "\(key.name) is missing")
    }
    for key in HookKey.all { #expect(text.contains("| `hooks.\(key.name)` | "), "\(key.name) is missing") }
    for (word, keys) in ServiceSetting.managers {
      for key in [word] + keys { #expect(text.contains("`\(key): "), "\(key) of a service is missing") }
    }
    for option in Option.allCases { #expect(text.contains("`\(option.usage)` |"), "\(option) is missing") }
  }
}
