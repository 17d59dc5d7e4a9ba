import Foundation
import Glibc
import SystemCalls

/// A folder of its own for a test, which goes away with everything in it.
final class TemporaryFolder {
  let path: String

  init() throws {
    var template = Array("/tmp/galaxy-lb-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
    path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  /// Makes a file and returns its path.
  func write(_ name: String, _ text: String) throws -> String {
    let file = "\(path)/\(name)"
    let descriptor = Descriptor(
      owning: try retryingInterrupts("open") { open(file, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0o600) })
    let bytes = Array(text.utf8)
    let count = try retryingInterrupts("write") { Glibc.write(descriptor.number, bytes, bytes.count) }
    precondition(count == bytes.count)
    return file
  }

  deinit {
    try? FileManager.default.removeItem(atPath: path)
  }
}

extension String {
  /// The text of a whole file.
  init(contentsOfPath path: String) throws {
    let file = Descriptor(owning: try retryingInterrupts("open") { open(path, O_RDONLY | O_CLOEXEC) })
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while case let count = try retryingInterrupts("read", { read(file.number, &buffer, buffer.count) }),
      count > 0
    {
      bytes += buffer[..<count]
    }
    self.init(decoding: bytes, as: UTF8.self)
  }
}
