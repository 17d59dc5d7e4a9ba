// libFuzzer on the codec: `fuzz request|response|chunked|websocket [libFuzzer options] [corpus]...`. Built only with
// GALAXY_LB_FUZZ=1, see Package.swift and tools/fuzz.

import Glibc
import HTTP1
import HTTP1Invariants

/// The driver of clang's libFuzzer, which takes the arguments and calls back with one input after another.
@_silgen_name("LLVMFuzzerRunDriver")
private func runDriver(
  _ count: UnsafeMutablePointer<CInt>,
  _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
  _ callback: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
) -> CInt

private let wide = HeadLimits(line: 8192, head: 65536, fields: 100)
private let narrow = HeadLimits(line: 40, head: 128, fields: 4)

/// Ends the process when an invariant does not hold, for libFuzzer to keep the input.
private func check(
  _ input: UnsafePointer<UInt8>?, _ count: Int, _ invariants: ([UInt8]) throws(Violation) -> Void
) -> CInt {
  do {
    try invariants(Array(UnsafeBufferPointer(start: input, count: count)))
  } catch {
    fatalError("\(error)")
  }
  return 0
}

private func requests(_ input: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  check(input, count) { bytes throws(Violation) in
    try RequestInvariants.check(bytes, limits: wide)
    try RequestInvariants.check(bytes, limits: narrow)
  }
}

private func responses(_ input: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  check(input, count) { bytes throws(Violation) in
    try ResponseInvariants.check(bytes, limits: wide, isHead: false)
    try ResponseInvariants.check(bytes, limits: wide, isHead: true)
    try ResponseInvariants.check(bytes, limits: narrow, isHead: false)
  }
}

private func chunked(_ input: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  check(input, count) { bytes throws(Violation) in
    try ChunkedInvariants.check(bytes, trailerLimits: wide)
    try ChunkedInvariants.check(bytes, trailerLimits: narrow)
  }
}

private func webSocketFrames(_ input: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  check(input, count) { bytes throws(Violation) in try WebSocketInvariants.check(bytes) }
}

let targets: [String: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt] = [
  "request": requests, "response": responses, "chunked": chunked, "websocket": webSocketFrames,
]

guard CommandLine.argc >= 2, let callback = targets[CommandLine.arguments[1]] else {
  print("usage: fuzz \(targets.keys.sorted().joined(separator: "|")) [libFuzzer options] [corpus]...")
  exit(2)
}
// libFuzzer sees the arguments without the name of the target.
var arguments = CommandLine.unsafeArgv + 1
arguments[0] = CommandLine.unsafeArgv[0]
var count = CommandLine.argc - 1
exit(runDriver(&count, &arguments, callback))
