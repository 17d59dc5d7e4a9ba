/// SplitMix64: numbers that the seed alone decides, so that a failure can be seen again.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64

  public init(seed: UInt64) { state = seed }

  /// A seed that the bytes alone decide (FNV-1a).
  public init(seededBy bytes: [UInt8]) {
    state = bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
  }

  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// Cuts `bytes` into pieces, most of them short.
  public mutating func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    var pieces: [ArraySlice<UInt8>] = []
    var start = 0
    let longest = [1, 2, 7, 40, max(1, bytes.count)].randomElement(using: &self)!
    while start < bytes.count {
      let end = min(bytes.count, start + Int.random(in: 1...longest, using: &self))
      pieces.append(bytes[start..<end])
      start = end
    }
    return pieces
  }
}
