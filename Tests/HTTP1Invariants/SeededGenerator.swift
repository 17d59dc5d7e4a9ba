import TestSupport

extension SeededGenerator {
  /// A seed that the bytes alone decide (FNV-1a).
  init(seededBy bytes: [UInt8]) {
    self.init(seed: bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
  }

  /// Cuts `bytes` into pieces, most of them short.
  mutating func pieces(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
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
