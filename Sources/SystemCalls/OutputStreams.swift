import Glibc

/// The end of what a program has printed.
public struct CapturedOutput: Sendable {
  /// The last bytes, as many as were to be kept.
  public private(set) var bytes: [UInt8] = []
  /// How many came before them and were not kept.
  public private(set) var dropped = 0
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// The bytes as text; what is not UTF-8 is replaced.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  mutating func append(_ piece: UnsafeRawBufferPointer) {
    bytes += piece
    if bytes.count > limit {
      dropped += bytes.count - limit
      bytes.removeFirst(bytes.count - limit)
    }
  }
}

/// Reads what a child prints while somebody waits for its end.
struct OutputStreams {
  private(set) var output: CapturedOutput
  private(set) var errorOutput: CapturedOutput
  private var outputNumber: Int32?
  private var errorNumber: Int32?

  private static let pieceSize = 16_384
  /// A pipe holds four pieces unless somebody made it larger (pipe(7)); who still writes could keep the reader busy.
  private static let mostPiecesAtTheEnd = 64

  /// Borrows the descriptors of `child`.
  init(_ child: borrowing Subprocess.Child, limit: Int) {
    outputNumber = child.output.number
    errorNumber = child.errorOutput.number
    output = CapturedOutput(limit: limit)
    errorOutput = CapturedOutput(limit: limit)
  }

  /// Reads until the process has ended (`ready`) or the limit comes.
  mutating func follow(
    _ handle: borrowing ProcessDescriptor, within limit: WaitLimit
  ) throws(SystemError) -> WaitEnd {
    while true {
      // poll(2) passes over negative numbers.
      var descriptors = [handle.number, outputNumber ?? -1, errorNumber ?? -1]
        .map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
      let end = try wait(for: &descriptors, within: limit)
      guard end == .ready else { return end }
      if descriptors[1].revents != 0 { _ = Self.read(&outputNumber, into: &output) }
      if descriptors[2].revents != 0 { _ = Self.read(&errorNumber, into: &errorOutput) }
      if descriptors[0].revents != 0 { return .ready }
      // A program that never stops printing is always ready.
      if limit.deadline.hasPassed { return .timedOut }
    }
  }

  /// Reads what is in the pipes, without waiting for more.
  mutating func drain() {
    for _ in 0..<Self.mostPiecesAtTheEnd where !Self.read(&outputNumber, into: &output) { break }
    for _ in 0..<Self.mostPiecesAtTheEnd where !Self.read(&errorNumber, into: &errorOutput) { break }
  }

  /// One piece; false when there is nothing to read. At the end of the stream the number is forgotten.
  private static func read(_ number: inout Int32?, into capture: inout CapturedOutput) -> Bool {
    guard let open = number else { return false }
    return withUnsafeTemporaryAllocation(byteCount: pieceSize, alignment: 1) { piece in
      while true {
        let count = Glibc.read(open, piece.baseAddress, piece.count)
        if count > 0 {
          capture.append(UnsafeRawBufferPointer(rebasing: piece[..<count]))
          return true
        }
        if count < 0 && errno == EINTR { continue }
        if count == 0 || errno != EAGAIN { number = nil }
        return false
      }
    }
  }
}
