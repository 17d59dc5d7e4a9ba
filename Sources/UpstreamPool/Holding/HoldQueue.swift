/// Requests that wait for an upstream, in the order in which they came, within bounds: a value without a clock.
///
/// Invariants: a ticket is in the queue or it is not, never twice; `count` and `bytes` are those of the tickets in it
/// and never above the bounds; tickets leave in the order in which they joined, but for those that give up.
struct HoldQueue: Sendable {
  /// One that waits.
  struct Ticket: Hashable, Sendable {
    /// Rises with every join.
    let number: UInt64
    /// Who is to be told when its turn comes.
    let owner: Int
  }

  private struct Entry: Sendable {
    var ticket: Ticket
    var bytes: Int
    /// When it began to wait, perhaps with an earlier ticket.
    var since: Int64
    var isWaiting: Bool
  }

  private let maximumCount: Int
  private let maximumBytes: Int
  /// Those that gave up stay as gaps until they come to the front, so that leaving costs no search.
  private var entries: ContiguousArray<Entry> = []
  private var front = 0
  private var nextNumber: UInt64 = 0
  private(set) var count = 0
  private(set) var bytes = 0

  init(maximumCount: Int, maximumBytes: Int) {
    self.maximumCount = maximumCount
    self.maximumBytes = maximumBytes
  }

  /// Joins at the end; nil when a bound would be exceeded. The newest is the one that is refused: those before it
  /// have waited longer. `since` is when it began to wait, in whatever unit `oldestSince` is wanted in.
  mutating func join(owner: Int, bytes size: Int, since: Int64) -> Ticket? {
    guard count < maximumCount, bytes + size <= maximumBytes else { return nil }
    let ticket = Ticket(number: nextNumber, owner: owner)
    nextNumber += 1
    entries.append(Entry(ticket: ticket, bytes: size, since: since, isWaiting: true))
    count += 1
    bytes += size
    return ticket
  }

  /// Gives up. False when its turn had come already, or it left before.
  mutating func leave(_ ticket: Ticket) -> Bool {
    guard let position = position(of: ticket), entries[position].isWaiting else { return false }
    remove(at: position)
    skipGaps()
    return true
  }

  /// Takes the one that has waited longest.
  mutating func takeFirst() -> Ticket? {
    skipGaps()
    guard front < entries.count else { return nil }
    let ticket = entries[front].ticket
    remove(at: front)
    skipGaps()
    return ticket
  }

  /// Since when the one that has waited longest waits; nil when nobody does. Looks at all of them, because one that came
  /// back to the end may have waited longer than those before it.
  var oldestSince: Int64? {
    entries[front...].lazy.filter(\.isWaiting).map(\.since).min()
  }

  private mutating func remove(at position: Int) {
    entries[position].isWaiting = false
    count -= 1
    bytes -= entries[position].bytes
  }

  /// Numbers rise by one from entry to entry, so that a ticket's place follows from its number.
  private func position(of ticket: Ticket) -> Int? {
    guard let first = entries.first, ticket.number >= first.ticket.number else { return nil }
    let position = Int(ticket.number - first.ticket.number)
    return position >= front && position < entries.count ? position : nil
  }

  private mutating func skipGaps() {
    while front < entries.count, !entries[front].isWaiting { front += 1 }
    if front == entries.count {
      entries.removeAll(keepingCapacity: entries.count <= 1024)
      front = 0
    } else if front > 1024, front > entries.count / 2 {
      entries.removeFirst(front)
      front = 0
    }
  }
}
