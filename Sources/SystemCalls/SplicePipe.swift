import CLinux
import Glibc

/// A pipe that bytes pass through from one socket to another without being copied to user space (splice(2)).
///
/// It is filled only when it is empty: so EAGAIN says which end it is about. The process must ignore SIGPIPE, because
/// splice(2) has no way to ask for none.
public final class SplicePipe {
  private let output: Descriptor
  private let input: Descriptor
  /// Bytes that it can hold; fewer, when they come in small pieces.
  public let capacity: Int
  /// Bytes in it.
  public private(set) var count = 0

  /// Makes a pipe of `capacity` bytes, or of what the system gives to this user, but at least `minimum`; see pipe(7)
  /// about the limits. Nil when there is none to be had.
  public init?(capacity wanted: Int, atLeast minimum: Int) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = withUnsafeMutablePointer(to: &ends) {
      $0.withMemoryRebound(to: Int32.self, capacity: 2) { pipe2($0, O_NONBLOCK | O_CLOEXEC) }
    }
    guard result == 0 else { return nil }
    output = Descriptor(owning: ends.0)
    input = Descriptor(owning: ends.1)
    var size = fcntl(input.number, Int32(clinux_F_SETPIPE_SZ), Int32(clamping: wanted))
    if size < 0 { size = fcntl(input.number, Int32(clinux_F_GETPIPE_SZ)) }
    capacity = Int(size)
    guard capacity >= minimum else { return nil }
  }

  /// Takes in what the socket has received, at most `byteCount`. `wouldBlock`: there is nothing.
  public func fill(from socket: Int32, atMost byteCount: Int) -> Transfer {
    precondition(count == 0, "a pipe is filled when it is empty")
    let result = Self.move(from: socket, to: input.number, byteCount)
    if case .bytes(let moved) = result { count = moved }
    return result
  }

  /// Sends what it holds, or a part. `wouldBlock`: the socket takes nothing now.
  public func drain(to socket: Int32) -> Transfer {
    precondition(count > 0, "only what is there can be sent")
    let result = Self.move(from: output.number, to: socket, count)
    if case .bytes(let moved) = result { count -= moved }
    return result
  }

  /// Takes out what it holds, at most as much as fits, and says how many bytes that were.
  public func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var position = 0
    while count > 0, position < buffer.count {
      let wanted = min(count, buffer.count - position)
      let taken = Glibc.read(output.number, buffer.baseAddress! + position, wanted)
      // Nothing else can fail, nor can bytes be missing that were counted.
      precondition(taken > 0 || errno == EINTR, "a pipe holds what was counted")
      guard taken > 0 else { continue }
      position += taken
      count -= taken
    }
    return position
  }

  private static func move(from: Int32, to: Int32, _ byteCount: Int) -> Transfer {
    while true {
      let moved = splice(from, nil, to, nil, byteCount, UInt32(clinux_SPLICE_F_NONBLOCK))
      if moved > 0 { return .bytes(moved) }
      if moved == 0 { return .end }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(code)
      }
    }
  }
}
