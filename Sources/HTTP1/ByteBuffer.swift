/// A queue of bytes with one owner: appended at the end, consumed at the front. It owns memory only while it holds
/// bytes, so that an idle connection costs none.
public struct ByteBuffer: ~Copyable {
  private var base: UnsafeMutableRawPointer?
  private var capacity = 0
  private var start = 0
  private var end = 0

  public init() {}

  deinit { base?.deallocate() }

  /// The number of bytes held.
  public var count: Int { end - start }
  public var isEmpty: Bool { start == end }

  /// The bytes held, valid until the next mutation.
  public var bytes: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base.map { UnsafeRawPointer($0 + start) }, count: count)
  }

  /// Lends the bytes held to a reader of this module.
  public func withSpan<Result>(_ body: (Span<UInt8>) throws -> Result) rethrows -> Result {
    try bytes.withMemoryRebound(to: UInt8.self) { try body($0.span) }
  }

  /// Drops `byteCount` bytes at the front; with the last one the memory goes too.
  public mutating func consume(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= count)
    start += byteCount
    if start == end { removeAll() }
  }

  /// Drops all bytes and the memory.
  public mutating func removeAll() {
    base?.deallocate()
    base = nil
    capacity = 0
    start = 0
    end = 0
  }

  /// Drops all bytes and keeps the memory for the next ones, unless it is more than `most` bytes.
  public mutating func removeAllKeepingMemory(upTo most: Int = .max) {
    guard capacity <= most else {
      removeAll()
      return
    }
    start = 0
    end = 0
  }

  /// Drops all bytes, and gives the memory to `spare` if it is such as is kept there.
  public mutating func removeAll(leavingMemoryTo spare: inout SpareMemory) {
    if let base, capacity == SpareMemory.blockSize, spare.keep(base) { self.base = nil }
    removeAll()
  }

  /// Takes memory from `spare`, unless there is some already, or `byteCount` bytes need more.
  public mutating func takeMemory(for byteCount: Int, from spare: inout SpareMemory) {
    guard base == nil, byteCount <= SpareMemory.blockSize else { return }
    base = spare.take()
    capacity = SpareMemory.blockSize
  }

  /// Makes room for `byteCount` more bytes and returns where they go; `commit` then says how many there are.
  public mutating func reserve(_ byteCount: Int) -> UnsafeMutableRawBufferPointer {
    makeRoom(byteCount)
    return UnsafeMutableRawBufferPointer(start: base.map { $0 + end }, count: capacity - end)
  }

  /// Takes in `byteCount` bytes that were written to what `reserve` returned.
  public mutating func commit(_ byteCount: Int) {
    precondition(byteCount >= 0 && byteCount <= capacity - end)
    end += byteCount
  }

  @inline(__always)
  private mutating func makeRoom(_ byteCount: Int) {
    precondition(byteCount >= 0)
    if capacity &- end < byteCount { grow(by: byteCount) }
  }

  @inline(never)
  private mutating func grow(by byteCount: Int) {
    let held = count
    // Sliding is only worth it where it frees most of the room, or it would happen again and again.
    if held + byteCount <= capacity, held <= capacity / 2 {
      base!.copyMemory(from: base! + start, byteCount: held)
    } else {
      let roomier = max(512, held + byteCount, held * 2)
      let memory = UnsafeMutableRawPointer.allocate(byteCount: roomier, alignment: 16)
      if let base {
        memory.copyMemory(from: base + start, byteCount: held)
        base.deallocate()
      }
      base = memory
      capacity = roomier
    }
    start = 0
    end = held
  }

  @inline(__always)
  private mutating func take(_ source: UnsafeRawPointer, _ byteCount: Int) {
    makeRoom(byteCount)
    (base! + end).copyMemory(from: source, byteCount: byteCount)
    end &+= byteCount
  }

  public mutating func append(_ bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    take(source, bytes.count)
  }

  public mutating func append(_ text: StaticString) {
    guard text.utf8CodeUnitCount > 0 else { return }
    take(text.utf8Start, text.utf8CodeUnitCount)
  }

  /// Appends the UTF-8 of a text that was made here, never one that came over the wire.
  public mutating func append(text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  mutating func append(_ bytes: Span<UInt8>, _ range: Range<Int>) {
    bytes.extracting(range).withUnsafeBytes { append($0) }
  }

  public mutating func append(byte: UInt8) {
    makeRoom(1)
    base!.storeBytes(of: byte, toByteOffset: end, as: UInt8.self)
    end &+= 1
  }

  /// Appends a number of zero or more in decimal.
  public mutating func append(decimal number: Int64) {
    withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { digits in
      var rest = UInt64(number)
      var position = 20
      repeat {
        position -= 1
        digits[position] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      } while rest > 0
      append(UnsafeRawBufferPointer(rebasing: digits[position...]))
    }
  }
}

/// Memory for buffers that hold a little for a moment, so that gathering a small message costs no allocation.
public struct SpareMemory: ~Copyable {
  private var blocks: ContiguousArray<UnsafeMutableRawPointer> = []

  /// A head with a small body.
  static let blockSize = 2048
  /// More blocks than this are not kept: 512 KiB.
  private static let maximumBlocks = 256

  public init() {}

  deinit {
    for block in blocks { block.deallocate() }
  }

  /// A block, which now belongs to the caller.
  mutating func take() -> UnsafeMutableRawPointer {
    blocks.popLast() ?? .allocate(byteCount: Self.blockSize, alignment: 16)
  }

  /// Takes a block over; false when there are enough.
  mutating func keep(_ block: UnsafeMutableRawPointer) -> Bool {
    guard blocks.count < Self.maximumBlocks else { return false }
    blocks.append(block)
    return true
  }
}
