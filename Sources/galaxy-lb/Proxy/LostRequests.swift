import Synchronization
import UpstreamPool

/// A request whose user got an error of the proxy's, or an incomplete answer, because of its upstreams.
struct LostRequest: Equatable, Sendable {
  var pool: String
  /// The last one that it was sent to; nil when there was none.
  var upstream: String?
  /// Method and path, without the query. See `text(ofRequest:)`.
  var request: String
  var reason: EndReason

  /// The longest method and path that are told, in bytes as they came.
  static let longestRequest = 200

  /// Method and path of a request head, without the query, which may hold what nobody else should read. As in the access
  /// log every byte that is not printable ASCII, and `\`, is written as `\xXX`; what is longer is cut and ends in
  /// `...`.
  static func text(ofRequest head: UnsafeRawBufferPointer) -> String {
    var text = ""
    var isInPath = false
    for (position, byte) in head.enumerated() {
      switch byte {
      case UInt8(ascii: " ") where isInPath, UInt8(ascii: "?"), UInt8(ascii: "\r"), UInt8(ascii: "\n"):
        return text
      default: break
      }
      guard position < longestRequest else { return text + "..." }
      if byte == UInt8(ascii: " ") { isInPath = true }
      if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "\\") {
        text.unicodeScalars.append(Unicode.Scalar(byte))
      } else {
        let digits = String(byte, radix: 16, uppercase: true)
        text += digits.utf8.count == 1 ? "\\x0\(digits)" : "\\x\(digits)"
      }
    }
    return text
  }
}

extension EndReason {
  /// True when its user has lost the request to a fault of upstreams, or of the proxy, and not to one of the request or
  /// its client, nor to a stop of the proxy.
  var isLoss: Bool {
    switch self {
    case .upstreamFailed, .noUpstream, .holdExpired, .holdRefused, .drainExpired, .resourcesExhausted: true
    case .completed, .tunnelClosed, .requestRejected, .clientLeft, .clientTimedOut, .noRoute, .stopped: false
    }
  }
}

/// Lost requests on their way from the loops to whoever wants to know, while somebody does.
final class LostRequests: Sendable {
  private struct State {
    var requests: [LostRequest] = []
    var leftOut = 0
    var tell: (@Sendable () -> Void)?
  }

  private let watched = Atomic<Bool>(false)
  private let state = Mutex(State())

  /// So many wait to be taken; more are only counted.
  static let maximumWaiting = 256

  /// True while somebody wants to know. Nothing is noted otherwise, and what was is forgotten.
  var isWatched: Bool {
    get { watched.load(ordering: .relaxed) }
    set {
      watched.store(newValue, ordering: .relaxed)
      if !newValue { _ = takeAll() }
    }
  }

  /// Says how one learns that there is something to take. The closure is called on any thread.
  func onNews(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.tell = body } }

  /// A request was lost. From any thread.
  func note(_ request: LostRequest) {
    let tell = state.withLock { state in
      let wasEmpty = state.requests.isEmpty
      if state.requests.count < Self.maximumWaiting {
        state.requests.append(request)
      } else {
        state.leftOut += 1
      }
      return wasEmpty ? state.tell : nil
    }
    tell?()
  }

  /// What was noted since the last time, and how many more there were.
  func takeAll() -> (requests: [LostRequest], leftOut: Int) {
    state.withLock { state in
      defer {
        state.requests = []
        state.leftOut = 0
      }
      return (state.requests, state.leftOut)
    }
  }
}
