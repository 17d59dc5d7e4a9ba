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
