import SystemCalls

/// The workers that a HUP to their gunicorn replaces, watched until they take no more connections.
///
/// gunicorn starts the new ones and tells the old ones to end right after that. Those on asyncio look for it ten times
/// a second, close the listening socket first and their idle connections with it, and live until their requests are
/// done. What can be seen of that is in /proc: which sockets a process has open.
struct WorkerHandover {
  private let master: Int32
  private let before: [Int32]
  /// Those that are watched: of those before, whose listening socket can be seen, or all where none can.
  private let watched: [Int32]
  /// The listening sockets of the address; empty where they can't be seen, so that only a worker's end tells.
  private let listeners: Set<UInt64>

  /// - Parameters:
  ///   - status: the gunicorn as it is before the HUP; nil comes of one whose master is not known.
  ///   - endpoint: where it listens.
  init?(_ status: UnitStatus, at endpoint: Endpoint) {
    guard let master = status.process else { return nil }
    self.master = master
    before = status.workers
    let listeners = ProcessSockets.listening(at: endpoint, seenBy: master)
    let visible = before.filter { !ProcessSockets.open(in: $0).isDisjoint(with: listeners) }
    watched = visible.isEmpty ? before : visible
    self.listeners = visible.isEmpty ? [] : listeners
  }

  var masterRuns: Bool { ProcessRecord.isRunning(master) }

  /// True when there are workers that were not there before.
  var hasBegun: Bool { !Set(ProcessRecord.children(of: master)).isSubset(of: before) }

  /// True when none of the workers of before takes connections.
  var isDone: Bool { !watched.contains(where: takesConnections) }

  private func takesConnections(_ worker: Int32) -> Bool {
    // Its number may have been given to another process.
    guard ProcessRecord.isRunning(worker, childOf: master) else { return false }
    return listeners.isEmpty || !ProcessSockets.open(in: worker).isDisjoint(with: listeners)
  }
}
