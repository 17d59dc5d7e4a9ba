/// Chooses the upstreams in turn, each as often as its weight says and its turns spread over the round, as nginx does
/// (its commit 52327e0627f4): each choice gives every one its weight as credit, takes the one with the most, and takes
/// from that one what was given to all.
struct RoundRobin {
  private var credits: ContiguousArray<Int> = []

  /// The place of the chosen one, or nil when `load` is nil for all.
  ///
  /// - Parameters:
  ///   - count: the number of upstreams, the same in every call.
  ///   - load: leases, which don't matter, and weight of the upstream at a place; nil when it may not be chosen.
  mutating func choose(count: Int, load: (Int) -> (leases: Int, weight: Int)?) -> Int? {
    if credits.isEmpty { credits = ContiguousArray(repeating: 0, count: count) }
    var total = 0
    var best: (place: Int, credit: Int)?
    for place in 0..<count {
      guard let (_, weight) = load(place) else { continue }
      total += weight
      credits[place] += weight
      if let known = best, credits[place] <= known.credit { continue }
      best = (place, credits[place])
    }
    guard let best else { return nil }
    credits[best.place] -= total
    // Steady weights never take a credit further than this (less than twice the sum was seen). What is left from a
    // time of greater weights must not be made up for over many rounds.
    let furthest = 4 * total
    for place in 0..<count { credits[place] = min(max(credits[place], -furthest), furthest) }
    return best.place
  }
}
