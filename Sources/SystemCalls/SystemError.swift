import Glibc

/// A system call that failed: its name and the `errno` it left (errno(3)).
///
/// Every wrapper of this module throws it, so the name of the call is never lost on the way to the log.
public struct SystemError: Error, Equatable, Sendable {
  /// The name of the system call, as in section 2 of the manual.
  public let call: StaticString
  /// The value of `errno` right after the call.
  public let code: Int32

  public init(call: StaticString, code: Int32) {
    self.call = call
    self.code = code
  }

  /// The error of the call that has just failed on this thread.
  public static func last(_ call: StaticString) -> SystemError {
    SystemError(call: call, code: errno)
  }

  public static func == (left: SystemError, right: SystemError) -> Bool {
    left.code == right.code && left.call.description == right.call.description
  }

  /// The text of strerror(3) for `code`.
  public var reason: String {
    String(cString: strerror(code))
  }
}

extension SystemError: CustomStringConvertible {
  public var description: String { "\(call): \(reason)" }
}

/// Repeats `body` while a signal interrupts it (EINTR), and throws when it answers a negative number.
@discardableResult
public func retryingInterrupts<Result: FixedWidthInteger & SignedInteger>(
  _ call: StaticString, _ body: () -> Result
) throws(SystemError) -> Result {
  while true {
    let result = body()
    if result >= 0 { return result }
    let code = errno
    if code != EINTR { throw SystemError(call: call, code: code) }
  }
}
