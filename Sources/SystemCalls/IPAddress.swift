import Glibc

/// An IPv4 or IPv6 address as a value. IPv4 is kept in its mapped form (RFC 4291 2.5.5.2), so a client that
/// reaches a dual-stack socket over IPv4 compares equal to its plain IPv4 address.
public struct IPAddress: Hashable, Sendable {
  /// The first eight bytes, in host order.
  public let high: UInt64
  /// The last eight bytes, in host order.
  public let low: UInt64

  public init(high: UInt64, low: UInt64) {
    self.high = high
    self.low = low
  }

  /// An IPv4 address from its four bytes as one number in host order.
  public init(ipv4 number: UInt32) {
    high = 0
    low = 0xFFFF_0000_0000 | UInt64(number)
  }

  /// Reads dotted decimal (inet_pton(3): four parts) or RFC 4291 2.2 text. Nil for anything else.
  public init?(_ text: String) {
    var four = in_addr()
    if inet_pton(AF_INET, text, &four) == 1 {
      self.init(ipv4: UInt32(bigEndian: four.s_addr))
      return
    }
    var six = in6_addr()
    guard inet_pton(AF_INET6, text, &six) == 1 else { return nil }
    self.init(six)
  }

  /// Reads the same from bytes, without making a `String` of them.
  public init?(text: UnsafeRawBufferPointer) {
    guard !text.isEmpty, text.count < Self.longestText, !text.contains(0) else { return nil }
    var four = in_addr()
    var six = in6_addr()
    let family = withUnsafeTemporaryAllocation(of: CChar.self, capacity: Self.longestText) { copy in
      let raw = UnsafeMutableRawBufferPointer(copy)
      raw.copyMemory(from: text)
      raw[text.count] = 0
      if inet_pton(AF_INET, copy.baseAddress!, &four) == 1 { return AF_INET }
      return inet_pton(AF_INET6, copy.baseAddress!, &six) == 1 ? AF_INET6 : AF_UNSPEC
    }
    switch family {
    case AF_INET: self.init(ipv4: UInt32(bigEndian: four.s_addr))
    case AF_INET6: self.init(six)
    default: return nil
    }
  }

  init(_ address: in6_addr) {
    let words = withUnsafeBytes(of: address) {
      ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
    }
    self.init(high: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1))
  }

  /// True when this is an IPv4 address.
  public var isIPv4: Bool { high == 0 && low >> 32 == 0xFFFF }

  /// The longest text that `write` produces.
  public static let longestText = 46

  /// Writes the address as text (RFC 5952 for IPv6, without brackets) and returns the number of bytes, at most
  /// `longestText`. The buffer must hold that many.
  public func write(to buffer: UnsafeMutableRawBufferPointer) -> Int {
    guard isIPv4 else {
      var six = in6_addr()
      withUnsafeMutableBytes(of: &six) {
        $0.storeBytes(of: high.bigEndian, as: UInt64.self)
        $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
      }
      let text = buffer.baseAddress!.assumingMemoryBound(to: CChar.self)
      guard inet_ntop(AF_INET6, &six, text, socklen_t(buffer.count)) != nil else { return 0 }
      return strlen(text)
    }
    var length = 0
    var shift: UInt64 = 32
    while shift > 0 {
      shift -= 8
      let part = UInt8(truncatingIfNeeded: low >> shift)
      if part >= 100 {
        buffer[length] = 0x30 + part / 100
        length += 1
      }
      if part >= 10 {
        buffer[length] = 0x30 + part / 10 % 10
        length += 1
      }
      buffer[length] = 0x30 + part % 10
      length += 1
      if shift > 0 {
        buffer[length] = 0x2E
        length += 1
      }
    }
    return length
  }
}

extension IPAddress: CustomStringConvertible {
  public var description: String {
    withUnsafeTemporaryAllocation(byteCount: Self.longestText, alignment: 1) { buffer in
      let length = write(to: buffer)
      return String(decoding: buffer[..<length], as: UTF8.self)
    }
  }
}

/// A block of addresses in CIDR notation (RFC 4632 3.1, RFC 4291 2.3).
public struct AddressBlock: Hashable, Sendable, CustomStringConvertible {
  /// The first address, with all bits behind the prefix zero.
  public let base: IPAddress
  /// The number of leading bits that count, 0 to 128 (IPv4 prefixes are shifted by 96).
  public let prefixLength: Int

  /// Reads `ADDRESS` or `ADDRESS/LENGTH`. Nil when the address or the length is malformed, or when bits behind
  /// the prefix are set (a sign of a typing error).
  public init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
    guard let address = IPAddress(String(parts[0])) else { return nil }
    let widest = address.isIPv4 ? 32 : 128
    var length = widest
    if parts.count == 2 {
      guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let given = Int(parts[1]),
        given <= widest
      else { return nil }
      length = given
    }
    prefixLength = length + (128 - widest)
    guard Self.masked(address, prefixLength) == address else { return nil }
    base = address
  }

  /// True when the address lies in this block.
  public func contains(_ address: IPAddress) -> Bool {
    Self.masked(address, prefixLength) == base
  }

  private static func masked(_ address: IPAddress, _ length: Int) -> IPAddress {
    let high = length >= 64 ? UInt64.max : ~(UInt64.max >> UInt64(length))
    let low = length <= 64 ? 0 : (length == 128 ? UInt64.max : ~(UInt64.max >> UInt64(length - 64)))
    return IPAddress(high: address.high & high, low: address.low & low)
  }

  public var description: String {
    "\(base)/\(base.isIPv4 ? prefixLength - 96 : prefixLength)"
  }
}
