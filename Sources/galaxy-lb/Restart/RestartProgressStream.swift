import JSON

/// One watcher of a restart: what was told until now, then what goes on.
final class RestartProgressStream: ProgressStream {
  private let restart: GracefulRestart
  private let isAttached: Bool

  /// - Parameter isAttached: true for somebody who came when it had begun.
  init(_ restart: GracefulRestart, isAttached: Bool) {
    self.restart = restart
    self.isAttached = isAttached
  }

  override func begin(on connection: ControlConnection) {
    super.begin(on: connection)
    restart.add(self, isAttached: isAttached)
  }

  /// The restart goes on without its watchers.
  override func clientLeft() {
    restart.remove(self)
    super.clientLeft()
  }
}
