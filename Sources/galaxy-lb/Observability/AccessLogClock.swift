import Glibc

/// The time of day as text, made once a second and used by every line in between.
struct AccessLogClock {
  private var second = Int64.min
  /// `31/Jan/2026:12:00:00 +0100`, in the time zone of the process: nginx's `$time_local`.
  private(set) var local: [UInt8] = []
  /// `2026-01-31T11:00:00`, in UTC.
  private(set) var universal: [UInt8] = []
  /// Behind the second, 0 to 999.
  private(set) var milliseconds: Int64 = 0

  /// Milliseconds since 1970-01-01T00:00:00Z, by the system's clock. The coarse one costs no system call, and a few
  /// milliseconds are exact enough here.
  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME_COARSE, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
  }

  /// - Parameter time: milliseconds since 1970-01-01T00:00:00Z.
  mutating func set(_ time: Int64) {
    let second = time / 1000
    milliseconds = time % 1000
    guard second != self.second else { return }
    self.second = second
    universal = Array(Timestamp(milliseconds: second * 1000).description.utf8.dropLast(5))
    local = Self.localText(second)
  }

  private static func localText(_ second: Int64) -> [UInt8] {
    var seconds = time_t(second)
    var parts = tm()
    localtime_r(&seconds, &parts)
    // Not %b, which follows the locale.
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    let date = "\(twoDigits(parts.tm_mday))/\(months[Int(parts.tm_mon)])/\(parts.tm_year + 1900)"
    let clock = [parts.tm_hour, parts.tm_min, parts.tm_sec].map(twoDigits).joined(separator: ":")
    let minutes = Int32(parts.tm_gmtoff / 60)
    let zone = "\(minutes < 0 ? "-" : "+")\(twoDigits(abs(minutes) / 60))\(twoDigits(abs(minutes) % 60))"
    return Array("\(date):\(clock) \(zone)".utf8)
  }

  private static func twoDigits(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
}
