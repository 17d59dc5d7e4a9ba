import Testing
import UpstreamPool

@Suite struct UpstreamSetTests {
  @Test func holdsWhatWasInserted() {
    var set = UpstreamSet()
    for index in 0..<UpstreamSet.capacity { #expect(!set.contains(index)) }
    let inserted = [0, 1, 63, 64, 65, 127, 128, 191, 192, 255]
    for index in inserted { set.insert(index) }
    for index in 0..<UpstreamSet.capacity { #expect(set.contains(index) == inserted.contains(index)) }
  }

  @Test func oneAtATimeIsAlone() {
    for index in 0..<UpstreamSet.capacity {
      var set = UpstreamSet()
      set.insert(index)
      set.insert(index)
      #expect((0..<UpstreamSet.capacity).filter(set.contains) == [index])
    }
  }

  @Test func equalityIsThatOfTheMembers() {
    var (left, right) = (UpstreamSet(), UpstreamSet())
    left.insert(200)
    #expect(left != right)
    right.insert(200)
    #expect(left == right)
  }
}
