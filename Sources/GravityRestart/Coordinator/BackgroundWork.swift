import Synchronization
import SystemCalls

/// Blocking work beside the thread that owns it, each piece on a thread of its own. What they have to tell is taken by
/// the owner, in the order in which it came.
public final class BackgroundWork<News: Sendable>: Sendable {
  private let news = Mutex<[News]>([])

  public init() {}

  /// Starts `body`, which may block and post.
  public func start(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
    try Thread(body).detach()
  }

  /// Tells the owner something. From any thread.
  public func post(_ piece: News) {
    news.withLock { $0.append(piece) }
  }

  /// What was posted since the last time.
  public func take() -> [News] {
    news.withLock { news in
      defer { news.removeAll() }
      return news
    }
  }
}
