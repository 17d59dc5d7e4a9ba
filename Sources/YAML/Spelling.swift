/// The candidate that `word` is most likely a misspelling of, or nil when none is near.
///
/// The measure is the Damerau-Levenshtein distance (restricted: no place is edited twice) without regard to
/// case; near means one edit for every three characters, three at the most. Among equals the first one wins.
public func nearest<Candidates: Sequence<String>>(_ word: String, in candidates: Candidates) -> String? {
  let written = Array(word.lowercased().unicodeScalars)
  // A longer word is no misspelling of anything, and the cost grows with the product of the lengths.
  guard !written.isEmpty, written.count <= 64 else { return nil }
  var best: (candidate: String, distance: Int)?
  for candidate in candidates {
    let letters = Array(candidate.lowercased().unicodeScalars)
    guard letters.count <= 64 else { continue }
    let allowed = min(3, max(1, min(written.count, letters.count) / 3))
    guard abs(letters.count - written.count) <= allowed else { continue }
    let distance = editDistance(written, letters)
    if distance <= allowed, distance < best?.distance ?? .max { best = (candidate, distance) }
  }
  return best?.candidate
}

/// How many insertions, deletions, substitutions and swaps of neighbours lead from one word to the other.
func editDistance<Letter: Equatable>(_ left: [Letter], _ right: [Letter]) -> Int {
  var beforeLast: [Int] = []
  var last = Array(0...right.count)
  for row in left.indices {
    var current = [row + 1]
    current.reserveCapacity(right.count + 1)
    for column in right.indices {
      let substitution = last[column] + (left[row] == right[column] ? 0 : 1)
      var cost = min(substitution, last[column + 1] + 1, current[column] + 1)
      if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
        cost = min(cost, beforeLast[column - 1] + 1)
      }
      current.append(cost)
    }
    beforeLast = last
    last = current
  }
  return last[right.count]
}
