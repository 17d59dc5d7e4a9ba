import SystemCalls

extension LogLevel {
  /// The words of galaxy-lb.yml and of `--log-level`.
  static let names = allCases.map(\.name)

  var name: String { "\(self)" }

  init?(name: String) {
    guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = level
  }
}

/// True for the name of a pool or of an upstream: it stands in commands, paths of the control socket, log lines
/// and metrics, so it is made of letters, digits and `. _ - : @` and is no more than 64 bytes long.
func isName(_ text: String) -> Bool {
  (1...64).contains(text.utf8.count)
    && text.utf8.allSatisfy { byte in
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
      default: "._-:@".utf8.contains(byte)
      }
    }
}

extension Endpoint {
  /// The name of an upstream that nobody gave one: a unix socket's file name without `.sock`, else host and port.
  var derivedName: String { derivedName(folders: 0) }

  /// The same, with so many of the folders above a unix socket in front.
  func derivedName(folders: Int) -> String {
    switch self {
    case .tcp(let host, let port): return Self.asName("\(host):\(port)")
    case .unix(let path):
      var parts = path.split(separator: "/").suffix(folders + 1).map(String.init)
      if let file = parts.last, file.hasSuffix(".sock"), file.utf8.count > 5 {
        parts[parts.count - 1] = String(file.dropLast(5))
      }
      return Self.asName(parts.joined(separator: "-"))
    }
  }

  private static func asName(_ text: String) -> String {
    let name = String(text.map { isName(String($0)) ? $0 : "_" }.suffix(64))
    return name.isEmpty ? "_" : name
  }
}
