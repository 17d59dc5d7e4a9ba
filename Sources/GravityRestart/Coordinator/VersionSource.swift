import SystemCalls

/// Where the version of the code on disk stands.
public enum VersionSource: Hashable, Sendable {
  /// The folder of Galaxy's Python package: `lib/galaxy` below its root, or `galaxy` in the `site-packages` of its
  /// virtualenv. Its module `version` assigns `VERSION_MAJOR` and `VERSION_MINOR`.
  case galaxyPackage(folder: String)

  /// Where `module` may be in `folder`. Galaxy 26.1 made a package of the module, and of a package and a module with
  /// one name Python takes the package. A deploy may go from one to the other, so it is looked at each time.
  static let places = ["version/__init__.py", "version.py"]

  private static let longest = 65_536

  /// True when a version can be expected in `folder`.
  static func isPackage(_ folder: String) -> Bool {
    places.contains { FileStatus(of: join(folder, $0)) != nil }
  }

  /// Reads the version as `galaxyVersion` writes it. Blocks for as long as the file system takes; nothing of what is
  /// read is executed.
  public func read() throws(UnreadableVersion) -> String {
    switch self {
    case .galaxyPackage(let folder):
      let files = Self.places.map { join(folder, $0) }
      guard let file = files.first(where: { FileStatus(of: $0) != nil }) else {
        throw UnreadableVersion("there is neither \(files[0]) nor \(files[1])")
      }
      guard FileStatus(of: file)?.isRegularFile == true else {
        throw UnreadableVersion("\(file) is no file")
      }
      guard let bytes = readFile(file, atMost: Self.longest + 1) else {
        throw UnreadableVersion("\(file) can't be read")
      }
      guard bytes.count <= Self.longest else {
        throw UnreadableVersion("\(file) has more than \(Self.longest) bytes")
      }
      return try Self.version(of: PythonModule(parsing: bytes), file)
    }
  }

  private static func version(of module: PythonModule, _ file: String) throws(UnreadableVersion) -> String {
    guard case .string(let major)? = module["VERSION_MAJOR"], !major.isEmpty else {
      throw UnreadableVersion("\(file) assigns no plain string to VERSION_MAJOR")
    }
    switch module["VERSION_MINOR"] {
    case .string(let minor): return galaxyVersion(major: major, minor: minor)
    case .noValue, nil: return galaxyVersion(major: major, minor: nil)
    case .expression:
      throw UnreadableVersion("\(file) assigns neither a plain string nor None to VERSION_MINOR")
    }
  }
}

extension VersionSource: CustomStringConvertible {
  /// The place, for people.
  public var description: String {
    switch self {
    case .galaxyPackage(let folder): "\(folder)/version"
    }
  }
}

/// Why the version on disk can't be told, in the words of a message.
public struct UnreadableVersion: Error, Hashable, Sendable, CustomStringConvertible {
  public var description: String

  init(_ description: String) { self.description = description }
}

/// One text for the two parts of Galaxy's version, `24.1` and `2` or `2.dev0`, as Galaxy joins them itself. Both the
/// module on disk (`VERSION_MAJOR`, `VERSION_MINOR`) and the answer of `/api/version` (`version_major`,
/// `version_minor`) have them apart, and are compared by this text.
///
/// - Parameter minor: nil or empty for a Galaxy that has none (None in the module, null in the answer).
public func galaxyVersion(major: String, minor: String?) -> String {
  guard let minor, !minor.isEmpty else { return major }
  return "\(major).\(minor)"
}
