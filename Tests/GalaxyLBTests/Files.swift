import Glibc
import SystemCalls

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
