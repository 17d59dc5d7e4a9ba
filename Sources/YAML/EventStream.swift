import CLibYAML

/// One event of libyaml, copied out of the C library, and where it starts.
struct Event {
  enum Kind {
    case streamStart
    case streamEnd
    case documentStart
    case documentEnd
    case alias(of: String)
    case scalar(text: String, anchor: String?, tag: String?, isPlain: Bool)
    case sequenceStart(anchor: String?, tag: String?)
    case sequenceEnd
    case mappingStart(anchor: String?, tag: String?)
    case mappingEnd
  }

  var kind: Kind
  var position: Position
}

/// A YAML text as events, in order, from libyaml's parser.
struct EventStream: ~Copyable {
  // On the heap, because the C parser keeps pointers into itself.
  private let parser: UnsafeMutablePointer<yaml_parser_t>
  private let input: UnsafeMutableBufferPointer<UInt8>
  private let file: String

  /// - Parameter file: the name for positions.
  init(_ bytes: [UInt8], file: String) {
    parser = .allocate(capacity: 1)
    input = .allocate(capacity: bytes.count)
    _ = input.initialize(from: bytes)
    self.file = file
    // It fails only without memory, as the allocations above would.
    precondition(yaml_parser_initialize(parser) == 1, "out of memory")
    yaml_parser_set_input_string(parser, UnsafePointer(input.baseAddress), input.count)
  }

  deinit {
    yaml_parser_delete(parser)
    parser.deallocate()
    input.deallocate()
  }

  /// The next event. After an error, or the end of the stream, it must not be called again.
  func next() throws(Diagnostic) -> Event {
    var event = yaml_event_t()
    guard yaml_parser_parse(parser, &event) == 1 else { throw failure() }
    defer { yaml_event_delete(&event) }
    let position = position(event.start_mark)
    return Event(kind: kind(event), position: position)
  }

  private func kind(_ event: yaml_event_t) -> Event.Kind {
    switch event.type {
    case YAML_DOCUMENT_START_EVENT: return .documentStart
    case YAML_DOCUMENT_END_EVENT: return .documentEnd
    case YAML_ALIAS_EVENT: return .alias(of: text(event.data.alias.anchor) ?? "")
    case YAML_SCALAR_EVENT:
      let scalar = event.data.scalar
      let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
      return .scalar(
        text: String(decoding: bytes, as: UTF8.self), anchor: text(scalar.anchor), tag: text(scalar.tag),
        isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
    case YAML_SEQUENCE_START_EVENT:
      let start = event.data.sequence_start
      return .sequenceStart(anchor: text(start.anchor), tag: text(start.tag))
    case YAML_SEQUENCE_END_EVENT: return .sequenceEnd
    case YAML_MAPPING_START_EVENT:
      let start = event.data.mapping_start
      return .mappingStart(anchor: text(start.anchor), tag: text(start.tag))
    case YAML_MAPPING_END_EVENT: return .mappingEnd
    case YAML_STREAM_START_EVENT: return .streamStart
    default: return .streamEnd
    }
  }

  private func text(_ bytes: UnsafePointer<yaml_char_t>?) -> String? {
    bytes.map { String(cString: $0) }
  }

  private func position(_ mark: yaml_mark_t) -> Position {
    Position(file: file, line: Int(mark.line) + 1, column: Int(mark.column) + 1)
  }

  /// What stopped the parser, in its own words with the place that they are about.
  private func failure() -> Diagnostic {
    let problem = parser.pointee.problem.map { String(cString: $0) } ?? "out of memory"
    guard parser.pointee.error != YAML_READER_ERROR else {
      return Diagnostic(
        .error, "not readable as text: \(problem)", at: .text(position(ofByte: parser.pointee.problem_offset))
      )
    }
    let place = position(parser.pointee.problem_mark)
    var message = "syntax error: \(problem)"
    if let context = parser.pointee.context {
      let start = position(parser.pointee.context_mark)
      message += " (\(String(cString: context)), line \(start.line) column \(start.column))"
    }
    let index = Int(parser.pointee.problem_mark.index)
    if input.indices.contains(index), input[index] == UInt8(ascii: "\t") {
      message += "; expected spaces, a tab can't indent"
    }
    return Diagnostic(.error, message, at: .text(place))
  }

  private func position(ofByte offset: Int) -> Position {
    let before = input.prefix(offset)
    let line = before.count { $0 == UInt8(ascii: "\n") } + 1
    let lastBreak = before.lastIndex(of: UInt8(ascii: "\n")) ?? -1
    let column = before.suffix(from: lastBreak + 1).count { $0 & 0xC0 != 0x80 } + 1
    return Position(file: file, line: line, column: column)
  }
}
