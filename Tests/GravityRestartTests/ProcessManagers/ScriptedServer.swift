import Foundation
import Synchronization
import SystemCalls

/// Takes one connection after the other on a unix socket of its own, keeps what was asked, and gives the answers of
/// a script, in order and each followed by the end of the connection.
final class ScriptedServer {
  enum Answer: Sendable {
    case bytes([UInt8])
    /// Nothing, until the server ends.
    case silence
  }

  let endpoint: Endpoint
  private let path: String
  private let script: Script

  init(_ answers: [Answer]) throws {
    path = NSTemporaryDirectory() + "scripted-\(UUID().uuidString.prefix(8)).sock"
    endpoint = .unix(path: path)
    let script = Script(try Cancellation())
    self.script = script
    let listener = try Listening.sockets(
      on: endpoint, count: 1, options: Listening.Options(deferAccept: false))[0]
    _ = try SystemCalls.Thread {
      let owned = Descriptor(owning: listener)
      for answer in answers { script.serve(answer, on: owned.number) }
    }
  }

  deinit {
    script.stopping.cancel()
    unlink(path)
  }

  /// What was asked so far, each with its head.
  var asked: [String] { script.requests.withLock { $0 } }
  /// The same for another thread.
  var hasBeenAsked: @Sendable () -> Bool {
    let script = script
    return { script.requests.withLock { !$0.isEmpty } }
  }
}

/// What the server's thread works on.
private final class Script: Sendable {
  let requests = Mutex<[String]>([])
  let stopping: Cancellation
  private let limit: WaitLimit

  init(_ stopping: Cancellation) {
    self.stopping = stopping
    limit = WaitLimit(until: .after(.seconds(60)), cancellation: stopping)
  }

  func serve(_ answer: ScriptedServer.Answer, on listener: Int32) {
    guard (try? wait(for: listener, Int32(POLLIN), within: limit)) == .ready,
      case .connection(let number, _) = accept(from: listener)
    else { return }
    let connection = Descriptor(owning: number)
    var request: [UInt8] = []
    while !isComplete(request), (try? wait(for: connection.number, Int32(POLLIN), within: limit)) == .ready {
      let transfer = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { piece in
        let transfer = receive(number, into: piece)
        if case .bytes(let count) = transfer { request += piece[..<count] }
        return transfer
      }
      guard case .bytes = transfer else { break }
    }
    let text = String(decoding: request, as: UTF8.self)
    requests.withLock { $0.append(text) }
    switch answer {
    case .silence: _ = try? pause(.seconds(60), within: limit)
    case .bytes(let bytes):
      var rest = bytes[...]
      while !rest.isEmpty, (try? wait(for: connection.number, Int32(POLLOUT), within: limit)) == .ready {
        guard case .bytes(let count) = rest.withUnsafeBytes({ send(number, $0) }) else { return }
        rest = rest.dropFirst(count)
      }
    }
  }

  private func isComplete(_ request: [UInt8]) -> Bool {
    let text = String(decoding: request, as: UTF8.self)
    guard let end = text.range(of: "\r\n\r\n"),
      let field = text.range(of: "Content-Length: "),
      let length = Int(text[field.upperBound...].prefix { $0.isNumber })
    else { return false }
    return text[end.upperBound...].utf8.count >= length
  }
}

extension ScriptedServer.Answer {
  /// A response with a length.
  static func http(_ content: String, status: String = "200 OK") -> Self {
    .bytes(Array("HTTP/1.1 \(status)\r\nContent-Length: \(content.utf8.count)\r\n\r\n\(content)".utf8))
  }

  static func text(_ text: String) -> Self { .bytes(Array(text.utf8)) }

  static func value(_ value: String) -> Self {
    .http(
      "<?xml version='1.0'?><methodResponse><params><param><value>\(value)</value></param></params></methodResponse>"
    )
  }

  static func fault(_ code: Int, _ text: String) -> Self {
    .http(
      "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>\(code)</int></value></member>"
        + "<member><name>faultString</name><value><string>\(text)</string></value></member></struct></value></fault>"
        + "</methodResponse>")
  }

  static func program(
    _ name: String, state: Int, _ stateName: String, process: Int = 0, start: Int = 0, error: String = ""
  ) -> Self {
    let numbers = ["state": state, "pid": process, "start": start, "stop": 0, "now": 1000, "exitstatus": 3]
    let texts = ["name": name, "group": name, "statename": stateName, "spawnerr": error, "description": ""]
    let members =
      numbers.map { "<member><name>\($0.key)</name><value><int>\($0.value)</int></value></member>" }
      + texts.map { "<member><name>\($0.key)</name><value><string>\($0.value)</string></value></member>" }
    return .value("<struct>\(members.joined())</struct>")
  }
}
