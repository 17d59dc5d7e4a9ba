import Glibc
import TestSupport

/// A generator with a new seed, which it prints; `HTTP1_SEED` repeats an earlier one.
func seededGenerator(_ test: StaticString = #function) -> SeededGenerator {
  var seed = UInt64.random(in: 0 ... .max)
  if let text = getenv("HTTP1_SEED"), let given = UInt64(String(cString: text)) { seed = given }
  print("\(test): HTTP1_SEED=\(seed)")
  return SeededGenerator(seed: seed)
}
