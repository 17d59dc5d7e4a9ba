/// A 64-bit hash of bytes that is the same in every process and on every machine, unlike Swift's `Hasher`: FNV-1a
/// (Fowler, Noll and Vo), and the finaliser of MurmurHash3 (Appleby), so that every bit depends on every byte.
///
/// It is not secret and doesn't resist somebody who looks for collisions; the bound on load does.
public struct KeyHash: Sendable {
  private(set) var state: UInt64 = 0xCBF2_9CE4_8422_2325

  public init() {}

  public mutating func add(_ byte: UInt8) {
    state = (state ^ UInt64(byte)) &* 0x0000_0100_0000_01B3
  }

  /// Adds the eight bytes of a number, the most significant first.
  public mutating func add(_ number: UInt64) {
    var shift: UInt64 = 64
    while shift > 0 {
      shift -= 8
      add(UInt8(truncatingIfNeeded: number >> shift))
    }
  }

  /// The hash of what was added.
  public var value: UInt64 { Self.mixed(state) }

  /// A bijection in which every bit of the result depends on every bit of the word.
  static func mixed(_ word: UInt64) -> UInt64 {
    var word = word
    word = (word ^ word >> 33) &* 0xFF51_AFD7_ED55_8CCD
    word = (word ^ word >> 33) &* 0xC4CE_B9FE_1A85_EC53
    return word ^ word >> 33
  }
}
