import Foundation
import Testing

@testable import GravityRestart

/// The version of the code on disk, and the one text for it and for what Galaxy answers.
@Suite struct VersionTests {
  @Test(arguments: [
    ("24.1", "2", "24.1.2"), ("24.1", "2.dev0", "24.1.2.dev0"), ("24.1", "rc1", "24.1.rc1"),
    ("24.1", "", "24.1"),
    ("20.09", nil, "20.09"),
  ])
  func oneTextForBothParts(_ major: String, _ minor: String?, _ expected: String) {
    #expect(galaxyVersion(major: major, minor: minor) == expected)
  }

  /// As Galaxy has had it: a module with None, a module with f-strings, a package.
  @Test(arguments: [
    ("version-20.09.py", "version.py", "20.09"), ("version-24.1.py", "version.py", "24.1.2"),
    ("version-26.1.py", "version/__init__.py", "26.1.1"), ("version-odd.py", "version.py", "25.0.2.dev0"),
  ])
  func filesOfGalaxy(_ fixture: String, _ place: String, _ expected: String) throws {
    let site = try Site()
    try site.copyFixture("version/\(fixture)", to: "lib/galaxy/\(place)")
    let source = try #require(try site.instance("gravity: {}\ngalaxy: {}\n").versionSource)
    #expect(source == .galaxyPackage(folder: site.root + "/lib/galaxy"))
    #expect(try source.read() == expected)
  }

  @Test(arguments: [
    ("VERSION_MAJOR = '24.1'\r\nVERSION_MINOR = '3'\r\n", "24.1.3"),
    ("\u{FEFF}VERSION_MAJOR='24.1'", "24.1"),
    (
      "VERSION_MAJOR: str = \"24.1\"  # a comment with VERSION_MINOR = '9'\nVERSION_MINOR = None; X = 1\n",
      "24.1"
    ),
    ("VERSION_MAJOR = \"\"\"24.1\"\"\"\nVERSION_MINOR = ''\n", "24.1"),
    ("VERSION_MAJOR = '1'\nVERSION_MAJOR = '2'\n", "2"),
    ("VERSION_MAJOR = '1'\nif True:\n    VERSION_MAJOR = '2'\nVERSION_MINOR == '3'\n", "1"),
    ("X = '''\nVERSION_MAJOR = '9'\n'''\nVERSION_MAJOR = '1'\n", "1"),
    ("X = 'it\\'s'\nY = (\nVERSION_MAJOR = '9',\n)\nZ = \\\nVERSION_MAJOR = '9'\nVERSION_MAJOR = '1'\n", "1"),
    ("# VERSION_MAJOR = '9'\n\n  \nVERSION_MAJORITY = '8'\nVERSION_MAJOR = '1'", "1"),
  ])
  func tolerated(_ text: String, _ expected: String) throws {
    #expect(try read(text) == expected)
  }

  @Test(arguments: [
    "", "VERSION_MAJOR = None\n", "VERSION_MAJOR = ''\n", "VERSION_MAJOR = 24.1\n", "VERSION_MAJOR = get()\n",
    "VERSION_MAJOR = '24.1' + X\n", "VERSION_MAJOR = f'{X}'\n", "VERSION_MAJOR = '24\\x2e1'\n",
    "VERSION_MAJOR = '24.1\n", "from x import VERSION_MAJOR\n", "VERSION_MAJOR += '24.1'\n",
    "'''\nVERSION_MAJOR = '1'",
    "VERSION_MAJOR = '24' '.1'\n", "VERSION_MAJOR",
  ])
  func whatCanNotBeToldIsSaid(_ text: String) {
    #expect(throws: UnreadableVersion("ROOT/lib/galaxy/version.py assigns no plain string to VERSION_MAJOR"))
    {
      try read(text)
    }
  }

  @Test func aMinorThatIsComputedCanNotBeTold() {
    #expect(
      throws: UnreadableVersion(
        "ROOT/lib/galaxy/version.py assigns neither a plain string nor None to VERSION_MINOR")
    ) {
      try read("VERSION_MAJOR = '24.1'\nVERSION_MINOR = str(2)\n")
    }
  }

  @Test func theSizeIsBounded() throws {
    let start = "VERSION_MAJOR = '24.1'\n#"
    #expect(try read(start + String(repeating: "x", count: 65_536 - start.utf8.count)) == "24.1")
    #expect(throws: UnreadableVersion("ROOT/lib/galaxy/version.py has more than 65536 bytes")) {
      try read(start + String(repeating: "x", count: 65_537 - start.utf8.count))
    }
  }

  /// Every cut of a file is read without a fault, and never as another version.
  @Test func cutsOfAFile() throws {
    let bytes = try Data(contentsOf: fixtures.appending(path: "version/version-odd.py"))
    for count in 0..<bytes.count {
      let module = PythonModule(parsing: Array(bytes.prefix(count)))
      #expect([nil, .string("25.0"), .expression].contains(module["VERSION_MAJOR"]), "\(count)")
      #expect([nil, .string("2.dev0"), .expression].contains(module["VERSION_MINOR"]), "\(count)")
    }
  }

  /// A deploy may go from the module to the package; the module may be left behind.
  @Test func thePackageGoesBeforeTheModule() throws {
    let site = try Site()
    try site.write("VERSION_MAJOR = '26.0'\n", to: "lib/galaxy/version.py")
    let source = VersionSource.galaxyPackage(folder: site.root + "/lib/galaxy")
    #expect(try source.read() == "26.0")
    try site.write("VERSION_MAJOR = '26.1'\n", to: "lib/galaxy/version/__init__.py")
    #expect(try source.read() == "26.1")
  }

  @Test func aFolderIsNoVersion() throws {
    let site = try Site()
    try site.makeFolder("lib/galaxy/version.py")
    let source = VersionSource.galaxyPackage(folder: site.root + "/lib/galaxy")
    #expect(throws: UnreadableVersion(site.root + "/lib/galaxy/version.py is no file")) { try source.read() }
    #expect(source.description == site.root + "/lib/galaxy/version")
  }

  @Test func whatIsGoneIsSaid() throws {
    let source = VersionSource.galaxyPackage(folder: "/nowhere/galaxy")
    #expect(
      throws: UnreadableVersion(
        "there is neither /nowhere/galaxy/version/__init__.py nor /nowhere/galaxy/version.py")
    ) { try source.read() }
  }

  @Test func whereItIs() throws {
    let text = "gravity: {virtualenv: ROOT/venv}\ngalaxy: {data_dir: /d}\n"
    let none = try Site()
    #expect(try none.instance(text).versionSource == nil)
    let installed = try Site(galaxyCode: false)
    try installed.write(
      "VERSION_MAJOR = '1'\n", to: "venv/lib/python3.11/site-packages/galaxy/version/__init__.py")
    #expect(
      try installed.instance(text).versionSource
        == .galaxyPackage(folder: installed.root + "/venv/lib/python3.11/site-packages/galaxy"))
    try installed.write("VERSION_MAJOR = '2'\n", to: "code/lib/galaxy/version.py")
    installed.environment.variables["GALAXY_ROOT_DIR"] = installed.root + "/code"
    #expect(
      try installed.instance(text).versionSource
        == .galaxyPackage(folder: installed.root + "/code/lib/galaxy"))
  }

  private func read(_ text: String) throws -> String {
    let site = try Site()
    try site.write(text, to: "lib/galaxy/version.py")
    do throws(UnreadableVersion) {
      return try VersionSource.galaxyPackage(folder: site.root + "/lib/galaxy").read()
    } catch {
      throw UnreadableVersion(error.description.replacing(site.root, with: "ROOT"))
    }
  }
}
