/// Draws two different upstreams by weight and chooses the one with fewer leases for its weight (the power of two
/// choices, Mitzenmacher 2001). Loops that don't know of each other's choices don't all run to the same upstream.
struct RandomTwo {
  private struct Candidate {
    var leases: Int
    /// 0 when it may not be chosen.
    var weight: Int
  }

  /// What was seen in this choice: loads change while it is made.
  private var candidates: ContiguousArray<Candidate> = []

  /// The place of the chosen one, or nil when `load` is nil for all.
  ///
  /// - Parameters:
  ///   - count: the number of upstreams, the same in every call.
  ///   - random: where the draws come from.
  ///   - load: leases and weight of the upstream at a place; nil when it may not be chosen.
  mutating func choose(
    count: Int, random: inout some RandomNumberGenerator, load: (Int) -> (leases: Int, weight: Int)?
  ) -> Int? {
    if candidates.isEmpty {
      candidates = ContiguousArray(repeating: Candidate(leases: 0, weight: 0), count: count)
    }
    var total = 0
    for place in 0..<count {
      let (leases, weight) = load(place) ?? (0, 0)
      candidates[place] = Candidate(leases: leases, weight: weight)
      total += weight
    }
    guard total > 0 else { return nil }
    let first = draw(Int.random(in: 0..<total, using: &random), passingOver: nil)
    let rest = total - candidates[first].weight
    guard rest > 0 else { return first }
    let second = draw(Int.random(in: 0..<rest, using: &random), passingOver: first)
    let (left, right) = (candidates[first], candidates[second])
    return right.leases * left.weight < left.leases * right.weight ? second : first
  }

  /// The place of the candidate that a ticket below the sum of the weights falls to.
  private func draw(_ ticket: Int, passingOver excluded: Int?) -> Int {
    var left = ticket
    for place in candidates.indices where place != excluded {
      left -= candidates[place].weight
      if left < 0 { return place }
    }
    preconditionFailure("a ticket beyond the sum of the weights")
  }
}
