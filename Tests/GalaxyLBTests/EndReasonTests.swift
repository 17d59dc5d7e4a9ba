import HTTP1
import Testing

@testable import galaxy_lb

@Suite struct EndReasonTests {
  /// They stand in logs and metrics that others read: a word that changes is a change for them.
  @Test(arguments: [
    (EndReason.completed, "completed"), (.clientLeft, "client_left"),
    (.requestRejected(.malformedHost), "rejected_malformed_host"),
    (.requestRejected(.bodyTooLarge), "rejected_body_too_large"),
    (.requestRejected(.transferEncodingInHTTP10), "rejected_transfer_encoding_in_http_10"),
    (.upstreamFailed(.closedBeforeAnswer), "upstream_closed_before_answer"),
  ])
  func aReasonHasItsWord(_ reason: EndReason, _ word: String) {
    #expect(reason.name == word)
  }

  @Test func everyWordIsItsOwnAndReadable() {
    let names = EndReason.all.map(\.name)
    #expect(Set(names).count == names.count)
    for name in names {
      let words = name.split(separator: "_", omittingEmptySubsequences: false)
      #expect(words.joined().allSatisfy { "a"..."z" ~= $0 || "0"..."9" ~= $0 }, "\(name)")
      #expect(words.allSatisfy { $0.count > 1 }, "\(name): an acronym was taken apart")
    }
  }

  @Test func aReasonHasItsPlaceInAll() {
    for (place, reason) in EndReason.all.enumerated() { #expect(reason.number == place) }
  }
}
