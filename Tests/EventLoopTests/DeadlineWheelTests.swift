import TestSupport
import Testing

@testable import EventLoop

/// A member of the wheel that writes down when it was told.
private final class Alarm: Timed {
  let name: Int
  init(_ name: Int) { self.name = name }
}

/// A wheel and what calls it, as the event loop does it.
private final class Clockwork {
  private var wheel: DeadlineWheel
  private(set) var now: Int64
  private var due: [Timed] = []

  init(now: Int64) {
    self.now = now
    wheel = DeadlineWheel(now: now)
  }

  var nextDue: Int64? { wheel.nextDue }
  func set(_ alarm: Alarm, to deadline: Int64) -> Bool { wheel.set(alarm, to: deadline) }
  func remove(_ alarm: Alarm) { wheel.remove(alarm) }
  func clear(_ alarm: Alarm) { wheel.clear(alarm) }
  func retire(_ alarm: Alarm) { wheel.retire(alarm) }

  /// Moves time on and returns what has come due, each once. `meanwhile` is called for each before it is told.
  func advance(to time: Int64, meanwhile: (Alarm) -> Void = { _ in }) -> [Alarm] {
    now = time
    wheel.advance(to: now, due: &due)
    let passed = due.compactMap { $0 as? Alarm }
    due.removeAll()
    return passed.filter { alarm in
      meanwhile(alarm)
      return wheel.takeDue(alarm)
    }
  }
}

@Suite struct DeadlineWheelTests {
  private static let tick = DeadlineWheel.tick

  /// Against a plain list of deadlines: never early, at most a tick late, each once, and woken in time by `nextDue`
  /// alone.
  @Test(arguments: [1, 2, 3, 5, 8, 13, 21, 34] as [UInt64])
  func agreesWithAPlainList(_ seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    let clockwork = Clockwork(now: Int64.random(in: 0...100_000, using: &generator))
    let alarms = (0..<60).map(Alarm.init)
    var model: [Int: Int64] = [:]

    for step in 0..<4_000 {
      let alarm = alarms.randomElement(using: &generator)!
      switch Int.random(in: 0..<10, using: &generator) {
      case 0..<5:
        let deadline = clockwork.now + Self.delay(&generator)
        let before = clockwork.nextDue
        let isEarlier = clockwork.set(alarm, to: deadline)
        model[alarm.name] = deadline
        let after = clockwork.nextDue ?? .max
        if !isEarlier { #expect(after >= before ?? .max, "seed \(seed), step \(step): silently earlier") }
      case 5:
        clockwork.remove(alarm)
        model[alarm.name] = nil
      case 6:
        clockwork.clear(alarm)
        model[alarm.name] = nil
      default:
        let time = clockwork.now + Self.pause(&generator, nextDue: clockwork.nextDue, now: clockwork.now)
        let told = clockwork.advance(to: time)
        for alarm in told {
          let deadline = model.removeValue(forKey: alarm.name)
          #expect(deadline != nil, "seed \(seed), step \(step): told without a deadline, or twice")
          #expect((deadline ?? .max) <= time, "seed \(seed), step \(step): early")
          #expect(alarm.deadline == Timed.never)
        }
        let overdue = model.filter { $0.value / Self.tick < time / Self.tick }
        #expect(overdue.isEmpty, "seed \(seed), step \(step): more than a tick late: \(overdue)")
      }
      // Whoever waits for `nextDue` is never too late for anybody.
      let wake = clockwork.nextDue ?? .max
      for (name, deadline) in model where wake > deadline + Self.tick {
        Issue.record("seed \(seed), step \(step): \(name) is due at \(deadline), woken at \(wake)")
      }
    }

    // Nothing but `nextDue` drives it to its end.
    var turns = 0
    while let next = clockwork.nextDue, turns < 100_000 {
      turns += 1
      for alarm in clockwork.advance(to: max(next, clockwork.now)) {
        let deadline = model.removeValue(forKey: alarm.name)
        #expect(deadline.map { $0 <= clockwork.now && clockwork.now <= $0 + Self.tick } == true)
      }
    }
    #expect(model.isEmpty, "seed \(seed): never told")
    for alarm in alarms { clockwork.remove(alarm) }
  }

  private static func delay(_ generator: inout SeededGenerator) -> Int64 {
    switch Int.random(in: 0..<6, using: &generator) {
    case 0: 0
    case 1: Int64.random(in: 0...30, using: &generator)
    case 2: Int64.random(in: 0...2_000, using: &generator)
    // Around a revolution, and over several.
    case 3: Int64.random(in: 10_200...10_260, using: &generator)
    case 4: Int64.random(in: 0...60_000, using: &generator)
    default: Int64.random(in: 0...4_000_000, using: &generator)
    }
  }

  private static func pause(_ generator: inout SeededGenerator, nextDue: Int64?, now: Int64) -> Int64 {
    switch Int.random(in: 0..<8, using: &generator) {
    case 0: 0
    case 1...3: Int64.random(in: 0...50, using: &generator)
    case 4: max(0, (nextDue ?? now) - now)
    case 5: Int64.random(in: 0...12_000, using: &generator)
    // A stall: exactly a revolution, or much longer.
    case 6: 1024 * tick + Int64.random(in: -15...15, using: &generator)
    default: Int64.random(in: 0...200_000, using: &generator)
    }
  }

  @Test func isEmptyAtFirst() {
    let clockwork = Clockwork(now: 12_345)
    #expect(clockwork.nextDue == nil)
    #expect(clockwork.advance(to: 1_000_000).isEmpty)
  }

  @Test func puttingOffIsLazy() {
    let clockwork = Clockwork(now: 1_000)
    let alarm = Alarm(0)
    defer { clockwork.remove(alarm) }
    #expect(clockwork.set(alarm, to: 1_500))
    let woken = clockwork.nextDue
    #expect(!clockwork.set(alarm, to: 9_000))
    // The old time stays in the wheel, and when it comes nothing happens but that the new one is put there.
    #expect(clockwork.nextDue == woken)
    #expect(clockwork.advance(to: 1_600).isEmpty)
    #expect(clockwork.advance(to: 8_999).isEmpty)
    #expect(clockwork.advance(to: 9_010).map(\.name) == [0])
  }

  @Test func anEarlierDeadlineWakesEarlier() {
    let clockwork = Clockwork(now: 0)
    let (early, late) = (Alarm(0), Alarm(1))
    #expect(clockwork.set(late, to: 5_000))
    #expect(!clockwork.set(early, to: 6_000))
    #expect(clockwork.set(early, to: 100))
    #expect(clockwork.advance(to: 110).map(\.name) == [0])
    #expect(clockwork.advance(to: 5_010).map(\.name) == [1])
  }

  /// Guards against a callback that ends or puts off another object whose time has come in the same turn, which
  /// would be told all the same.
  @Test(arguments: ["removed", "cleared", "set anew"])
  func whatIsDueMayStillBeCalledOff(_ how: String) {
    let clockwork = Clockwork(now: 0)
    let alarms = (0..<2).map(Alarm.init)
    for alarm in alarms { _ = clockwork.set(alarm, to: 100) }
    var isFirst = true
    let told = clockwork.advance(to: 200) { first in
      guard isFirst else { return }
      isFirst = false
      let other = alarms[1 - first.name]
      switch how {
      case "removed": clockwork.remove(other)
      case "cleared": clockwork.clear(other)
      default: _ = clockwork.set(other, to: 300)
      }
    }
    #expect(told.count == 1)
    let later = clockwork.advance(to: 10_000)
    #expect(later.count == (how == "set anew" ? 1 : 0))
    #expect(!later.contains { $0 === told.first })
  }

  /// Guards against a wheel that names memory which is gone: a retired object never comes back into it.
  @Test func theRetiredGetNoDeadline() {
    let wheel = Clockwork(now: 0)
    let alarm = Alarm(0)
    _ = wheel.set(alarm, to: 100)
    wheel.retire(alarm)
    #expect(wheel.nextDue == nil)
    #expect(!wheel.set(alarm, to: 200))
    #expect(wheel.nextDue == nil)
    #expect(alarm.deadline == Timed.never)
  }

  @Test func neighboursInASlotAreUnlinkedInAnyOrder() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
      let wheel = Clockwork(now: 0)
      let alarms = (0..<3).map(Alarm.init)
      for alarm in alarms { _ = wheel.set(alarm, to: 500) }
      for (count, name) in order.enumerated() {
        #expect(wheel.nextDue == 510)
        wheel.remove(alarms[name])
        #expect((wheel.nextDue == nil) == (count == 2))
      }
    }
  }

  @Test func timeThatDoesNotMoveOnTellsNobody() {
    let clockwork = Clockwork(now: 5_000)
    let alarm = Alarm(0)
    _ = clockwork.set(alarm, to: 5_000)
    #expect(clockwork.advance(to: 5_000).isEmpty)
    #expect(clockwork.advance(to: 4_000).isEmpty)
    #expect(clockwork.advance(to: 5_010).map(\.name) == [0])
  }
}
