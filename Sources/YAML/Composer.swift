/// Builds the tree of one document: aliases are replaced by what they stand for, merge keys are carried out,
/// and everything is bounded, so that a hostile file costs no more than a large honest one.
struct Composer: ~Copyable {
  private struct Composed {
    var node: Node
    /// How many nodes it and everything below it are, aliases counted as often as they occur.
    var size: Int
  }

  private let events: EventStream
  private let limits: Parser.Limits
  private let duplicateKeys: Diagnostic.Severity
  private var anchors: [String: Composed] = [:]
  private var nodes = 0
  /// Problems that do not stop the reading.
  private(set) var diagnostics = Diagnostics()

  init(_ bytes: [UInt8], file: String, limits: Parser.Limits, duplicateKeys: Diagnostic.Severity) {
    events = EventStream(bytes, file: file)
    self.limits = limits
    self.duplicateKeys = duplicateKeys
  }

  /// The only document of the stream; nil when the stream has none.
  mutating func document() throws(Diagnostic) -> Node? {
    _ = try events.next()
    guard case .documentStart = try events.next().kind else { return nil }
    let root = try compose(try events.next(), depth: 1).node
    _ = try events.next()
    let after = try events.next()
    guard case .streamEnd = after.kind else {
      throw Diagnostic(
        .error, "found a second document, expected one document in a file", at: .text(after.position))
    }
    return root
  }

  private mutating func compose(_ event: Event, depth: Int) throws(Diagnostic) -> Composed {
    guard depth <= limits.depth else {
      throw Diagnostic(
        .error, "nested more than \(limits.depth) levels deep", at: .text(event.position))
    }
    switch event.kind {
    case .alias(let name):
      guard let anchored = anchors[name] else {
        throw Diagnostic(
          .error, "alias '*\(name)' has no complete anchor '&\(name)' before it", at: .text(event.position),
          nearest: nearest(name, in: anchors.keys.sorted()))
      }
      try count(anchored.size, at: event.position)
      return anchored
    case .scalar(let text, let anchor, let tag, let isPlain):
      try count(1, at: event.position)
      let value = try value(of: text, tag: tag, isPlain: isPlain, at: event.position)
      let scalar = Scalar(text: text, value: value, isPlain: isPlain)
      return remember(Composed(node: Node(.scalar(scalar), at: event.position), size: 1), as: anchor)
    case .sequenceStart(let anchor, let tag):
      try count(1, at: event.position)
      try checkCollection(tag, among: ["seq", "omap", "pairs"], at: event.position)
      return remember(try sequence(at: event.position, depth: depth), as: anchor)
    case .mappingStart(let anchor, let tag):
      try count(1, at: event.position)
      try checkCollection(tag, among: ["map", "set"], at: event.position)
      return remember(try mapping(at: event.position, depth: depth), as: anchor)
    case .streamStart, .streamEnd, .documentStart, .documentEnd, .sequenceEnd, .mappingEnd:
      preconditionFailure("libyaml's grammar has no such event here")
    }
  }

  private mutating func sequence(at position: Position, depth: Int) throws(Diagnostic) -> Composed {
    var elements: [Node] = []
    var size = 1
    while true {
      let event = try events.next()
      if case .sequenceEnd = event.kind { break }
      let element = try compose(event, depth: depth + 1)
      elements.append(element.node)
      size += element.size
    }
    return Composed(node: Node(.sequence(elements), at: position), size: size)
  }

  private mutating func mapping(at position: Position, depth: Int) throws(Diagnostic) -> Composed {
    var own = UniqueEntries()
    var merged: [Mapping.Entry] = []
    var size = 1
    while true {
      let event = try events.next()
      if case .mappingEnd = event.kind { break }
      let key = try compose(event, depth: depth + 1)
      guard case .scalar(let scalar) = key.node.content else {
        throw Diagnostic(
          .error, "found \(key.node.found) as a key, expected a plain name", at: .text(event.position))
      }
      let value = try compose(try events.next(), depth: depth + 1)
      size += key.size + value.size
      if scalar.isPlain, scalar.text == "<<" {
        merged += try entries(merging: value.node)
        continue
      }
      if let first = own.place(Mapping.Entry(key: scalar, keyPosition: event.position, value: value.node)) {
        diagnostics.add(
          Diagnostic(
            duplicateKeys,
            "key '\(shortened(scalar.text))' is there twice, first in line \(first.line); the last one counts",
            at: .text(event.position)))
      }
    }
    for entry in merged { own.placeIfNew(entry) }
    return Composed(node: Node(.mapping(Mapping(own.entries)), at: position), size: size)
  }

  /// What a merge key brings in (https://yaml.org/type/merge.html): the keys of a mapping, or of several in a
  /// list, of which the first that has a key wins.
  private func entries(merging value: Node) throws(Diagnostic) -> [Mapping.Entry] {
    var sources = [value]
    if case .sequence(let elements) = value.content { sources = elements }
    var entries: [Mapping.Entry] = []
    for source in sources {
      guard case .mapping(let mapping) = source.content else {
        throw Diagnostic(
          .error, "found \(source.found) to merge, expected a mapping or a list of mappings",
          at: .text(source.position))
      }
      entries += mapping.entries
    }
    return entries
  }

  private mutating func remember(_ composed: Composed, as anchor: String?) -> Composed {
    if let anchor { anchors[anchor] = composed }
    return composed
  }

  private mutating func count(_ size: Int, at position: Position) throws(Diagnostic) {
    nodes += size
    guard nodes <= limits.nodes else {
      throw Diagnostic(
        .error, "more than \(limits.nodes) values, aliases counted as often as they occur",
        at: .text(position))
    }
  }

  private static let tagPrefix = "tag:yaml.org,2002:"

  private func value(
    of text: String, tag: String?, isPlain: Bool, at position: Position
  ) throws(Diagnostic) -> Scalar.Value {
    guard let tag else { return isPlain ? Resolution.value(ofPlain: text) : .string }
    guard tag != "!" else { return .string }
    guard tag.hasPrefix(Self.tagPrefix) else { throw unknown(tag, at: position) }
    let kind = tag.dropFirst(Self.tagPrefix.count)
    let plain = Resolution.value(ofPlain: text)
    switch (kind, plain) {
    case ("str", _): return .string
    case ("null", _): return .null
    case ("bool", .boolean), ("int", .integer), ("float", .float): return plain
    case ("float", .integer(let number)): return .float(Double(number))
    case ("timestamp", .other): return plain
    case ("binary", _): return .other("binary data")
    case ("bool", _), ("int", _), ("float", _), ("timestamp", _):
      throw Diagnostic(.error, "'\(shortened(text))' is not a '!!\(kind)'", at: .text(position))
    default: throw unknown(tag, at: position)
    }
  }

  private func checkCollection(_ tag: String?, among known: [String], at position: Position)
    throws(Diagnostic)
  {
    guard let tag, tag != "!" else { return }
    guard known.contains(where: { tag == Self.tagPrefix + $0 }) else { throw unknown(tag, at: position) }
  }

  private func unknown(_ tag: String, at position: Position) -> Diagnostic {
    Diagnostic(.error, "unknown tag '\(shortened(tag))', expected none", at: .text(position))
  }
}

/// Entries of a mapping with every key once.
private struct UniqueEntries {
  private struct Key: Hashable {
    var value: Scalar.Value
    var text: String
  }

  private(set) var entries: [Mapping.Entry] = []
  private var places: [Key: Int] = [:]

  /// Puts an entry in; where the key is already there it takes that place, and the answer is where the key was
  /// written before.
  mutating func place(_ entry: Mapping.Entry) -> Position? {
    let key = key(entry)
    guard let place = places[key] else {
      places[key] = entries.count
      entries.append(entry)
      return nil
    }
    let before = entries[place].keyPosition
    entries[place] = entry
    return before
  }

  mutating func placeIfNew(_ entry: Mapping.Entry) {
    let key = key(entry)
    guard places[key] == nil else { return }
    places[key] = entries.count
    entries.append(entry)
  }

  /// `yes` and `true` are one key, `'a'` and `a` too, `'1'` and `1` are two.
  private func key(_ entry: Mapping.Entry) -> Key {
    switch entry.key.value {
    case .string, .other: Key(value: entry.key.value, text: entry.key.text)
    case .null, .boolean, .integer, .float: Key(value: entry.key.value, text: "")
    }
  }
}
