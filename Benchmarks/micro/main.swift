import EventLoop
import Glibc
import HTTP1
import Synchronization
import SystemCalls
import UpstreamPool

// What the pure cores cost by themselves, without any I/O: `make benchmark-micro`. Each figure is the median of nine
// measurements of at least 20 ms, with the lowest and the highest.

/// Nanoseconds of CPU time of this thread, so that what else runs on the machine counts less.
private func cpuNanoseconds() -> Int64 {
  var time = timespec()
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
  return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
}

/// What the measured code gives back; printed at the end, so that the compiler can't leave the code out.
private nonisolated(unsafe) var seen = 0

private func decimal(_ value: Double) -> String {
  let tenths = Int((value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

private func measure(_ title: String, bytes: Int? = nil, _ body: () -> Int) {
  var count = 64
  while true {
    let start = cpuNanoseconds()
    for _ in 0..<count { seen &+= body() }
    if cpuNanoseconds() - start > 20_000_000 { break }
    count *= 2
  }
  let each = (0..<9).map { _ in
    let start = cpuNanoseconds()
    for _ in 0..<count { seen &+= body() }
    return Double(cpuNanoseconds() - start) / Double(count)
  }.sorted()
  let speed = bytes.map { ", \(decimal(Double($0) / each[4])) bytes/ns" } ?? ""
  print("\(title): \(decimal(each[4])) ns (\(decimal(each[0])) to \(decimal(each[8])))\(speed)")
}

private let browserRequest = Array(
  """
  GET /api/histories/f2db41e1fa331b3e/contents?v=dev&limit=1000 HTTP/1.1\r
  Host: galaxy.example\r
  User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r
  Accept: application/json, text/javascript, */*; q=0.01\r
  Accept-Language: en-GB,en;q=0.5\r
  Accept-Encoding: gzip, deflate, br\r
  Content-Type: application/json\r
  X-Requested-With: XMLHttpRequest\r
  DNT: 1\r
  Connection: keep-alive\r
  Referer: http://galaxy.example/histories/view?id=f2db41e1fa331b3e\r
  Cookie: galaxysession=4d2c2a6f3a55a1c0b1bb8a5c2f0c6c22c14f0a7c5d6e\r
  Sec-Fetch-Dest: empty\r
  Sec-Fetch-Mode: cors\r
  \r

  """.utf8)

private let response = Array(
  """
  HTTP/1.1 200 OK\r
  date: Fri, 20 Nov 2026 12:00:00 GMT\r
  server: uvicorn\r
  content-length: 100\r
  content-type: application/json\r
  x-frame-options: SAMEORIGIN\r
  \r

  """.utf8)

private let limits = HeadLimits(line: 16384, head: 65536, fields: 256)

private func measureHeads() {
  let identity = [
    "remote-user", "remote_user", "gx-secret", "gx_secret", "x-remote-user", "remote-user-email",
  ]
  let classifier = FieldNameClassifier(identityNames: identity.map { Array($0.utf8) })
  var request = RequestHead()
  measure("request head, read", bytes: browserRequest.count) {
    guard
      case .complete(let length) = request.read(browserRequest.span, limits: limits, classifier: classifier)
    else {
      preconditionFailure("the request must be whole")
    }
    return length
  }
  var buffer = ByteBuffer()
  measure("request head, written for the upstream") {
    request.write(browserRequest.span, dropping: .edge, to: &buffer)
    defer { buffer.removeAllKeepingMemory() }
    return buffer.count
  }
  var head = ResponseHead()
  let context = ResponseContext(isHead: false)
  measure("response head, read", bytes: response.count) {
    guard case .complete(let length) = head.read(response.span, limits: limits, context: context) else {
      preconditionFailure("the response must be whole")
    }
    return length
  }
  measure("response head, written for the client") {
    head.write(response.span, framing: .unchanged, to: &buffer)
    defer { buffer.removeAllKeepingMemory() }
    return buffer.count
  }
}

private func measureChunks(of size: Int) {
  var body: [UInt8] = []
  let length = String(size, radix: 16)
  while body.count < 65536 {
    body += Array("\(length)\r\n".utf8) + [UInt8](repeating: 120, count: size) + [13, 10]
  }
  body += Array("0\r\n\r\n".utf8)
  measure("chunked coding, chunks of \(size) bytes", bytes: body.count) {
    var decoder = ChunkedDecoder(trailerLimits: limits)
    var position = 0
    var content = 0
    while true {
      switch decoder.next(body.span, &position) {
      case .data(let range): content += range.count
      case .end: return content
      case .needsMore, .rejected: preconditionFailure("the body must be whole")
      }
    }
  }
}

private func pool(_ algorithm: BalancingAlgorithm, upstreams count: Int, loops: Int) -> Pool {
  let upstreams = (0..<count).map { index in
    let path = "/nowhere/\(index).sock"
    return Upstream(
      UpstreamSettings(name: "u\(index)", endpoint: .unix(path: path)), health: HealthSettings(),
      index: index,
      address: SocketAddress(unixPath: path), loops: loops, now: 0
    ) { _, _ in }
  }
  var settings = PoolSettings(name: "p", upstreams: upstreams.map(\.settings))
  settings.balance = algorithm
  return Pool(settings, upstreams: upstreams)
}

private func measureBalancing(_ name: String, _ algorithm: BalancingAlgorithm, upstreams count: Int) {
  var selector = PoolSelector(pool(algorithm, upstreams: count, loops: 1), loop: 0, seed: 1)
  let none = UpstreamSet()
  var key: UInt64 = 0
  measure("balancing, \(name), \(count) upstreams") {
    key &+= 0x9E37_79B9_7F4A_7C15
    return selector.choose(.anything, key: key, excluding: none, now: 1_000_000)?.index ?? -1
  }
}

/// One loop's requests, without their bytes: each is given to an upstream and ends.
private struct Leasing {
  private var selector: PoolSelector
  private var count: Int64 = 0

  init(_ pool: Pool, loop: Int) { selector = PoolSelector(pool, loop: loop, seed: 1) }

  mutating func lease() -> Int {
    count += 1
    // A busy loop has about so many in a millisecond.
    let chosen = selector.choose(.eligible, excluding: UpstreamSet(), now: count / 64)
    guard let lease = chosen?.lease(.ordinary) else { return -1 }
    return lease.upstream.index
  }
}

private func measureLeases() throws {
  let pool = pool(.leastConnections, upstreams: 2, loops: 2)
  var leasing = Leasing(pool, loop: 0)
  measure("balancing and a lease, 2 upstreams") { leasing.lease() }
  let isOver = Atomic<Bool>(false)
  let other = try Thread {
    var leasing = Leasing(pool, loop: 1)
    while !isOver.load(ordering: .relaxed) { _ = leasing.lease() }
  }
  measure("the same while another loop does so too") { leasing.lease() }
  isOver.store(true, ordering: .relaxed)
  other.join()
}

private func measureDeadlines() throws {
  let loop = try EventLoop()
  let timed = (0..<10_000).map { _ in Timed() }
  defer { for each in timed { loop.remove(each) } }
  var index = 0
  for each in timed { loop.setDeadline(of: each, in: 60_000) }
  measure("deadline put off, one of 10,000") {
    index = (index + 1) % timed.count
    loop.setDeadline(of: timed[index], in: 75_000)
    return index
  }
  measure("deadline brought forward and put off again, one of 10,000") {
    index = (index + 1) % timed.count
    loop.setDeadline(of: timed[index], in: 1_000)
    loop.setDeadline(of: timed[index], in: 75_000)
    return index
  }
}

measureHeads()
for size in [16, 1024, 16384] { measureChunks(of: size) }
for count in [2, 8, 64] {
  measureBalancing("least-connections", .leastConnections, upstreams: count)
  measureBalancing("round-robin", .roundRobin, upstreams: count)
  measureBalancing("random-two", .randomTwo, upstreams: count)
  measureBalancing("hash", .hash(.clientAddress), upstreams: count)
}
try measureLeases()
try measureDeadlines()
print("(\(seen & 1))")
