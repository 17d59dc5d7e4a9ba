/// Lines between the loops and the writer: a queue of bounded size as a value. What does not fit is dropped by whole
/// batches and counted.
struct AccessLogBacklog: Sendable {
  /// Whole lines for one destination.
  struct Piece: Sendable {
    let destination: AccessLogDestination
    fileprivate(set) var bytes: [UInt8]
    fileprivate(set) var lineCount: Int
  }

  /// Bytes that may wait, those that the writer is busy with among them.
  static let capacity = 4 << 20
  /// With so many bytes the writer is woken, whenever that is due.
  static let fullBatch = 128 << 10
  /// More memory than this is not kept for later.
  private static let largestSpare = 1 << 20

  private var pieces: [Piece] = []
  /// Memory of a piece that was written, for another one.
  private var spare: [UInt8] = []
  private var byteCount = 0
  /// Lines that wait, those that the writer is busy with among them.
  private(set) var lineCount = 0
  private var lostCount = 0
  /// True when the writer is going to take what is here.
  private var isCalled = false

  /// Queues a batch of whole lines, or drops it if there is no room.
  ///
  /// Returns true when the writer must be woken, because there is much to write.
  mutating func add(
    _ batch: UnsafeRawBufferPointer, lineCount: Int, for destination: AccessLogDestination
  ) -> Bool {
    guard byteCount + batch.count <= Self.capacity else {
      lostCount += lineCount
      return false
    }
    byteCount += batch.count
    self.lineCount += lineCount
    if let last = pieces.indices.last, pieces[last].destination === destination {
      pieces[last].bytes.append(contentsOf: batch)
      pieces[last].lineCount += lineCount
    } else {
      var memory: [UInt8] = []
      swap(&memory, &spare)
      memory.append(contentsOf: batch)
      pieces.append(Piece(destination: destination, bytes: memory, lineCount: lineCount))
    }
    return byteCount >= Self.fullBatch && call()
  }

  /// Returns true when the writer must be woken for what is here.
  mutating func call() -> Bool {
    guard !isCalled, !pieces.isEmpty else { return false }
    isCalled = true
    return true
  }

  /// Takes everything, in order; it counts as waiting until it is `written` and `done`.
  mutating func take() -> [Piece] {
    isCalled = false
    defer { pieces = [] }
    return pieces
  }

  /// So many lines of a piece that was taken are written.
  mutating func written(lineCount: Int) {
    self.lineCount -= lineCount
  }

  /// All lines of a piece are written: takes its memory, which nothing else may refer to, or it would be a copy.
  mutating func done(_ piece: inout Piece) {
    byteCount -= piece.bytes.count
    guard piece.bytes.capacity > spare.capacity, piece.bytes.capacity <= Self.largestSpare else { return }
    piece.bytes.removeAll(keepingCapacity: true)
    swap(&piece.bytes, &spare)
  }

  /// Gives up everything that waits or was taken.
  mutating func giveUp() {
    lostCount += lineCount
    pieces = []
    byteCount = 0
    lineCount = 0
  }

  /// How many lines were lost since this was asked.
  mutating func takeLost() -> Int {
    defer { lostCount = 0 }
    return lostCount
  }
}

/// The end of the longest run of whole lines from `start` on that is no longer than `longest`; that of the first line
/// if even this is longer. `lines` ends in a newline.
func endOfWholeLines(in lines: [UInt8], from start: Int, longest: Int) -> Int {
  let newline: UInt8 = 0x0A
  guard lines.count - start > longest else { return lines.count }
  if let last = lines[start..<start + longest].lastIndex(of: newline) { return last + 1 }
  return lines[(start + longest)...].firstIndex(of: newline).map { $0 + 1 } ?? lines.count
}

/// Where the line begins that the byte at `position` belongs to.
func startOfLine(in lines: [UInt8], at position: Int) -> Int {
  lines[..<position].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
}
