import TestSupport
import Testing

@testable import UpstreamPool

@Suite struct HoldQueueTests {
  /// Against a plain list: order, bounds, and the sums that are kept.
  @Test(arguments: [1, 2, 3, 4, 5] as [UInt64])
  func agreesWithAPlainList(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let (maximumCount, maximumBytes) = (Int.random(in: 1...3_000, using: &generator), 100_000)
    var queue = HoldQueue(maximumCount: maximumCount, maximumBytes: maximumBytes)
    var model: [(ticket: HoldQueue.Ticket, bytes: Int, since: Int64)] = []
    var bytes = 0
    var gone: [HoldQueue.Ticket] = []
    // Phases in which it mostly grows, and in which it mostly empties.
    for step in 0..<12_000 {
      let isGrowing = step / 3_000 % 2 == 0
      switch Int.random(in: 0..<10, using: &generator) {
      case 0..<(isGrowing ? 7 : 2):
        let size = Int.random(in: 0...80, using: &generator)
        let fits = model.count < maximumCount && bytes + size <= maximumBytes
        // Some have waited before.
        let since = Int64(step) - Int64.random(in: 0...500, using: &generator)
        let ticket = queue.join(owner: step, bytes: size, since: since)
        #expect((ticket != nil) == fits, "seed \(seed), step \(step)")
        if let ticket {
          model.append((ticket, size, since))
          bytes += size
        }
      case 9 where !model.isEmpty:
        let place = Int.random(in: 0..<model.count, using: &generator)
        let (ticket, size, _) = model.remove(at: place)
        bytes -= size
        let hasLeft = queue.leave(ticket)
        #expect(hasLeft, "seed \(seed), step \(step)")
        gone.append(ticket)
      case 8 where !gone.isEmpty:
        let hasLeft = queue.leave(gone.randomElement(using: &generator)!)
        #expect(!hasLeft, "seed \(seed), step \(step): left twice")
      default:
        let first = queue.takeFirst()
        #expect(first == model.first?.ticket, "seed \(seed), step \(step)")
        if let first {
          bytes -= model.removeFirst().bytes
          gone.append(first)
        }
      }
      #expect(queue.count == model.count && queue.bytes == bytes)
      if step % 20 == 0 { #expect(queue.oldestSince == model.map(\.since).min()) }
    }
    while let first = queue.takeFirst() {
      #expect(first == model.first?.ticket)
      model.removeFirst()
    }
    #expect(model.isEmpty && queue.count == 0 && queue.bytes == 0 && queue.oldestSince == nil)
  }

  @Test func theNewestIsRefused() {
    var queue = HoldQueue(maximumCount: 2, maximumBytes: 10)
    let first = queue.join(owner: 0, bytes: 4, since: 0)
    let tooLarge = queue.join(owner: 1, bytes: 7, since: 0)
    let second = queue.join(owner: 2, bytes: 6, since: 0)
    let tooMany = queue.join(owner: 3, bytes: 0, since: 0)
    #expect(first != nil && second != nil && tooLarge == nil && tooMany == nil)
    let taken = queue.takeFirst()
    #expect(taken == first && taken?.owner == 0)
  }
}
