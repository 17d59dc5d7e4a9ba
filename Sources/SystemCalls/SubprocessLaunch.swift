import CLinux
import Glibc

extension Subprocess {
  /// A child right after its start. It must be waited for.
  struct Child: ~Copyable {
    var process: Int32
    /// What it prints; not blocking.
    var output: Descriptor
    /// What it prints on standard error, unless that goes to `output`; not blocking.
    var errorOutput: Descriptor
  }

  /// Starts the program (posix_spawn(3)): in a session of its own, so that it has no terminal to ask and can be
  /// ended together with its children; with no signal blocked or ignored, whatever this thread does; with nothing
  /// open but its three standard descriptors, of which the first is /dev/null.
  func launch() throws(SystemError) -> Child {
    let output = try Pipe()
    let errorOutput = try Pipe()
    let actions = try FileActions()
    try actions.openNull(as: 0)
    try actions.duplicate(output.writing.number, as: 1)
    try actions.duplicate(mergesErrorOutput ? output.writing.number : errorOutput.writing.number, as: 2)
    try actions.closeAll(from: 3)
    if let workingDirectory { try actions.changeFolder(to: workingDirectory) }
    let attributes = try SpawnAttributes()
    let words = try CStrings([program] + arguments)
    let variables = try CStrings(environment.map { "\($0.key)=\($0.value)" }.sorted())

    var process: pid_t = 0
    try checked("posix_spawnp") {
      posix_spawnp(
        &process, program, actions.pointer, attributes.pointer, words.pointer, variables.pointer)
    }
    return Child(
      process: process, output: output.keepReading(), errorOutput: errorOutput.keepReading())
  }
}

/// Both ends of a pipe(7).
private struct Pipe: ~Copyable {
  let reading: Descriptor
  let writing: Descriptor

  init() throws(SystemError) {
    var ends: [Int32] = [-1, -1]
    try retryingInterrupts("pipe2") { pipe2(&ends, Int32(O_CLOEXEC)) }
    reading = Descriptor(owning: ends[0])
    writing = Descriptor(owning: ends[1])
    // Only this end: for the child a pipe that doesn't block is a surprise. It can't fail for an open one.
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
  }

  /// The end to read from; the other one is closed.
  consuming func keepReading() -> Descriptor {
    reading
  }
}

/// posix_spawn_file_actions_t with one owner.
private struct FileActions: ~Copyable {
  let pointer = UnsafeMutablePointer<posix_spawn_file_actions_t>.allocate(capacity: 1)

  init() throws(SystemError) {
    let code = posix_spawn_file_actions_init(pointer)
    guard code == 0 else {
      pointer.deallocate()
      throw SystemError(call: "posix_spawn_file_actions_init", code: code)
    }
  }

  deinit {
    posix_spawn_file_actions_destroy(pointer)
    pointer.deallocate()
  }

  func openNull(as number: Int32) throws(SystemError) {
    try checked("posix_spawn_file_actions_addopen") {
      posix_spawn_file_actions_addopen(pointer, number, "/dev/null", O_RDWR, 0)
    }
  }

  func duplicate(_ from: Int32, as number: Int32) throws(SystemError) {
    try checked("posix_spawn_file_actions_adddup2") {
      posix_spawn_file_actions_adddup2(pointer, from, number)
    }
  }

  func closeAll(from number: Int32) throws(SystemError) {
    try checked("posix_spawn_file_actions_addclosefrom_np") {
      posix_spawn_file_actions_addclosefrom_np(pointer, number)
    }
  }

  func changeFolder(to path: String) throws(SystemError) {
    try checked("posix_spawn_file_actions_addchdir_np") {
      posix_spawn_file_actions_addchdir_np(pointer, path)
    }
  }
}

/// posix_spawnattr_t with one owner: a new session, no signal blocked, none ignored.
private struct SpawnAttributes: ~Copyable {
  let pointer = UnsafeMutablePointer<posix_spawnattr_t>.allocate(capacity: 1)

  init() throws(SystemError) {
    let code = posix_spawnattr_init(pointer)
    guard code == 0 else {
      pointer.deallocate()
      throw SystemError(call: "posix_spawnattr_init", code: code)
    }
    var none = sigset_t()
    var all = sigset_t()
    sigemptyset(&none)
    sigfillset(&all)
    let flags =
      Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
      | Int32(clinux_POSIX_SPAWN_SETSID)
    try checked("posix_spawnattr_setsigmask") { posix_spawnattr_setsigmask(pointer, &none) }
    try checked("posix_spawnattr_setsigdefault") { posix_spawnattr_setsigdefault(pointer, &all) }
    try checked("posix_spawnattr_setflags") { posix_spawnattr_setflags(pointer, Int16(flags)) }
  }

  deinit {
    posix_spawnattr_destroy(pointer)
    pointer.deallocate()
  }
}

/// An array of C strings with nil at its end, as execve(2) takes it.
private struct CStrings: ~Copyable {
  let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
  private let count: Int

  /// EINVAL: a text holds a zero, which would end it there.
  init(_ texts: [String]) throws(SystemError) {
    guard !texts.contains(where: { $0.utf8.contains(0) }) else {
      throw SystemError(call: "execve", code: EINVAL)
    }
    count = texts.count
    pointer = .allocate(capacity: texts.count + 1)
    for (index, text) in texts.enumerated() { (pointer + index).initialize(to: strdup(text)) }
    (pointer + texts.count).initialize(to: nil)
  }

  deinit {
    for index in 0..<count { free(pointer[index]) }
    pointer.deallocate()
  }
}

/// For the calls that return their error instead of setting `errno`.
private func checked(_ call: StaticString, _ body: () -> Int32) throws(SystemError) {
  let code = body()
  guard code == 0 else { throw SystemError(call: call, code: code) }
}
