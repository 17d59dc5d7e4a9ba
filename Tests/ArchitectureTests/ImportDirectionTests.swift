import Foundation
import Testing

/// The import direction of the house: who may import whom. A room that is missing here is an error, so that a
/// new one is placed on purpose.
private let allowedImports: [String: Set<String>] = [
  "SystemCalls": ["CLinux"],
  "EventLoop": ["CLibevent", "SystemCalls"],
  "HTTP1": [],
  "JSON": [],
  "YAML": ["CLibYAML"],
  "XML": ["CExpat"],
  "UpstreamPool": ["EventLoop", "HTTP1", "SystemCalls"],
  // HTTP1 for the answers of supervisor and gunicorn, JSON for the version that Galaxy tells.
  "GravityRestart": ["HTTP1", "JSON", "XML", "YAML", "SystemCalls"],
  "galaxy-lb": [
    "GravityRestart", "UpstreamPool", "HTTP1", "EventLoop", "JSON", "YAML", "SystemCalls", "CLinux",
  ],
]
/// Rooms that take only what the language gives: they do no I/O.
private let roomsWithoutIO: Set<String> = ["HTTP1", "JSON", "XML"]
/// What the toolchain and the C library give.
private let languageModules: Set<String> = ["Synchronization"]
private let systemModules: Set<String> = ["Synchronization", "Glibc"]

@Suite struct ImportDirectionTests {
  private let sources = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appending(path: "Sources")

  @Test func everyRoomIsPlaced() throws {
    let rooms = try FileManager.default.contentsOfDirectory(atPath: sources.path())
    #expect(Set(rooms.filter { !$0.hasPrefix("C") }) == Set(allowedImports.keys))
  }

  @Test func noArrowPointsUp() throws {
    var filesRead = 0
    for (room, allowed) in allowedImports {
      let folder = sources.appending(path: room)
      let given = roomsWithoutIO.contains(room) ? languageModules : systemModules
      for case let file as URL in try #require(
        FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
      where file.pathExtension == "swift" {
        filesRead += 1
        for module in importedModules(in: try String(contentsOf: file, encoding: .utf8)) {
          #expect(
            allowed.contains(module) || given.contains(module),
            "\(room)/\(file.lastPathComponent) imports \(module)")
        }
      }
    }
    #expect(filesRead > allowedImports.count)
  }

  private func importedModules(in text: String) -> [String] {
    text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ")
      guard let position = words.firstIndex(of: "import"),
        words[..<position].allSatisfy({
          $0.hasPrefix("@") || $0 == "public" || $0 == "private" || $0 == "internal"
        })
      else { return nil }
      return words.last.map { String($0.split(separator: ".")[0]) }
    }
  }
}
