import Glibc
import JSON
import SystemCalls

/// Asks an upstream whether it is ready, and which version it runs: `GET {prefix}/api/version`.
public struct VersionProbe: Hashable, Sendable {
  public var endpoint: Endpoint
  public var path: String
  public var expectedStatus: ClosedRange<Int>

  public init(endpoint: Endpoint, path: String, expectedStatus: ClosedRange<Int>) {
    self.endpoint = endpoint
    self.path = path
    self.expectedStatus = expectedStatus
  }

  /// In bytes; Galaxy's answer has some fifty, another service may show a page there.
  private static let largestAnswer = 1 << 20

  /// Asks once, on a connection of its own. Blocks within the limit.
  ///
  /// - Parameter process: who serves a TCP address, as its process manager says.
  func ask(process: Int32?, within limit: WaitLimit) -> ProbeAnswer {
    let before = socketFile
    let call = HTTPCall(endpoint: endpoint, path: path, responseLimit: Self.largestAnswer)
    let response: HTTPCall.Response
    do throws(HTTPCall.Failure) {
      response = try call.send(within: limit)
    } catch {
      return .bad("\(error)")
    }
    guard expectedStatus.contains(response.status) else { return .bad("status \(response.status)") }
    let version = Self.version(in: response.content)
    guard case .unix = endpoint else {
      return .good(process.map { ServerIncarnation(process: $0) }, version: version)
    }
    // Whoever answered is behind this file only if it is the same after the answer.
    guard let before, before == socketFile else { return .bad("its socket was replaced meanwhile") }
    return .good(before, version: version)
  }

  /// True when nobody listens there, unlike one who listens and gives no good answer. Blocks within the limit.
  func isRefused(within limit: WaitLimit) -> Bool {
    do throws(HTTPCall.Failure) {
      _ = try HTTPCall(endpoint: endpoint, path: path, responseLimit: Self.largestAnswer).send(within: limit)
      return false
    } catch {
      guard case .notConnected(let error) = error else { return false }
      return [ECONNREFUSED, ENOENT].contains(error.code)
    }
  }

  private var socketFile: ServerIncarnation? {
    guard case .unix(let path) = endpoint, let status = FileStatus(of: path) else { return nil }
    return ServerIncarnation(inode: status.inode, created: status.modified)
  }

  /// Nil for an answer that is no Galaxy's.
  static func version(in content: [UInt8]) -> String? {
    guard let document = try? JSON(parsing: content), let major = document["version_major"]?.asString else {
      return nil
    }
    return galaxyVersion(major: major, minor: document["version_minor"]?.asString)
  }
}
