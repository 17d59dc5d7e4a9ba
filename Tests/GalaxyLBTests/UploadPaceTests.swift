import Testing

@testable import galaxy_lb

@Suite struct UploadPaceTests {
  private static let large = UploadPace.largePiece
  private static let much = Int64(100 * UploadPace.largePiece)

  /// A pace that was fast at 0 ms.
  private func fast() -> UploadPace {
    var pace = UploadPace()
    pace.arrived(Self.large, remaining: Self.much, now: 0)
    #expect(pace.isFast)
    return pace
  }

  @Test(arguments: [(UploadPace.patience, true), (UploadPace.patience + 1, false)])
  func aClientIsFastThatSendsALargePieceInTime(_ milliseconds: Int64, isFast: Bool) {
    var pace = UploadPace()
    pace.arrived(1, remaining: Self.much, now: 1_000)
    pace.arrived(Self.large - 2, remaining: Self.much, now: 1_000)
    #expect(!pace.isFast)
    pace.arrived(1, remaining: Self.much, now: 1_000 + milliseconds)
    #expect(pace.isFast == isFast)
  }

  @Test func aSlowPieceIsForgottenWithTheNextOne() {
    var pace = UploadPace()
    pace.arrived(1, remaining: Self.much, now: 0)
    pace.arrived(Self.large, remaining: Self.much, now: 5_000)
    #expect(!pace.isFast)
    pace.arrived(Self.large, remaining: Self.much, now: 9_000)
    #expect(pace.isFast)
  }

  @Test func aPauseEndsItUntilTheNextLargePiece() {
    var pace = fast()
    pace.arrived(Self.large / 2, remaining: Self.much, now: 1)
    pace.paused()
    #expect(!pace.isFast)
    pace.arrived(Self.large / 2, remaining: Self.much, now: 2)
    #expect(!pace.isFast)
    pace.arrived(Self.large / 2, remaining: Self.much, now: 3)
    #expect(pace.isFast)
  }

  /// Else the last bytes would be waited for with more that never come.
  @Test func noMoreIsWaitedForThanIsStillToCome() {
    var pace = fast()
    pace.arrived(1, remaining: Int64(Self.large), now: 1)
    #expect(pace.isFast)
    pace.arrived(1, remaining: Int64(Self.large) - 1, now: 1)
    #expect(!pace.isFast)
  }

  @Test func theEndOfABodyIsNotWorthAChange() {
    var pace = UploadPace()
    pace.arrived(Self.large, remaining: 4 * Int64(Self.large) - 1, now: 0)
    #expect(!pace.isFast)
  }
}
