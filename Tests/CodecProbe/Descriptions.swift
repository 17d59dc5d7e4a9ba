import HTTP1

/// A JSON object of numbers, truth values, names and bytes.
struct Description {
  private var members: [String] = []

  var text: String { "{" + members.joined(separator: ", ") + "}" }

  mutating func set(_ key: String, _ number: Int64) { members.append("\"\(key)\": \(number)") }
  mutating func set(_ key: String, _ value: Bool) { members.append("\"\(key)\": \(value)") }
  mutating func set(_ key: String, name: String) { members.append("\"\(key)\": \"\(name)\"") }

  mutating func set(_ key: String, bytes: some Sequence<UInt8>) {
    let digits = bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }
    members.append("\"\(key)\": \"\(digits.joined())\"")
  }

  mutating func set(_ framing: BodyFraming) {
    switch framing {
    case .none: set("framing", name: "none")
    case .length(let length):
      set("framing", name: "length")
      set("length", length)
    case .chunked: set("framing", name: "chunked")
    case .untilClose: set("framing", name: "untilClose")
    }
  }

  /// True when the head is complete and there is more to say.
  mutating func set(_ progress: HeadProgress) -> Bool {
    switch progress {
    case .incomplete: set("verdict", name: "incomplete")
    case .rejected(let reason):
      set("verdict", name: "refused")
      set("reason", name: "\(reason)")
    case .complete(let byteCount):
      set("verdict", name: "accepted")
      set("bytes", Int64(byteCount))
      return true
    }
    return false
  }
}

func describeRequest(_ bytes: [UInt8]) -> Description {
  var description = Description()
  var head = RequestHead()
  guard description.set(head.read(bytes.span, limits: limits, classifier: classifier)) else {
    return description
  }
  description.set("method", bytes: bytes[head.method])
  description.set("target", bytes: bytes[head.target])
  description.set("path", bytes: bytes[head.path])
  description.set("authority", bytes: head.authority.map { bytes[$0] } ?? [])
  description.set("minor", Int64(head.minorVersion))
  description.set("persistent", head.isPersistent)
  description.set("expects", head.expectsContinue)
  description.set("websocket", head.asksForWebSocket)
  description.set(head.framing)
  var buffer = ByteBuffer()
  head.write(bytes.span, dropping: .edge, to: &buffer)
  buffer.append("\r\n")
  description.set("written", bytes: buffer.bytes)
  return description
}

func describeResponse(_ bytes: [UInt8], isHead: Bool) -> Description {
  var description = Description()
  var head = ResponseHead()
  let context = ResponseContext(isHead: isHead)
  guard description.set(head.read(bytes.span, limits: limits, context: context)) else { return description }
  description.set("status", Int64(head.status))
  description.set("phrase", bytes: bytes[head.reason])
  description.set("minor", Int64(head.minorVersion))
  description.set("persistent", head.isPersistent)
  description.set(head.framing)
  var buffer = ByteBuffer()
  let isDelimited =
    switch head.framing {
    case .none, .length: true
    case .chunked, .untilClose: false
    }
  head.write(bytes.span, framing: isDelimited ? .unchanged : .chunked, to: &buffer)
  buffer.append("\r\n")
  description.set("written", bytes: buffer.bytes)
  return description
}

func describeChunked(_ bytes: [UInt8]) -> Description {
  var description = Description()
  var decoder = ChunkedDecoder(trailerLimits: limits)
  var position = 0
  var content: [UInt8] = []
  var event = decoder.next(bytes.span, &position)
  while case .data(let range) = event {
    content += bytes[range]
    event = decoder.next(bytes.span, &position)
  }
  switch event {
  case .rejected(let reason):
    description.set("verdict", name: "refused")
    description.set("reason", name: "\(reason)")
  case .end: description.set("verdict", name: "accepted")
  case .needsMore, .data: description.set("verdict", name: "incomplete")
  }
  description.set("bytes", Int64(position))
  description.set("content", bytes: content)
  var buffer = ByteBuffer()
  if decoder.isAtEnd { decoder.writeTrailers(to: &buffer, classifier: classifier) }
  description.set("trailers", bytes: buffer.bytes)
  return description
}
