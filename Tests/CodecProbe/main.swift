// Drives the codec for a program in another language: framed messages on standard input, one JSON object a line for
// each on standard output.
//
// A frame is a byte that says what it is, the length as four bytes (little endian), and so many bytes:
//   Q  a request head and what follows it
//   R  a response head to a GET, H one to a HEAD
//   C  a chunked body and what follows it
// Bytes are written in hexadecimal.

import Glibc
import HTTP1

let limits = HeadLimits(line: 1 << 16, head: 1 << 20, fields: 1000)
let classifier = FieldNameClassifier(identityNames: [Array("remote-user".utf8)])

/// Fills `buffer` from standard input; false when it ends before.
func readFully(_ buffer: inout [UInt8]) -> Bool {
  var filled = 0
  while filled < buffer.count {
    let count = buffer.withUnsafeMutableBytes { read(0, $0.baseAddress! + filled, $0.count - filled) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { return false }
    filled += count
  }
  return true
}

func writeFully(_ text: String) {
  var rest = Array(text.utf8)[...]
  while !rest.isEmpty {
    let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    if count < 0 && errno == EINTR { continue }
    guard count > 0 else { exit(1) }
    rest = rest.dropFirst(count)
  }
}

var header = [UInt8](repeating: 0, count: 5)
while readFully(&header) {
  let length = header[1...].reversed().reduce(0) { $0 << 8 | Int($1) }
  var bytes = [UInt8](repeating: 0, count: length)
  guard readFully(&bytes) else { exit(1) }
  let answer =
    switch header[0] {
    case UInt8(ascii: "Q"): describeRequest(bytes)
    case UInt8(ascii: "R"): describeResponse(bytes, isHead: false)
    case UInt8(ascii: "H"): describeResponse(bytes, isHead: true)
    case UInt8(ascii: "C"): describeChunked(bytes)
    default: fatalError("a frame of an unknown kind")
    }
  writeFully(answer.text + "\n")
}
