/// The name of one service of systemd (systemd.unit(5)).
struct SystemdUnitName: Hashable, Sendable, CustomStringConvertible {
  let description: String

  /// systemd's limit, UNIT_NAME_MAX.
  private static let longest = 255
  private static let suffix = ".service"
  private static let otherTypes = [
    "socket", "device", "mount", "automount", "swap", "target", "path", "timer", "slice", "scope",
  ]

  /// A name without a type is that of a service, as for systemctl. Patterns, which systemctl takes for several
  /// units, templates without an instance, and units of other types are refused.
  init(_ text: String) throws(ProcessManagerError) {
    var name = text
    if let dot = text.lastIndex(of: "."), Self.otherTypes.contains(String(text[text.index(after: dot)...])) {
      throw Self.refused(text, "only services can be restarted here")
    }
    if !name.hasSuffix(Self.suffix) { name += Self.suffix }
    let stem = name.dropLast(Self.suffix.count)
    let isWritten = stem.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "a")...UInt8(ascii: "z"):
        true
      default: ":-_.\\@".utf8.contains(byte)
      }
    }
    guard !stem.isEmpty, isWritten, name.utf8.count <= Self.longest else {
      throw Self.refused(text, "it has letters, digits and : - _ . \\ @")
    }
    guard stem.first != "@", stem.last != "@" else {
      throw Self.refused(text, "a template needs its instance, as in galaxy-gunicorn@0.service")
    }
    description = name
  }

  private static func refused(_ text: String, _ advice: String) -> ProcessManagerError {
    ProcessManagerError(
      .badName, "found '\(text)', expected the name of one service of systemd", advice: advice)
  }
}
