import CLinux
import Glibc
import Synchronization
import YAML

/// One option as it was given.
struct GivenOption: Equatable, Sendable {
  var option: Option
  /// Its argument; nil exactly when the option takes none.
  var argument: String?

  /// True when the argument is an option: the argument itself was forgotten.
  fileprivate var swallowedAnOption: Bool {
    guard let word = argument?.split(separator: "=", omittingEmptySubsequences: false).first else {
      return false
    }
    return Option.allCases.contains { $0.spelling == word }
  }
}

/// The options of a command line as getopt_long(3) finds them. What is no option or has the wrong form is
/// reported, all of it.
///
/// - Parameter arguments: the command line, the program's name first.
func readOptions(_ arguments: [String], into diagnostics: inout Diagnostics) -> [GivenOption] {
  var given: [GivenOption] = []
  var followsUnknown = false
  for found in scan(arguments) {
    defer { followsUnknown = if case .unknown = found { true } else { false } }
    switch found {
    // Most likely the argument of the option that isn't known, which is reported.
    case .stray where followsUnknown: break
    case .option(let given) where given.swallowedAnOption:
      diagnostics.error(
        "an argument is missing: \(given.option.usage), found '\(given.argument ?? "")'",
        at: .option(given.option.spelling))
    case .option(let option): given.append(option)
    case .stray(let text): reportStray(text, after: given.last, into: &diagnostics)
    case .unknown(let text): reportUnknown(text, into: &diagnostics)
    case .missingArgument(let option):
      diagnostics.error("an argument is missing: \(option.usage)", at: .option(option.spelling))
    case .unwantedArgument(let option):
      diagnostics.error("takes no argument", at: .option(option.spelling))
    }
  }
  return given
}

extension Option {
  /// The option and what follows it: `--threads N`.
  var usage: String { argument.map { "\(spelling) \($0)" } ?? spelling }
}

private enum Found {
  case option(GivenOption)
  case stray(String)
  case unknown(String)
  case missingArgument(Option)
  case unwantedArgument(Option)
}

/// getopt_long(3) keeps its state in global variables of the C library.
private let getoptIsInUse = Mutex(())

/// Long options have codes above every letter, so that a code says which option it is, however it was given.
private let firstLongCode: Int32 = 256

private func scan(_ arguments: [String]) -> [Found] {
  let options = Option.allCases
  let count = Int32(arguments.count)
  let vector = arguments.map { strdup($0) } + [nil]
  let names = options.map { strdup($0.rawValue) }
  defer {
    for copy in vector { free(copy) }
    for name in names { free(name) }
  }
  var table = zip(options.indices, options).map { index, option in
    CLinux.option(
      name: names[index], has_arg: option.argument == nil ? no_argument : required_argument, flag: nil,
      val: firstLongCode + Int32(index))
  }
  table.append(CLinux.option())
  // "-" hands out what is no option in its place, ":" tells a missing argument from an unknown option.
  let letters = "-:" + options.compactMap { option in option.letter.map { String($0) } }.joined()

  func named(_ code: Int32) -> Option? {
    if code >= firstLongCode { return options[Int(code - firstLongCode)] }
    return options.first { option in option.letter.map { Int32($0.value) } == code }
  }

  var results: [Found] = []
  getoptIsInUse.withLock { _ in
    var next: Int32 = 0
    while true {
      let step = clinux_next_option(count, vector, letters, table, next == 0 ? 1 : 0)
      next = step.next
      switch step.code {
      case -1:
        results += arguments.dropFirst(Int(next)).map(Found.stray)
        return
      case 1:
        results.append(.stray(String(cString: step.argument)))
      case Int32(UInt8(ascii: ":")):
        if let option = named(step.mistaken) { results.append(.missingArgument(option)) }
      case Int32(UInt8(ascii: "?")):
        if step.mistaken == 0 {
          results.append(.unknown(arguments[Int(next) - 1]))
        } else if let option = named(step.mistaken) {
          results.append(.unwantedArgument(option))
        } else {
          results.append(.unknown("-\(Unicode.Scalar(UInt8(truncatingIfNeeded: step.mistaken)))"))
        }
      case let code:
        if let option = named(code) {
          let argument = step.argument.map { String(cString: $0) }
          results.append(.option(GivenOption(option: option, argument: argument)))
        }
      }
    }
  }
  return results
}

private func reportUnknown(_ text: String, into diagnostics: inout Diagnostics) {
  let word = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)[0]
  let spellings = Option.allCases.map(\.spelling)
  let beginnings = word.count > 2 ? spellings.filter { $0.hasPrefix(word) } : []
  if beginnings.count > 1 {
    diagnostics.error(
      "'\(word)' is the beginning of several options: \(beginnings.joined(separator: ", "))", at: .builtIn)
  } else {
    diagnostics.error("unknown option '\(word)'", at: .builtIn, nearest: nearest(String(word), in: spellings))
  }
}

private func reportStray(_ text: String, after last: GivenOption?, into diagnostics: inout Diagnostics) {
  let name = nearest(text, in: Option.allCases.map(\.rawValue))
  var message = "stray argument '\(text)'"
  if name == nil, let option = last?.option, option.isRepeatable {
    message += "; each \(option.argument ?? "argument") needs its own \(option.spelling)"
  }
  diagnostics.error(message, at: .builtIn, nearest: name.map { "--\($0)" })
}
