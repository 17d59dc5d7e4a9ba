import Testing
import UpstreamPool

@Suite struct RedispatchTests {
  /// Every combination there is, against the table in the documentation of `Redispatch`, written down once more in
  /// its words.
  @Test func everyCombinationIsAsDocumented() {
    var count = 0
    for failure in UpstreamFailure.allCases {
      for dispatch in DispatchState.allCases {
        for isIdempotent in [false, true] {
          for isReplayable in [false, true] {
            for attempts in 0...Redispatch.maximumAttempts + 1 {
              let decision = Redispatch.decide(
                after: failure, dispatch: dispatch, isIdempotent: isIdempotent, isReplayable: isReplayable,
                attempts: attempts)
              let expected: Redispatch =
                switch (dispatch, isReplayable, isIdempotent) {
                case (_, false, _): .giveUp
                case (.responseBegun, _, _): .giveUp
                case (.nothingSent, true, _): .again
                case (.headSent, true, false), (.bodySent, true, false): .giveUp
                case (.headSent, true, true), (.bodySent, true, true):
                  attempts < Redispatch.maximumAttempts && failure != .timedOut
                    && failure != .malformedResponse
                    ? .again : .giveUp
                }
              #expect(
                decision == expected,
                "\(failure), \(dispatch), idempotent \(isIdempotent), replayable \(isReplayable), \(attempts)"
              )
              count += 1
            }
          }
        }
      }
    }
    #expect(count == 8 * 4 * 2 * 2 * 5)
  }

  /// RFC 9110 9.2.2, put the other way round: what may have been received is never sent twice unless that does no harm.
  @Test func whatMayHaveBeenReceivedIsNotSentTwice() {
    for failure in UpstreamFailure.allCases {
      for dispatch in DispatchState.allCases where dispatch > .nothingSent {
        for attempts in 1...3 {
          #expect(
            Redispatch.decide(
              after: failure, dispatch: dispatch, isIdempotent: false, isReplayable: true, attempts: attempts)
              == .giveUp)
        }
      }
    }
  }

  @Test func theOrderOfDispatchIsThatOfTime() {
    #expect(DispatchState.allCases.sorted() == [.nothingSent, .headSent, .bodySent, .responseBegun])
  }
}
