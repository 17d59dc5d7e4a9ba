import EventLoop
import SystemCalls

/// The pipes of one worker, for bodies that are spliced. One is taken for each piece and given back when the upstream
/// has taken all of it, so that only those that wait for their upstream hold one for longer.
final class PipePool: Timed {
  private unowned(unsafe) let loop: EventLoop
  private var idle: [SplicePipe] = []
  private var lentCount = 0

  /// Bytes: the most that users without privileges get (pipe-max-size, pipe(7)).
  private static let capacity = 1024 * 1024
  /// What a new pipe has anyway; those beyond a user's share are smaller, and not worth it.
  private static let leastCapacity = 64 * 1024
  /// A user without privileges gets 64 of this capacity, for all of their processes (pipe-user-pages-soft, pipe(7)).
  private static let maximumLent = 32
  private static let maximumIdle = 4
  /// Milliseconds without use after which pipes are closed.
  private static let patience: Int64 = 1_000

  init(loop: EventLoop) {
    self.loop = loop
  }

  /// An empty pipe, to be given back; nil when there is none to be had, and the bytes are to be copied.
  func take() -> SplicePipe? {
    guard lentCount < Self.maximumLent,
      let pipe = idle.popLast() ?? SplicePipe(capacity: Self.capacity, atLeast: Self.leastCapacity)
    else { return nil }
    lentCount += 1
    return pipe
  }

  /// Takes a pipe back; one that is not empty is closed.
  func giveBack(_ pipe: SplicePipe) {
    lentCount -= 1
    guard pipe.count == 0, idle.count < Self.maximumIdle else { return }
    idle.append(pipe)
    loop.setDeadline(of: self, in: Self.patience)
  }

  override func deadlinePassed() { idle.removeAll() }
}
