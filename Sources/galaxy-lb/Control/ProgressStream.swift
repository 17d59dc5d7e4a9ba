import EventLoop
import JSON

/// A response that goes on for as long as something is under way: a JSON value a line (newline-delimited JSON), the
/// last one saying how it ended.
class ProgressStream: Timed {
  static let contentType = "application/x-ndjson"

  /// Where the lines go; nil when the client has gone, or all is said.
  private(set) unowned(unsafe) var connection: ControlConnection?

  /// Begins to tell. Called once, when the response's head is on its way; a subclass does its part behind this.
  func begin(on connection: ControlConnection) { self.connection = connection }

  /// Tells what goes on. Left out when the client has not taken the lines before.
  final func report(_ line: JSON) { connection?.send(line: line, isLast: false) }

  /// Tells how it ended.
  final func finish(_ line: JSON) {
    guard let connection else { return }
    clientLeft()
    connection.send(line: line, isLast: true)
  }

  /// Nobody listens any more. A subclass lets go of what it holds, and calls this.
  func clientLeft() {
    connection?.loop.remove(self)
    connection = nil
  }
}
