/// Chooses the upstream with the fewest leases for its weight. Those that are equal, as all are while there is little
/// to do, take turns by weight.
struct LeastConnections {
  /// When each one's last turn ends, in a time in which a turn lasts 1 / weight (start-time fair queueing, Goyal, Vin
  /// and Cheng 1996). Who was away begins now, and has nothing to make up for.
  private var turnEnds: ContiguousArray<Double> = []
  private var now = 0.0

  /// The place of the chosen one, or nil when `load` is nil for all.
  ///
  /// - Parameters:
  ///   - count: the number of upstreams, the same in every call.
  ///   - load: leases and weight of the upstream at a place; nil when it may not be chosen.
  mutating func choose(count: Int, load: (Int) -> (leases: Int, weight: Int)?) -> Int? {
    if turnEnds.isEmpty { turnEnds = ContiguousArray(repeating: 0, count: count) }
    var best: (place: Int, leases: Int, weight: Int, start: Double)?
    for place in 0..<count {
      guard let (leases, weight) = load(place) else { continue }
      let start = max(turnEnds[place], now)
      if let known = best {
        // leases / weight, compared without division.
        let (left, right) = (leases * known.weight, known.leases * weight)
        if left > right || (left == right && start >= known.start) { continue }
      }
      best = (place, leases, weight, start)
    }
    guard let best else { return nil }
    now = best.start
    turnEnds[best.place] = best.start + 1 / Double(best.weight)
    return best.place
  }
}
