import Glibc
import SystemCalls

/// Tells the service manager how this service is (sd_notify(3)), when it asks for it with `NOTIFY_SOCKET`.
enum ServiceNotification {
  /// Sends an assignment such as `READY=1`. Nobody is waiting for an answer, so a failure is only worth a line of
  /// the log.
  static func send(_ state: String, log: Log) {
    guard let name = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), !name.isEmpty else { return }
    guard name.hasPrefix("/") || name.hasPrefix("@"), name.utf8.count <= Endpoint.longestUnixPath else {
      log.warning("NOTIFY_SOCKET is no address that can be used", ["address": name])
      return
    }
    do {
      let socket = Descriptor(
        owning: try retryingInterrupts("socket") {
          Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        })
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      withUnsafeMutableBytes(of: &address.sun_path) {
        $0.copyBytes(from: name.utf8)
        // An abstract address begins with a zero byte (unix(7)).
        if name.hasPrefix("@") { $0[0] = 0 }
      }
      let length = socklen_t(MemoryLayout<sa_family_t>.size + name.utf8.count)
      let number = socket.number
      var text = state
      try text.withUTF8 { bytes in
        _ = try retryingInterrupts("sendto") {
          withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
              sendto(number, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
            }
          }
        }
      }
    } catch {
      log.warning("the service manager could not be told", ["state": state, "error": "\(error)"])
    }
  }
}
