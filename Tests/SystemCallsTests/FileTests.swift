import Foundation
import Testing

@testable import SystemCalls

@Suite struct FileTests {
  private let folder = NSTemporaryDirectory() + "files-\(UUID().uuidString.prefix(8))"

  @Test func aFileIsPutInPlaceAsAWhole() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try makeFolders(folder + "/a/b", mode: 0o755)
    try makeFolders(folder + "/a/b", mode: 0o755)
    let path = folder + "/a/b/file"
    try writeFile(path, Array("one".utf8), mode: 0o600)
    try writeFile(path, Array("two".utf8), mode: 0o600)
    #expect(readFile(path, atMost: 10) == Array("two".utf8))
    #expect(names(inFolder: folder + "/a/b") == ["file"])
    let attributes = try FileManager.default.attributesOfItem(atPath: path)
    #expect(attributes[.posixPermissions] as? Int == 0o600)
  }

  @Test func whatCannotBeWrittenLeavesNothing() throws {
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try makeFolders(folder + "/taken", mode: 0o755)
    #expect(throws: SystemError.self) { try writeFile(folder + "/taken", [1], mode: 0o600) }
    #expect(names(inFolder: folder) == ["taken"])
    try writeFile(folder + "/file", [], mode: 0o600)
    #expect(throws: SystemError.self) { try makeFolders(folder + "/file/below", mode: 0o755) }
  }
}
