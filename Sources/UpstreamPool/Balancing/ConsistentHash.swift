import Glibc

/// Chooses the same upstream for the same key, as long as that has not far more than its share.
///
/// Each key has an order of preference of its own over all upstreams, by weighted rendezvous (Thaler and Ravishankar
/// 1998; weights by Schindelhauer and Schomaker 2005): the shares of keys are those of the weights, only the keys of a
/// lost upstream move, and only to one that came back, or gained weight, do others. A ring needs hundreds of points an
/// upstream for shares that even, and both it and a Maglev table have to be built anew when a weight changes, which
/// `slow_start` does all the time; for the at most 256 upstreams of a pool looking at each is cheaper.
///
/// The first one in that order with room under the bound is taken (bounded loads, Mirrokni, Thorup and Zadimoghaddam
/// 2018): nobody has more than 1.25 of its share of all leases, so that one busy key can't overload its upstream.
///
/// Preferences follow from the names of the upstreams, so they are the same in every loop and process, after a restart,
/// and after the list was changed.
struct ConsistentHash {
  private struct Candidate {
    var leases: Int
    /// 0 when it may not be chosen.
    var weight: Int
  }

  private let seeds: ContiguousArray<UInt64>
  /// What was seen in this choice: loads change while it is made.
  private var candidates: ContiguousArray<Candidate>

  /// - Parameter names: of the upstreams, each different.
  init(names: some Sequence<String>) {
    seeds = ContiguousArray(
      names.map { name in
        var hash = KeyHash()
        for byte in name.utf8 { hash.add(byte) }
        return hash.value
      })
    candidates = ContiguousArray(repeating: Candidate(leases: 0, weight: 0), count: seeds.count)
  }

  /// The place of the chosen one, or nil when `load` is nil for all.
  ///
  /// - Parameters:
  ///   - key: a `KeyHash`.
  ///   - load: leases and weight of the upstream at a place; nil when it may not be chosen.
  mutating func choose(key: UInt64, load: (Int) -> (leases: Int, weight: Int)?) -> Int? {
    var totalLeases = 0
    var totalWeight = 0
    for place in seeds.indices {
      let (leases, weight) = load(place) ?? (0, 0)
      candidates[place] = Candidate(leases: leases, weight: weight)
      totalLeases += leases
      totalWeight += weight
    }
    var best: (place: Int, distance: Double)?
    for place in seeds.indices {
      let candidate = candidates[place]
      // leases < 1.25 * (all leases and this one) * share. It holds for one of them at least, because the bounds
      // together are more than all leases.
      guard candidate.leases * 4 * totalWeight < (totalLeases + 1) * 5 * candidate.weight else { continue }
      let distance = Self.distance(key ^ seeds[place]) / Double(candidate.weight)
      if let known = best, distance >= known.distance { continue }
      best = (place, distance)
    }
    return best?.place
  }

  /// An exponentially distributed number that belongs to `word`: of several, each divided by a weight, one is the
  /// least with a probability in proportion to its weight.
  private static func distance(_ word: UInt64) -> Double {
    // 53 bits, as many as a Double has; never 0.
    -log((Double(KeyHash.mixed(word) >> 11) + 0.5) * 0x1p-53)
  }
}
