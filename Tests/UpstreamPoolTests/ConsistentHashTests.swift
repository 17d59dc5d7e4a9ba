import Testing

@testable import UpstreamPool

@Suite struct ConsistentHashTests {
  private func names(_ count: Int) -> [String] { (0..<count).map { "gunicorn\($0)" } }

  private func key(_ number: Int) -> UInt64 {
    var hash = KeyHash()
    hash.add(UInt64(number))
    return hash.value
  }

  /// Where each of `keys` keys goes while nobody has anything to do.
  private func places(_ names: [String], keys: Int, weight: (Int) -> Int? = { _ in 1 }) -> [Int] {
    var balancer = ConsistentHash(names: names)
    return (0..<keys).map { number in
      balancer.choose(key: key(number)) { place in weight(place).map { (0, $0) } }!
    }
  }

  @Test func sharesAreThoseOfTheWeights() {
    let weights = [10, 20, 30, 40]
    var counts = [0, 0, 0, 0]
    for place in places(names(4), keys: 40_000, weight: { weights[$0] }) { counts[place] += 1 }
    for place in 0..<4 {
      let expected = 400.0 * Double(weights[place])
      #expect(abs(Double(counts[place]) - expected) < 6 * expected.squareRoot(), "\(counts)")
    }
  }

  @Test(arguments: [0, 3, 6]) func onlyTheKeysOfALostUpstreamMove(_ lost: Int) {
    let before = places(names(7), keys: 7000)
    let after = places(names(7), keys: 7000, weight: { $0 == lost ? nil : 1 })
    for (old, new) in zip(before, after) { #expect(old == lost ? new != lost : new == old) }
    // They are spread over all others.
    let taken = zip(before, after).filter { $0.0 == lost }.map { $0.1 }
    for place in 0..<7 where place != lost { #expect(taken.count { $0 == place } > taken.count / 12) }
  }

  @Test func keysFollowTheNameNotThePlace() {
    let before = places(["a", "b", "c"], keys: 3000)
    let after = places(["new", "c", "b", "a"], keys: 3000)
    var moved = 0
    for (old, new) in zip(before, after) {
      if new == 0 { moved += 1 } else { #expect(["a", "b", "c"][old] == ["new", "c", "b", "a"][new]) }
    }
    #expect((600...900).contains(moved))
  }

  @Test func aGainedWeightTakesKeysAndMovesNoOthers() {
    let before = places(names(5), keys: 5000, weight: { $0 == 2 ? 10 : 100 })
    let after = places(names(5), keys: 5000, weight: { $0 == 2 ? 60 : 100 })
    for (old, new) in zip(before, after) where old != new { #expect(new == 2) }
    #expect(after.count { $0 == 2 } > 3 * before.count { $0 == 2 })
  }

  /// Written down once: another result would send every user elsewhere after an update of the proxy.
  @Test func theSameInEveryProcess() {
    #expect(
      places(["gunicorn0", "gunicorn1", "gunicorn2"], keys: 12) == [2, 0, 0, 0, 2, 1, 2, 1, 0, 1, 0, 0])
  }

  /// The bound of Mirrokni, Thorup and Zadimoghaddam, with all requests of one key.
  @Test func oneKeyCantOverloadItsUpstream() {
    var balancer = ConsistentHash(names: names(10))
    var leases = Array(repeating: 0, count: 10)
    for total in 1...1000 {
      let place = balancer.choose(key: 42) { (leases[$0], 1) }!
      leases[place] += 1
      #expect(Double(leases[place]) < 1.25 * Double(total) / 10 + 1)
    }
    // Its favourites are full, the one it likes least has what is left.
    #expect(leases.max() == 125)
    #expect(leases.reduce(0, +) == 1000)
  }

  @Test func theBoundGoesByWeight() {
    var balancer = ConsistentHash(names: names(3))
    let weights = [1, 2, 5]
    var leases = [0, 0, 0]
    for number in 0..<8000 {
      leases[balancer.choose(key: key(number)) { (leases[$0], weights[$0]) }!] += 1
    }
    for place in 0..<3 { #expect(Double(leases[place]) <= 1.25 * 1000 * Double(weights[place]) + 1) }
  }

  @Test func whoMayNotBeChosenIsLeftOut() {
    var balancer = ConsistentHash(names: names(3))
    for number in 0..<100 {
      #expect(balancer.choose(key: key(number)) { $0 == 1 ? (9, 1) : nil } == 1)
      #expect(balancer.choose(key: key(number)) { _ in nil } == nil)
    }
  }
}

@Suite struct KeyHashTests {
  /// From the authors' test vectors.
  @Test(
    arguments: [
      ("", 0xCBF2_9CE4_8422_2325), ("a", 0xAF63_DC4C_8601_EC8C), ("foobar", 0x8594_4171_F739_67E8),
    ] as [(String, UInt64)])
  func beginsAsFNV(_ text: String, _ expected: UInt64) {
    var hash = KeyHash()
    for byte in text.utf8 { hash.add(byte) }
    #expect(hash.state == expected)
  }

  @Test func aNumberIsItsBytes() {
    var number = KeyHash()
    number.add(0x0102_0304_0506_0708 as UInt64)
    var bytes = KeyHash()
    for byte in 1...8 { bytes.add(UInt8(byte)) }
    #expect(number.value == bytes.value)
  }

  /// The finaliser's own property: each bit of the word changes each bit of the result about half of the time.
  @Test func everyBitMatters() {
    var random = SplitMix(seed: 1)
    for bit in 0..<64 {
      var flips = Array(repeating: 0, count: 64)
      for _ in 0..<512 {
        let word = random.next()
        let change = KeyHash.mixed(word) ^ KeyHash.mixed(word ^ 1 << UInt64(bit))
        for place in 0..<64 where change >> UInt64(place) & 1 != 0 { flips[place] += 1 }
      }
      #expect(flips.allSatisfy { (160...352).contains($0) }, "bit \(bit): \(flips)")
    }
  }
}
