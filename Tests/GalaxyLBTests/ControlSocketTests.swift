import Glibc
import SystemCalls
import Testing

@testable import galaxy_lb

@Suite struct ControlSocketTests {
  private func mode(_ path: String) -> UInt32 {
    var status = stat()
    return lstat(path, &status) == 0 ? status.st_mode & 0o777 : 0
  }

  private func make(_ path: String, makesFolder: Bool = false) throws -> ControlSocket {
    try ControlSocket(path, makesFolder: makesFolder, owner: nil, group: nil)
  }

  @Test func isForItsOwnerAndGroup() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/c.sock"
    let socket = try make(path)
    defer { close(socket.descriptor) }
    #expect(FileStatus(of: path)?.isSocket == true && mode(path) == 0o660)
    socket.remove()
    #expect(FileStatus(of: path) == nil)
  }

  @Test func makesTheFolderOfADefaultPath() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/galaxy-lb/c.sock"
    #expect(throws: ControlSocket.Failure.self) { try make(path) }
    let before = umask(0o077)
    defer { umask(before) }
    let socket = try make(path, makesFolder: true)
    defer { close(socket.descriptor) }
    #expect(mode("\(folder.path)/galaxy-lb") == 0o755)
    #expect(throws: ControlSocket.Failure.self) { try make("\(folder.path)/a/b/c.sock", makesFolder: true) }
  }

  @Test func replacesAStaleOneAndNoOther() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/c.sock"
    let stale = try make(path)
    close(stale.descriptor)
    let live = try make(path)
    let failure = #expect(throws: ControlSocket.Failure.self) { try make(path) }
    #expect(failure?.description == "the control socket \(path) is in use, most likely by another galaxy-lb")
    #expect(FileStatus(of: path)?.isSocket == true)
    live.remove()
    close(live.descriptor)
    _ = try folder.write("c.sock", "precious")
    #expect(throws: ControlSocket.Failure.self) { try make(path) }
    #expect(try String(contentsOfPath: path) == "precious")
  }

  @Test func commandsTellWhyTheyCannotConnect() throws {
    let folder = try TemporaryFolder()
    let path = "\(folder.path)/c.sock"
    func failure() -> ControlClient.Failure? {
      do {
        _ = try ControlClient(path)
        return nil
      } catch {
        return error
      }
    }
    #expect(failure() == .notRunning(SystemError(call: "connect", code: ENOENT)))
    close(try make(path).descriptor)
    #expect(failure() == .notRunning(SystemError(call: "connect", code: ECONNREFUSED)))
  }
}
