import SystemCalls
import YAML

/// The two halves that describe one Galaxy, as they are in the files.
struct InstanceSections {
  var gravity: Mapping
  /// Where the Gravity section starts, or the file that has none.
  var gravityOrigin: Origin
  var galaxy: Mapping
  /// The path of the file with the Gravity section.
  var gravityFile: String
  /// The path of the file with Galaxy's options.
  var galaxyFile: String
}

/// One file that Gravity reads: a Gravity section, Galaxy's options, or both.
struct GravityFile {
  /// Absolute.
  let path: String
  /// What names it.
  let origin: Origin

  private static let separateOptions = "galaxy_config_file"

  // Python's loader takes the last one of two equal keys without a word.
  private let parser = Parser(duplicateKeys: .warning)

  init(path: String, namedBy origin: Origin) {
    self.path = path
    self.origin = origin
  }

  /// The Galaxies that the file describes. What can't be read is reported and left out.
  func sections(into diagnostics: inout Diagnostics) -> [InstanceSections] {
    guard let root = parser.read(path, namedBy: origin.naming(path), into: &diagnostics) else { return [] }
    guard case .mapping(let keys) = root.content else {
      diagnostics.error(
        "found \(root.found), expected a mapping with a 'gravity' or a 'galaxy' section", at: root.origin)
      return []
    }
    let gravity = keys["gravity"]
    let galaxy = keys["galaxy"]
    if let gravity, case .sequence(let elements) = gravity.content, !elements.isEmpty {
      return list(elements, besides: galaxy, into: &diagnostics)
    }
    guard gravity != nil || galaxy != nil else {
      let misspelt = keys.entries.lazy.compactMap { entry in
        nearest(entry.key.text, in: ["gravity", "galaxy"]).map { (entry.keyPosition, $0) }
      }.first
      diagnostics.error(
        "neither a 'gravity' nor a 'galaxy' section, expected Gravity's or Galaxy's configuration",
        at: misspelt.map { .text($0.0) } ?? .file(path), nearest: misspelt?.1)
      return []
    }
    return single(gravity: gravity, galaxy: galaxy, into: &diagnostics).map { [$0] } ?? []
  }

  private func single(
    gravity: Node?, galaxy: Node?, into diagnostics: inout Diagnostics
  ) -> InstanceSections? {
    let section = gravity.map { $0.gravitySection(into: &diagnostics) } ?? Mapping()
    let options = galaxy.map { $0.mapping("galaxy", into: &diagnostics) } ?? Mapping()
    guard let section, let options else { return nil }
    var sections = InstanceSections(
      gravity: section, gravityOrigin: gravity?.origin ?? .file(path), galaxy: options, gravityFile: path,
      galaxyFile: path)
    let separate = section[Self.separateOptions].flatMap { $0.isNull ? nil : $0 }
    switch (galaxy, separate) {
    case (nil, let separate?):
      guard let (file, options) = galaxyOptions(namedBy: separate, into: &diagnostics) else { return nil }
      sections.galaxy = options
      sections.galaxyFile = file
    case (_?, let separate?):
      diagnostics.warning(
        "galaxy_config_file is ignored, because this file has a 'galaxy' section of its own",
        at: separate.origin)
    case (nil, nil):
      diagnostics.warning("no 'galaxy' section, Galaxy's defaults are used", at: .file(path))
    case (_?, nil):
      if gravity == nil {
        diagnostics.warning("no 'gravity' section, Gravity's defaults are used", at: .file(path))
      }
    }
    return sections
  }

  /// Several Galaxies in one file: each has its options in a file of its own.
  private func list(
    _ elements: [Node], besides galaxy: Node?, into diagnostics: inout Diagnostics
  ) -> [InstanceSections] {
    if let galaxy {
      diagnostics.error(
        "found a 'galaxy' section beside a list of Gravity sections, expected a galaxy_config_file in each of them",
        at: galaxy.origin)
    }
    return elements.compactMap { element in
      guard let section = element.gravitySection(into: &diagnostics) else { return nil }
      guard let name = section[Self.separateOptions] else {
        let misspelt = section.entries.first { nearest($0.key.text, in: [Self.separateOptions]) != nil }
        diagnostics.error(
          "no \(Self.separateOptions), expected one in each of a list of Gravity sections",
          at: misspelt.map { .text($0.keyPosition) } ?? element.origin,
          nearest: misspelt.map { _ in Self.separateOptions })
        return nil
      }
      guard let (file, options) = galaxyOptions(namedBy: name, into: &diagnostics) else { return nil }
      return InstanceSections(
        gravity: section, gravityOrigin: element.origin, galaxy: options, gravityFile: path, galaxyFile: file)
    }
  }

  /// The `galaxy` section of another file, whose name is relative to the folder of this one.
  private func galaxyOptions(
    namedBy name: Node, into diagnostics: inout Diagnostics
  ) -> (file: String, options: Mapping)? {
    guard let text = name.string(Self.separateOptions, expecting: "a path", into: &diagnostics) else {
      return nil
    }
    let file = join(parent(of: path), text)
    guard let root = parser.read(file, namedBy: name.origin, into: &diagnostics) else { return nil }
    guard case .mapping(let keys) = root.content, let options = keys["galaxy"] else {
      diagnostics.error("no 'galaxy' section in '\(file)', expected Galaxy's options there", at: name.origin)
      return nil
    }
    return options.mapping("galaxy", into: &diagnostics).map { (file, $0) }
  }
}

extension Node {
  fileprivate func gravitySection(into diagnostics: inout Diagnostics) -> Mapping? {
    // Python takes an empty list for nothing here.
    if case .sequence(let elements) = content, elements.isEmpty { return Mapping() }
    return mapping("gravity", expecting: "a mapping or a list of mappings", into: &diagnostics)
  }
}

extension Origin {
  /// Where to complain that a file can't be read: where it is named, or at the file itself if it was only looked
  /// for.
  fileprivate func naming(_ path: String) -> Origin? {
    switch self {
    case .text, .environment, .option: self
    case .file, .builtIn: nil
    }
  }
}
