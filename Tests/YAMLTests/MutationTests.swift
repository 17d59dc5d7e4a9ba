import TestSupport
import Testing
import YAML

/// Damaged texts: each is a tree or an error with a place, and nothing worse.
@Suite struct MutationTests {
  private let text = """
    gravity:
      instance_name: 'main'
      defaults: &defaults {workers: 0x4, timeout: 1:30}
      gunicorn:
        - <<: *defaults
          bind: "unix:/run/g\\u0030.sock"
          preload: yes
        - {<<: [*defaults], enable: !!bool no}
      text: |
        two
        lines
    galaxy:   # nothing

    """

  @Test(arguments: 0..<20 as Range<UInt64>)
  func damagedTexts(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let original = Array(text.utf8)
    for _ in 0..<100 {
      var bytes = original
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        let place = Int.random(in: bytes.indices, using: &random)
        switch Int.random(in: 0..<3, using: &random) {
        case 0: bytes.remove(at: place)
        case 1:
          bytes.insert("\n:-[]{}#&*!|>'\"%@, \t\0\u{80}~?<x0".utf8.randomElement(using: &random)!, at: place)
        default: bytes.insert(contentsOf: Array(bytes[..<place].suffix(12)), at: place)
        }
      }
      var diagnostics = Diagnostics()
      let tree = Parser().parse(bytes, file: "t.yml", into: &diagnostics)
      #expect(tree != nil || diagnostics.hasErrors, "seed \(seed): \(String(decoding: bytes, as: UTF8.self))")
      for problem in diagnostics.sorted {
        guard case .text(let position) = problem.origin else {
          Issue.record("seed \(seed): \(problem) has no place")
          continue
        }
        #expect(position.line >= 1 && position.column >= 1, "seed \(seed): \(problem)")
      }
    }
  }
}
