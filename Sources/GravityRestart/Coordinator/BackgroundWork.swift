import Synchronization
import SystemCalls

/// Blocking work beside the thread that owns it, each piece on a thread of its own. What they have to tell is taken by
/// the owner, in the order in which it came.
public final class BackgroundWork<News: Sendable>: Sendable {
  private struct State {
    var news: [News] = []
    var running = 0
  }

  private let state = Mutex(State())

  public init() {}

  /// Starts `body`, which may block and post.
  public func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
    state.withLock { $0.running += 1 }
    do throws(SystemError) {
      try Thread { [self] in
        body()
        state.withLock { $0.running -= 1 }
      }.detach()
    } catch {
      state.withLock { $0.running -= 1 }
      throw error
    }
  }

  /// Tells the owner something. From any thread.
  public func post(_ news: News) {
    state.withLock { $0.news.append(news) }
  }

  /// What was posted since the last time.
  public func take() -> [News] {
    state.withLock { state in
      defer { state.news.removeAll() }
      return state.news
    }
  }

  /// True while something runs.
  public var isRunning: Bool { state.withLock { $0.running > 0 } }
}
