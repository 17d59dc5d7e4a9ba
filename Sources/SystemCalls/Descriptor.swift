import CLinux
import Glibc

/// An open file descriptor that has exactly one owner and is closed when that owner lets go of it.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, borrowed: it is valid for as long as this value lives.
  public let number: Int32

  /// Takes ownership of an open descriptor.
  public init(owning number: Int32) {
    self.number = number
  }

  deinit {
    _ = Glibc.close(number)
  }

  /// Gives the ownership to the caller, who must close the number.
  public consuming func release() -> Int32 {
    let number = self.number
    discard self
    return number
  }
}

/// What one non-blocking transfer came to.
public enum Transfer: Equatable, Sendable {
  /// So many bytes moved, at least one.
  case bytes(Int)
  /// Nothing can be moved now (EAGAIN).
  case wouldBlock
  /// The peer has ended its side (reads only).
  case end
  /// The connection is broken; the value is the `errno`.
  case failed(Int32)
}

/// recv(2) on a non-blocking socket.
public func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
  while true {
    let count = Glibc.recv(descriptor, buffer.baseAddress, buffer.count, 0)
    if count > 0 { return .bytes(count) }
    if count == 0 { return .end }
    switch errno {
    case EINTR: continue
    case EAGAIN: return .wouldBlock
    case let code: return .failed(code)
    }
  }
}

/// send(2) on a non-blocking socket, without SIGPIPE. `more` holds the last segment back for what follows
/// (MSG_MORE).
public func send(_ descriptor: Int32, _ buffer: UnsafeRawBufferPointer, more: Bool = false) -> Transfer {
  let flags = Int32(MSG_NOSIGNAL) | (more ? Int32(MSG_MORE) : 0)
  while true {
    let count = Glibc.send(descriptor, buffer.baseAddress, buffer.count, flags)
    if count >= 0 { return .bytes(count) }
    switch errno {
    case EINTR: continue
    case EAGAIN: return .wouldBlock
    case let code: return .failed(code)
    }
  }
}

/// sendmsg(2) of two pieces in one call, without SIGPIPE. An empty first piece costs nothing.
public func send(
  _ descriptor: Int32, _ first: UnsafeRawBufferPointer, then second: UnsafeRawBufferPointer
) -> Transfer {
  guard !first.isEmpty else { return send(descriptor, second) }
  return withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { pieces in
    pieces[0] = iovec(iov_base: UnsafeMutableRawPointer(mutating: first.baseAddress), iov_len: first.count)
    pieces[1] = iovec(iov_base: UnsafeMutableRawPointer(mutating: second.baseAddress), iov_len: second.count)
    var message = msghdr()
    message.msg_iov = pieces.baseAddress
    message.msg_iovlen = 2
    while true {
      let count = sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
      if count >= 0 { return .bytes(count) }
      switch errno {
      case EINTR: continue
      case EAGAIN: return .wouldBlock
      case let code: return .failed(code)
      }
    }
  }
}
