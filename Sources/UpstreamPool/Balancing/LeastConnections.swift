/// Upstreams of one pool by their index, at most `capacity`.
public struct UpstreamSet: Equatable, Sendable {
  /// The largest number of upstreams in a pool.
  public static let capacity = 256

  private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

  public init() {}

  public mutating func insert(_ index: Int) {
    let bit: UInt64 = 1 << UInt64(index & 63)
    switch index >> 6 {
    case 0: words.0 |= bit
    case 1: words.1 |= bit
    case 2: words.2 |= bit
    default: words.3 |= bit
    }
  }

  public func contains(_ index: Int) -> Bool {
    let word =
      switch index >> 6 {
      case 0: words.0
      case 1: words.1
      case 2: words.2
      default: words.3
      }
    return word >> UInt64(index & 63) & 1 != 0
  }

  public static func == (left: UpstreamSet, right: UpstreamSet) -> Bool { left.words == right.words }
}

/// Chooses the upstream with the fewest leases for its weight; those that are equal take turns.
struct LeastConnections {
  /// Where the next search begins, so that ties rotate.
  private var cursor = 0

  /// The place of the chosen one, or nil when `load` is nil for all.
  ///
  /// - Parameters:
  ///   - count: the number of upstreams.
  ///   - load: leases and weight of the upstream at a place; nil when it may not be chosen.
  mutating func choose(count: Int, load: (Int) -> (leases: Int, weight: Int)?) -> Int? {
    var best: (place: Int, leases: Int, weight: Int)?
    for step in 0..<count {
      var place = cursor + step
      if place >= count { place -= count }
      guard let (leases, weight) = load(place) else { continue }
      // (leases + 1) / weight, compared without division: the next request counts too, so that weights matter
      // when all are idle.
      if let known = best, (leases + 1) * known.weight >= (known.leases + 1) * weight { continue }
      best = (place, leases, weight)
    }
    guard let best else { return nil }
    cursor = best.place + 1 == count ? 0 : best.place + 1
    return best.place
  }
}
