import JSON
import YAML

/// The upstreams of a running proxy, and which of them somebody means.
struct UpstreamSelection {
  /// One of them, by its pool and its name there.
  struct Entry: Equatable, Sendable {
    let pool: String
    let name: String

    var path: String { "/v1/upstreams/\(pool)/\(name)" }
    var fullName: String { "\(pool)/\(name)" }
  }

  /// Why a name names nothing.
  struct Unknown: Error, Equatable {
    let message: String
  }

  let entries: [Entry]

  init(_ entries: [Entry]) { self.entries = entries }

  /// From the answer to `GET /v1/upstreams`.
  init(_ document: JSON) {
    entries = (document["upstreams"]?.asArray ?? []).compactMap { upstream in
      guard let pool = upstream["pool"]?.asString, let name = upstream["name"]?.asString else { return nil }
      return Entry(pool: pool, name: name)
    }
  }

  /// Those that `text` means: `all`, `POOL/UPSTREAM`, `POOL/all`, the name of a pool, or the name of an upstream that
  /// no other one has.
  func named(_ text: String) throws(Unknown) -> [Entry] {
    if text == "all" { return entries }
    if let one = entries.first(where: { $0.fullName == text }) { return [one] }
    let ofPool = entries.filter { $0.pool == text }
    let called = entries.filter { $0.name == text }
    switch (ofPool.isEmpty, called.count) {
    case (true, 1): return called
    case (true, 2...):
      throw Unknown(message: "'\(text)' is the name of several upstreams: \(list(called.map(\.fullName)))")
    case (false, 0): return ofPool
    case (false, _) where called == ofPool: return ofPool
    case (false, _):
      throw Unknown(
        message:
          "'\(text)' is the name of a pool and of an upstream: \(list(["\(text)/all"] + called.map(\.fullName)))"
      )
    default: break
    }
    let pools = Set(entries.map(\.pool))
    if let pool = pools.first(where: { "\($0)/all" == text }) { return entries.filter { $0.pool == pool } }
    let names = entries.map(\.name) + entries.map(\.fullName) + pools.sorted() + ["all"]
    let hint = nearest(text, in: names).map { " (did you mean '\($0)'?)" } ?? ""
    throw Unknown(
      message:
        "no upstream and no pool is called '\(text)'\(hint), expected \(list(entries.map(\.fullName))), a pool "
        + "or all")
  }

  private func list(_ names: [String]) -> String {
    let shown = names.prefix(8).joined(separator: ", ")
    return names.count > 8 ? shown + ", ..." : shown
  }
}

extension RunningProxy {
  /// The upstreams that a name on the command line means; a name that means none is said.
  func upstreams(named name: String, option: Option) throws(Failed) -> [UpstreamSelection.Entry] {
    try upstreams(named: [name], option: option)
  }

  /// The upstreams that several names mean, each once; all names that mean none are said.
  func upstreams(named names: [String], option: Option) throws(Failed) -> [UpstreamSelection.Entry] {
    let all = UpstreamSelection(try request("GET", "/v1/upstreams"))
    var found: [UpstreamSelection.Entry] = []
    var isUnderstood = true
    for name in names {
      do {
        for upstream in try all.named(name) where !found.contains(upstream) { found.append(upstream) }
      } catch {
        complain("option \(option.spelling): \(error.message)")
        isUnderstood = false
      }
    }
    guard isUnderstood else { throw Failed(status: .usage) }
    return found
  }

  /// Asks for the same change of each of them, and says what has become of it.
  func change(_ upstreams: [UpstreamSelection.Entry], _ verb: String, _ body: JSON) throws(Failed)
    -> ExitStatus
  {
    var text = ""
    for upstream in upstreams {
      let document = try request("POST", "\(upstream.path)/\(verb)", body)
      text += "\(upstream.fullName): \(UpstreamRow(document).summary)\n"
    }
    return printToStandardOutput(text)
  }
}
