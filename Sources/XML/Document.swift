import CExpat

/// Reads a document (XML 1.0) with expat, and returns its outermost element.
///
/// Nothing outside of `bytes` is read, and no entity is expanded but the five that XML itself has: a document with a
/// document type declaration is refused before it can declare others.
public func parseDocument(_ bytes: [UInt8], limits: DocumentLimits) throws(DocumentError) -> Element {
  guard bytes.count <= limits.bytes else { throw .tooLarge(limit: limits.bytes) }
  guard let parser = XML_ParserCreate(nil) else { throw .outOfMemory }
  defer { XML_ParserFree(parser) }
  let builder = TreeBuilder(parser, limits: limits)
  return try withExtendedLifetime(builder) { () throws(DocumentError) in
    builder.install()
    let status = bytes.withUnsafeBytes {
      XML_Parse(parser, $0.baseAddress?.assumingMemoryBound(to: CChar.self), Int32($0.count), 1)
    }
    if let error = builder.error { throw error }
    guard status == XML_STATUS_OK, let root = builder.root else {
      let reason = XML_ErrorString(XML_GetErrorCode(parser)).map { String(cString: $0) }
      let (line, column) = builder.place
      throw .malformed(reason ?? "not well-formed", line: line, column: column)
    }
    return root
  }
}

/// Takes expat's callbacks and builds the tree.
private final class TreeBuilder {
  private let parser: XML_Parser
  private let limits: DocumentLimits
  /// The elements that are open, and the character data of each so far.
  private var open: [(element: Element, text: [UInt8])] = []
  private var elementCount = 0
  private(set) var root: Element?
  private(set) var error: DocumentError?

  init(_ parser: XML_Parser, limits: DocumentLimits) {
    self.parser = parser
    self.limits = limits
  }

  /// This object must outlive the parsing.
  func install() {
    XML_SetUserData(parser, Unmanaged.passUnretained(self).toOpaque())
    XML_SetElementHandler(
      parser, { data, name, _ in TreeBuilder.behind(data).start(String(cString: name!)) },
      { data, _ in TreeBuilder.behind(data).end() })
    XML_SetCharacterDataHandler(parser) { data, text, length in
      TreeBuilder.behind(data).append(UnsafeRawBufferPointer(start: text, count: Int(length)))
    }
    XML_SetStartDoctypeDeclHandler(parser) { data, _, _, _, _ in
      let builder = TreeBuilder.behind(data)
      let (line, column) = builder.place
      builder.stop(.documentType(line: line, column: column))
    }
  }

  private static func behind(_ data: UnsafeMutableRawPointer?) -> TreeBuilder {
    Unmanaged<TreeBuilder>.fromOpaque(data!).takeUnretainedValue()
  }

  var place: (line: Int, column: Int) {
    (Int(XML_GetCurrentLineNumber(parser)), Int(XML_GetCurrentColumnNumber(parser)) + 1)
  }

  private func start(_ name: String) {
    elementCount += 1
    // Some callbacks may still come after the parser was stopped.
    guard error == nil else { return }
    guard elementCount <= limits.elements else { return stop(.tooManyElements(limit: limits.elements)) }
    guard open.count < limits.depth else { return stop(.tooDeep(limit: limits.depth)) }
    open.append((Element(name), []))
  }

  private func append(_ text: UnsafeRawBufferPointer) {
    guard error == nil, !open.isEmpty else { return }
    open[open.count - 1].text += text
  }

  private func end() {
    guard error == nil, let (opened, text) = open.popLast() else { return }
    var element = opened
    element.text = String(decoding: text, as: UTF8.self)
    if open.isEmpty { root = element } else { open[open.count - 1].element.children.append(element) }
  }

  private func stop(_ reason: DocumentError) {
    error = error ?? reason
    XML_StopParser(parser, XML_Bool(0))
  }
}
