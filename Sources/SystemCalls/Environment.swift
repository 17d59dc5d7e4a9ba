import CLinux
import Glibc

/// The environment of this process by name (environ(7)). Of a name that is there twice the first value counts,
/// as for getenv(3). Not to be called while another thread changes the environment.
public func environmentVariables() -> [String: String] {
  var variables: [String: String] = [:]
  guard var next = clinux_environment() else { return variables }
  while let entry = next.pointee {
    let text = String(cString: entry)
    if let equals = text.firstIndex(of: "="), equals != text.startIndex {
      let name = String(text[..<equals])
      if variables[name] == nil { variables[name] = String(text[text.index(after: equals)...]) }
    }
    next += 1
  }
  return variables
}

/// The folder that relative paths of this process start from (getcwd(3)); nil when it has been removed.
public func workingDirectory() -> String? {
  guard let path = Glibc.getcwd(nil, 0) else { return nil }
  defer { Glibc.free(path) }
  return String(cString: path)
}

/// The home folder of a user by the password database (getpwuid_r(3)); nil for an unknown user.
public func homeDirectory(ofUser user: UInt32) -> String? {
  var record = passwd()
  var found: UnsafeMutablePointer<passwd>?
  var buffer = [CChar](repeating: 0, count: 16_384)
  guard getpwuid_r(user, &record, &buffer, buffer.count, &found) == 0, let found else { return nil }
  return String(cString: found.pointee.pw_dir)
}
