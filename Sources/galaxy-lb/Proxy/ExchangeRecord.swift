/// What is written down about an exchange. Times in nanoseconds of the monotonic clock, 0 for never.
struct ExchangeRecord {
  var receivedAt: Int64 = 0
  /// When the last upstream was chosen, then when its socket took the first byte.
  var sentAt: Int64 = 0
  var firstByteAt: Int64 = 0
  var endedAt: Int64 = 0
  /// How long it waited for an upstream.
  var held: Int64 = 0
  var status = 0
  var bytesReceived: Int64 = 0
  /// To the client, heads and frames of bodies included.
  var bytesSent: Int64 = 0
  /// Of these, heads.
  var headBytesSent: Int64 = 0
  var retries = 0
  /// Set where it is written down: a request that nobody writes down copies no names.
  var poolName: String?
  var upstreamName: String?
  var reason = EndReason.completed

  /// What the client got of bodies, with their frames: nginx's `$body_bytes_sent`.
  var bodyBytesSent: Int64 { max(0, bytesSent - headBytesSent) }

  /// A head for the client was made, of so many bytes.
  mutating func headSent(_ byteCount: Int) {
    bytesSent += Int64(byteCount)
    headBytesSent += Int64(byteCount)
  }
}
