import Foundation
import SystemCalls
import Testing

@Suite struct FolderWatchTests {
  private let folder = NSTemporaryDirectory() + "watch-\(UUID().uuidString.prefix(8))"

  private struct Seen: Equatable {
    let watch: Int32
    let change: FolderWatch.Change
    let name: String
  }

  /// All that has happened so far.
  private func readAll(_ watch: borrowing FolderWatch) -> [Seen] {
    var seen: [Seen] = []
    while watch.read({ number, change, name in
      seen.append(Seen(watch: number, change: change, name: String(decoding: name, as: UTF8.self)))
    }) {}
    return seen
  }

  private func withFolder(_ body: () throws -> Void) throws {
    try makeFolders(folder, mode: 0o755)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try body()
  }

  private func make(_ name: String) throws { try Data().write(to: URL(filePath: "\(folder)/\(name)")) }

  @Test func namesThatComeAndGo() throws {
    try withFolder {
      let watch = try FolderWatch()
      let number = try watch.add(folder)
      #expect(readAll(watch).isEmpty)
      let longest = String(repeating: "n", count: Int(NAME_MAX))
      try make("a")
      try make(longest)
      rename("\(folder)/a", "\(folder)/b")
      try make("c")
      rename("\(folder)/b", "\(folder)/c")
      mkdir("\(folder)/below", 0o755)
      unlink("\(folder)/c")
      let expected: [(FolderWatch.Change, String)] = [
        (.appeared, "a"), (.appeared, longest), (.disappeared, "a"), (.appeared, "b"), (.appeared, "c"),
        (.disappeared, "b"), (.appeared, "c"), (.disappeared, "c"),
      ]
      #expect(readAll(watch) == expected.map { Seen(watch: number, change: $0.0, name: $0.1) })
    }
  }

  @Test func theSameFolderKeepsItsNumber() throws {
    try withFolder {
      let watch = try FolderWatch()
      let number = try watch.add(folder)
      #expect(symlink(folder, "\(folder)/link") == 0)
      #expect(try watch.add("\(folder)/link") == number)
    }
  }

  @Test func whatIsNotWatchedAnyMoreIsNotTold() throws {
    try withFolder {
      let watch = try FolderWatch()
      let number = try watch.add(folder)
      watch.remove(number)
      watch.remove(number)
      try make("a")
      #expect(readAll(watch).isEmpty)
    }
  }

  @Test(arguments: [false, true])
  func aFolderThatGoes(isMoved: Bool) throws {
    try withFolder {
      let below = "\(folder)/below"
      try makeFolders(below, mode: 0o755)
      let watch = try FolderWatch()
      let number = try watch.add(below)
      if isMoved { rename(below, "\(folder)/other") } else { rmdir(below) }
      #expect(readAll(watch) == [Seen(watch: number, change: .folderGone, name: "")])
    }
  }

  @Test func whatCannotBeWatched() throws {
    try withFolder {
      try make("file")
      let watch = try FolderWatch()
      for (name, code) in [("file", ENOTDIR), ("missing", ENOENT)] {
        #expect(throws: SystemError(call: "inotify_add_watch", code: code)) {
          _ = try watch.add("\(self.folder)/\(name)")
        }
      }
    }
  }

  /// Many events need several reads, and none is lost between them.
  @Test func manyChanges() throws {
    try withFolder {
      let watch = try FolderWatch()
      _ = try watch.add(folder)
      let names = (0..<2_000).map { "file-\($0)" }
      for name in names { try make(name) }
      var reads = 0
      var seen: [String] = []
      while watch.read({ _, _, name in seen.append(String(decoding: name, as: UTF8.self)) }) { reads += 1 }
      #expect(seen == names && reads > 1)
    }
  }
}
