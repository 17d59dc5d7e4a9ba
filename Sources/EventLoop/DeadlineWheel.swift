/// Something that has to happen at a time, unless it is put off before: a member of at most one wheel.
///
/// A deadline is lazy. Moving it later is one store; the wheel notices when the old time comes round.
open class Timed {
  /// Milliseconds on the loop's clock; `never` for none.
  @exclusivity(unchecked) public final fileprivate(set) var deadline = Timed.never
  /// The tick whose slot this is linked into, or one of those below.
  fileprivate final var slotTick = Timed.unlinked
  // Neighbours in the slot's list. Unowned: whoever owns this object removes it from the wheel before it goes.
  fileprivate final var next: Unmanaged<Timed>?
  fileprivate final var previous: Unmanaged<Timed>?

  public static let never = Int64.max
  fileprivate static let unlinked: Int64 = -1
  /// Out of the wheel, and about to be told.
  fileprivate static let due: Int64 = -2
  /// Out of the wheel for good.
  fileprivate static let retired: Int64 = -3

  public init() {}

  /// Called once when the deadline has passed; the deadline is `never` by then.
  open func deadlinePassed() {}
}

/// A hashed timing wheel (Varghese and Lauck 1987, scheme 6) with one level: setting, putting off and removing are
/// O(1). Time is handed in; the resolution is one tick.
struct DeadlineWheel {
  /// Milliseconds a tick.
  static let tick: Int64 = 10
  private static let slotCount = 1024

  private var slots = ContiguousArray<Unmanaged<Timed>?>(repeating: nil, count: slotCount)
  /// Bit n of word m is set when slot 64 m + n is not empty.
  private var occupied = ContiguousArray<UInt64>(repeating: 0, count: slotCount / 64)
  /// All ticks up to this one are done.
  private var currentTick: Int64

  init(now: Int64) {
    currentTick = now / Self.tick
  }

  /// Sets the deadline, in milliseconds. Returns true when the wheel has to be woken earlier than before for it.
  mutating func set(_ timed: Timed, to deadline: Int64) -> Bool {
    guard timed.slotTick != Timed.retired else { return false }
    timed.deadline = deadline
    // A tick starts before what is due in it, so the deadline's own tick is over one tick later.
    let wanted = max(deadline / Self.tick + 1, currentTick + 1)
    if timed.slotTick >= 0 {
      if wanted >= timed.slotTick { return false }
      unlink(timed)
    }
    let before = nextDue
    link(timed, at: min(wanted, currentTick + Int64(Self.slotCount) - 1))
    return before.map { timed.slotTick * Self.tick < $0 } ?? true
  }

  /// Takes it out, for an object that is about to go.
  mutating func remove(_ timed: Timed) {
    timed.deadline = Timed.never
    if timed.slotTick >= 0 { unlink(timed) }
    if timed.slotTick == Timed.due { timed.slotTick = Timed.unlinked }
  }

  /// Takes it out for good: it may go at any time from now on, so that it must not be linked again.
  mutating func retire(_ timed: Timed) {
    remove(timed)
    timed.slotTick = Timed.retired
  }

  /// Forgets the deadline; the object stays linked until its slot comes round.
  func clear(_ timed: Timed) {
    timed.deadline = Timed.never
    if timed.slotTick == Timed.due { timed.slotTick = Timed.unlinked }
  }

  /// True, once, for what `advance` has found due, unless it was removed, cleared or set anew since.
  func takeDue(_ timed: Timed) -> Bool {
    guard timed.slotTick == Timed.due else { return false }
    timed.slotTick = Timed.unlinked
    return true
  }

  /// When `advance` should be called next, in milliseconds; nil when the wheel is empty.
  var nextDue: Int64? {
    let start = Int((currentTick + 1) & Int64(Self.slotCount - 1))
    var word = start / 64
    var bits = occupied[word] & (UInt64.max << UInt64(start & 63))
    for _ in 0...occupied.count {
      if bits != 0 {
        let slot = word * 64 + bits.trailingZeroBitCount
        let distance = (slot - start + Self.slotCount) & (Self.slotCount - 1)
        return (currentTick + 1 + Int64(distance)) * Self.tick
      }
      word = (word + 1) % occupied.count
      bits = occupied[word]
    }
    return nil
  }

  /// Moves time on and appends to `due` what has come due.
  mutating func advance(to now: Int64, due: inout [Timed]) {
    let target = now / Self.tick
    // After a stall longer than a revolution one pass over all slots is enough.
    currentTick = max(currentTick, target - Int64(Self.slotCount))
    while currentTick < target {
      currentTick += 1
      let slot = Int(currentTick & Int64(Self.slotCount - 1))
      while let first = slots[slot]?.takeUnretainedValue() {
        unlink(first)
        if first.deadline <= now {
          first.deadline = Timed.never
          first.slotTick = Timed.due
          due.append(first)
        } else if first.deadline != Timed.never {
          let wanted = max(first.deadline / Self.tick + 1, currentTick + 1)
          link(first, at: min(wanted, currentTick + Int64(Self.slotCount) - 1))
        }
      }
    }
  }

  private mutating func link(_ timed: Timed, at tick: Int64) {
    let slot = Int(tick & Int64(Self.slotCount - 1))
    let reference = Unmanaged.passUnretained(timed)
    timed.slotTick = tick
    timed.previous = nil
    timed.next = slots[slot]
    slots[slot]?._withUnsafeGuaranteedRef { $0.previous = reference }
    slots[slot] = reference
    occupied[slot / 64] |= 1 << UInt64(slot & 63)
  }

  private mutating func unlink(_ timed: Timed) {
    let slot = Int(timed.slotTick & Int64(Self.slotCount - 1))
    timed.next?._withUnsafeGuaranteedRef { $0.previous = timed.previous }
    if let previous = timed.previous {
      previous._withUnsafeGuaranteedRef { $0.next = timed.next }
    } else {
      slots[slot] = timed.next
      if timed.next == nil { occupied[slot / 64] &= ~(1 << UInt64(slot & 63)) }
    }
    timed.next = nil
    timed.previous = nil
    timed.slotTick = Timed.unlinked
  }
}
