import Testing
import YAML

@Suite struct ComposerTests {
  @Test(arguments: [
    ("a: 1\nb: [x, 'yes', yes]\n", "{'a': 1, 'b': ['x', 'yes', true]}"),
    ("", "null"),
    ("---\n...\n", "null"),
    ("- |\n  two\n  lines\n- >\n  fol\n  ded\n", "['two\nlines\n', 'fol ded\n']"),
    ("'on': 1\non: 2\n", "{'on': 1, true: 2}"),
    (
      "a: !!str 12\nb: !!int '12'\nc: !!null x\nd: ! 5\ne: !!float 1\n",
      "{'a': '12', 'b': 12, 'c': null, 'd': '5', 'e': 1.0}"
    ),
    ("a: &x {p: 1}\nb: *x\n", "{'a': {'p': 1}, 'b': {'p': 1}}"),
    ("\u{FEFF}a: ü\n", "{'a': 'ü'}"),
  ])
  func reads(_ text: String, _ expected: String) throws {
    #expect(try tree(text).outline == expected)
  }

  @Test(arguments: [
    // A key of one's own stands before a merged one, wherever the merge key is.
    ("b: &b {p: 1, q: 2}\nc:\n  q: 3\n  <<: *b\n", "{'q': 3, 'p': 1}"),
    // Of several sources the first wins.
    ("a: &a {p: 1}\nb: &b {p: 2, q: 2}\nc: {<<: [*a, *b]}\n", "{'p': 1, 'q': 2}"),
    // Quoted it is a key like any other.
    ("c: {'<<': 1}\n", "{'<<': 1}"),
  ])
  func merges(_ text: String, _ expected: String) throws {
    guard case .mapping(let mapping) = try tree(text).content else {
      Issue.record("not a mapping")
      return
    }
    #expect(mapping["c"]?.outline == expected)
  }

  @Test func positionsCountFromOneInCharacters() throws {
    guard case .mapping(let root) = try tree("a: 1\nüü: {b: [2,\n  3]}\n").content,
      case .mapping(let inner)? = root["üü"]?.content, case .sequence(let numbers)? = inner["b"]?.content
    else {
      Issue.record("another tree")
      return
    }
    #expect(root.entries[1].keyPosition == Position(file: "t.yml", line: 2, column: 1))
    #expect(inner.entries[0].value.position == Position(file: "t.yml", line: 2, column: 9))
    #expect(numbers.map(\.position.line) == [2, 3])
    #expect(numbers.map(\.position.column) == [10, 3])
  }

  @Test func anAliasIsWhereItsAnchorIs() throws {
    guard case .mapping(let root) = try tree("a: &x 1\nb: *x\n").content else {
      Issue.record("not a mapping")
      return
    }
    #expect(root["b"]?.position == Position(file: "t.yml", line: 1, column: 4))
  }

  @Test func ofTwoKeysTheLastOneCounts() {
    var diagnostics = Diagnostics()
    let root = Parser(duplicateKeys: .warning)
      .parse(Array("a: 1\nb: 2\n'a': 3\n".utf8), file: "t.yml", into: &diagnostics)
    #expect(root?.outline == "{'a': 3, 'b': 2}")
    #expect(
      diagnostics.sorted.map(\.description) == [
        "t.yml:3:1: warning: key 'a' is there twice, first in line 1; the last one counts"
      ])
    #expect(!diagnostics.hasErrors)
  }

  @Test(arguments: [
    ("a: b: c\n", "t.yml:1:5: error: syntax error: mapping values are not allowed in this context"),
    (
      "a: [1, 2\nb: 3\n",
      "t.yml:2:2: error: syntax error: did not find expected ',' or ']' (while parsing a flow sequence, line 1 column 4)"
    ),
    (
      "a:\n\tb: 1\n",
      "t.yml:2:1: error: syntax error: found character that cannot start any token (while scanning for the next token, line 2 column 1); expected spaces, a tab can't indent"
    ),
    ("a: 1\n---\nb: 2\n", "t.yml:2:1: error: found a second document, expected one document in a file"),
    ("a: !include x.yml\n", "t.yml:1:4: error: unknown tag '!include', expected none"),
    (
      "a: !!python/object:os.system {}\n",
      "t.yml:1:4: error: unknown tag 'tag:yaml.org,2002:python/object:os.system', expected none"
    ),
    ("a: !!int x\n", "t.yml:1:4: error: 'x' is not a '!!int'"),
    (
      "base: &base 1\nb: *bass\n",
      "t.yml:2:4: error: alias '*bass' has no complete anchor '&bass' before it (did you mean 'base'?)"
    ),
    ("a: &a [*a]\n", "t.yml:1:8: error: alias '*a' has no complete anchor '&a' before it"),
    ("? [a]\n: 1\n", "t.yml:1:3: error: found a list as a key, expected a plain name"),
    ("<<: 1\n", "t.yml:1:5: error: found the number 1 to merge, expected a mapping or a list of mappings"),
    ("a: 1\na: 2\n", "t.yml:2:1: error: key 'a' is there twice, first in line 1; the last one counts"),
    ("a: \u{1}\n", "t.yml:1:4: error: not readable as text: control characters are not allowed"),
  ])
  func refuses(_ text: String, _ expected: String) {
    #expect(problems(text) == [expected])
  }

  @Test func bytesThatAreNotTextHaveAPlace() {
    var diagnostics = Diagnostics()
    let bytes = Array("a: 1\nb: é".utf8) + [0xFF]
    #expect(Parser().parse(bytes, file: "t.yml", into: &diagnostics) == nil)
    #expect(
      diagnostics.sorted.map(\.description) == [
        "t.yml:2:5: error: not readable as text: invalid leading UTF-8 octet"
      ])
  }
}

@Suite struct LimitTests {
  @Test func aliasesThatMultiplyAreStopped() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for level in 1...9 {
      let alias = Array(repeating: "*a\(level - 1)", count: 10).joined(separator: ", ")
      text += "a\(level): &a\(level) [\(alias)]\n"
    }
    let found = problems(text)
    #expect(found.count == 1)
    #expect(found[0].contains("more than 250000 values"))
  }

  @Test(arguments: [(100, 0), (101, 1)])
  func nestingIsBounded(_ depth: Int, _ errors: Int) {
    let text = String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    let found = problems(text)
    #expect(found.count == errors)
    #expect(found.allSatisfy { $0 == "t.yml:1:101: error: nested more than 100 levels deep" })
  }

  @Test func lengthIsBounded() {
    var limits = Parser.Limits()
    limits.bytes = 8
    #expect(problems("a: 12345", Parser(limits: limits)) == [])
    #expect(problems("a: 123456", Parser(limits: limits)) == ["t.yml: error: more than 8 bytes"])
  }

  @Test func aMissingFileIsReportedWhereItIsNamed() {
    var diagnostics = Diagnostics()
    #expect(Parser().read("/nowhere/g.yml", into: &diagnostics) == nil)
    let position = Position(file: "t.yml", line: 3, column: 7)
    #expect(Parser().read("/nowhere/g.yml", namedBy: .text(position), into: &diagnostics) == nil)
    #expect(Parser().read("/", into: &diagnostics) == nil)
    #expect(
      diagnostics.sorted.map(\.description) == [
        "/: error: can't be read (Is a directory)",
        "/nowhere/g.yml: error: can't be read (No such file or directory)",
        "t.yml:3:7: error: '/nowhere/g.yml' can't be read (No such file or directory)",
      ])
  }
}
