/// Bounds how often requests are sent again, to a share of all requests, so that retries can't multiply an overload
/// (Brooker 2015, "token bucket" retries). One value per loop and pool.
struct RetryBudget: Sendable {
  /// A fifth of the requests.
  static let perRequest = 20
  static let perRetry = 100
  /// Retries that are allowed without any request before: a few, for a server with little traffic.
  static let initial = 10 * perRetry
  static let maximum = 100 * perRetry

  /// In hundredths of a retry.
  private var tokens = initial

  /// A request was dispatched for the first time.
  mutating func noteRequest() {
    tokens = min(tokens + Self.perRequest, Self.maximum)
  }

  /// False when the budget is used up.
  mutating func takeRetry() -> Bool {
    guard tokens >= Self.perRetry else { return false }
    tokens -= Self.perRetry
    return true
  }
}
