import Glibc

/// Reads YAML 1.1 as Python's safe loader does, one document a file.
///
/// A pure function of its input, apart from `read(_:)`, which reads a file. Stateless and safe to share.
public struct Parser: Sendable {
  /// Bounds on what one file may cost.
  public struct Limits: Sendable {
    /// Bytes of the file.
    public var bytes = 4 << 20
    /// Levels of nesting.
    public var depth = 100
    /// Scalars, sequences and mappings; what an alias stands for counts every time.
    public var nodes = 250_000

    public init() {}
  }

  public var limits: Limits
  /// How a key that is there twice in one mapping is reported. The last one counts in any case.
  public var duplicateKeys: Diagnostic.Severity

  public init(duplicateKeys: Diagnostic.Severity = .error, limits: Limits = Limits()) {
    self.duplicateKeys = duplicateKeys
    self.limits = limits
  }

  /// The root of a file's only document, or nil when there was an error, which is then in `diagnostics`. An
  /// empty file is a null node.
  ///
  /// - Parameter namedBy: what names the file, if something does: the place of a complaint that it can't be read.
  public func read(
    _ path: String, namedBy: Origin? = nil, into diagnostics: inout Diagnostics
  ) -> Node? {
    contents(of: path, namedBy: namedBy, into: &diagnostics).flatMap {
      parse($0, file: path, into: &diagnostics)
    }
  }

  /// The root of the only document in `bytes`, or nil when there was an error, which is then in `diagnostics`.
  /// An empty text is a null node.
  ///
  /// - Parameter file: the name for positions.
  public func parse(_ bytes: [UInt8], file: String, into diagnostics: inout Diagnostics) -> Node? {
    guard bytes.count <= limits.bytes else {
      diagnostics.error("more than \(limits.bytes) bytes", at: .file(file))
      return nil
    }
    var composer = Composer(bytes, file: file, limits: limits, duplicateKeys: duplicateKeys)
    do {
      let root = try composer.document()
      diagnostics.add(composer.diagnostics)
      return root
        ?? Node(
          .scalar(Scalar(text: "", value: .null, isPlain: true)),
          at: Position(file: file, line: 1, column: 1))
    } catch {
      diagnostics.add(composer.diagnostics)
      diagnostics.add(error)
      return nil
    }
  }

  /// The bytes of a file, or nil when it can't be read or is too long, which is then in `diagnostics`.
  ///
  /// - Parameter namedBy: as for `read`.
  public func contents(
    of path: String, namedBy: Origin? = nil, into diagnostics: inout Diagnostics
  ) -> [UInt8]? {
    do throws(Unreadable) {
      return try bytes(of: path)
    } catch {
      let subject = namedBy == nil ? "" : "'\(path)' "
      diagnostics.error("\(subject)can't be read (\(error.reason))", at: namedBy ?? .file(path))
      return nil
    }
  }

  private struct Unreadable: Error {
    var reason: String

    static func last() -> Unreadable { Unreadable(reason: String(cString: strerror(errno))) }
  }

  private func bytes(of path: String) throws(Unreadable) -> [UInt8] {
    let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .last() }
    defer { _ = Glibc.close(descriptor) }
    var bytes: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(descriptor, &piece, piece.count)
      if count == 0 { return bytes }
      if count < 0 {
        if errno == EINTR { continue }
        throw .last()
      }
      bytes += piece[..<count]
      guard bytes.count <= limits.bytes else { throw Unreadable(reason: "more than \(limits.bytes) bytes") }
    }
  }
}
