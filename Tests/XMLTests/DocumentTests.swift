import Testing
import XML

private let limits = DocumentLimits(bytes: 4096, depth: 8, elements: 20)

private func parse(_ text: String) throws(DocumentError) -> Element {
  try parseDocument(Array(text.utf8), limits: limits)
}

@Suite struct DocumentTests {
  @Test func readsATree() throws {
    let text = "<?xml version='1.0'?>\n<a>one<b>two</b><!-- no --><c/>three</a>\n"
    let expected = Element(
      "a", children: [Element("b", text: "two"), Element("c")], text: "onethree")
    #expect(try parse(text) == expected)
  }

  @Test func expandsOnlyWhatXMLItselfHas() throws {
    #expect(try parse("<a>&lt;&gt;&amp;&quot;&apos;&#65;&#x20AC;</a>").text == "<>&\"'A€")
    #expect(try parse("<a><![CDATA[<b>&amp;]]></a>").text == "<b>&amp;")
  }

  @Test func readsOtherEncodingsThatAreDeclared() throws {
    let latin = Array("<?xml version='1.0' encoding='ISO-8859-1'?><a>".utf8) + [0xE9] + Array("</a>".utf8)
    #expect(try parseDocument(latin, limits: limits).text == "é")
  }

  @Test(arguments: [
    ("", 1, 1), ("text", 1, 1), ("<a>", 1, 4), ("<a></b>", 1, 6), ("<a/><b/>", 1, 5), ("<a>\n<b></a>", 2, 6),
    ("<a>&unknown;</a>", 1, 4), ("<a>\u{1}</a>", 1, 4), ("<a b=c/>", 1, 6), ("<a>&#0;</a>", 1, 4),
  ])
  func refusesWhatIsNotWellFormed(_ text: String, _ line: Int, _ column: Int) {
    let error = #expect(throws: DocumentError.self) { try parse(text) }
    guard case .malformed(let reason, line, column) = error else {
      Issue.record("\(text): \(String(describing: error))")
      return
    }
    #expect(!reason.isEmpty)
  }

  @Test func refusesBytesThatAreNoText() {
    #expect(throws: DocumentError.self) {
      try parseDocument(Array("<a>".utf8) + [0xFF, 0xFE] + Array("</a>".utf8), limits: limits)
    }
  }

  /// Entities that grow when they are expanded, that name files, and that are declared elsewhere.
  @Test(arguments: [
    "<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;&x;&x;'>]><a>&y;&y;</a>",
    "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
    "<!DOCTYPE a [<!ENTITY % x SYSTEM 'http://127.0.0.1/'> %x;]><a/>",
    "<!DOCTYPE a SYSTEM 'a.dtd'><a/>",
    "<!DOCTYPE a><a/>",
  ])
  func refusesDocumentTypes(_ text: String) throws {
    let error = #expect(throws: DocumentError.self) { try parse(text) }
    guard case .documentType(line: 1, column: _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func boundsTheDepth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "<a>", count: depth) + String(repeating: "</a>", count: depth)
    }
    _ = try parse(nested(8))
    #expect(throws: DocumentError.tooDeep(limit: 8)) { try parse(nested(9)) }
    #expect(throws: DocumentError.tooDeep(limit: 8)) { try parse(String(repeating: "<a>", count: 500)) }
  }

  @Test func boundsTheNumberOfElements() throws {
    func wide(_ count: Int) -> String { "<a>" + String(repeating: "<b/>", count: count - 1) + "</a>" }
    #expect(try parse(wide(20)).children.count == 19)
    #expect(throws: DocumentError.tooManyElements(limit: 20)) { try parse(wide(21)) }
  }

  @Test func boundsTheSize() throws {
    func long(_ bytes: Int) -> String { "<a>" + String(repeating: "x", count: bytes - 7) + "</a>" }
    #expect(try parse(long(4096)).text.utf8.count == 4089)
    #expect(throws: DocumentError.tooLarge(limit: 4096)) { try parse(long(4097)) }
  }
}
