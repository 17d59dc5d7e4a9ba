import JSON
import Testing

@testable import galaxy_lb

@Suite struct ControlCallTests {
  private func call(_ method: String, _ path: String, _ body: String = "") throws(ControlFailure)
    -> ControlCall
  {
    try ControlCall(
      ControlRequest(method: method, path: path, body: Array(body.utf8), isPersistent: true, minorVersion: 1))
  }

  @Test(arguments: [
    ("GET", "/v1/status", "", ControlCall.status), ("HEAD", "/v1/status", "", .status),
    ("GET", "/v1/upstreams", "", .upstreams), ("GET", "/metrics", "", .metrics),
    ("GET", "/v1/upstreams/main/g0", "", .upstream(pool: "main", name: "g0")),
    ("GET", "/v1/upstreams/main/127.0.0.1%3A80", "", .upstream(pool: "main", name: "127.0.0.1:80")),
    ("POST", "/v1/reload", "", .reload), ("POST", "/v1/reload", "{}", .reload),
    (
      "POST", "/v1/upstreams/p/u/drain", "",
      .change(pool: "p", name: "u", .drain(reason: nil, waits: false, timeout: nil))
    ),
    (
      "POST", "/v1/upstreams/p/u/drain", #"{"reason": "new code", "wait": true, "timeout": 1.5}"#,
      .change(pool: "p", name: "u", .drain(reason: "new code", waits: true, timeout: 1500))
    ),
    ("POST", "/v1/upstreams/p/u/ready", "", .change(pool: "p", name: "u", .ready)),
    (
      "POST", "/v1/upstreams/p/u/maintenance", #"{"reason": null}"#,
      .change(pool: "p", name: "u", .maintenance(reason: nil))
    ),
    (
      "POST", "/v1/upstreams/p/u/maintenance", #"{"reason": ""}"#,
      .change(pool: "p", name: "u", .maintenance(reason: nil))
    ),
    ("POST", "/v1/upstreams/p/u/weight", #"{"weight": 1000}"#, .change(pool: "p", name: "u", .weight(1000))),
  ])
  func reads(_ method: String, _ path: String, _ body: String, _ expected: ControlCall) throws {
    #expect(try call(method, path, body) == expected)
  }

  @Test(arguments: [
    "", "/", "/v1", "/v1/", "/v1/status/", "//v1/status", "/v1/upstreams/", "/v1/upstreams/p",
    "/v1/upstreams/p/u/",
    "/v1/upstreams/p/u/stop", "/v1/upstreams/p/u/drain/now", "/v2/status", "/metrics/", "/v1/upstreams/%zz/u",
    "/v1/upstreams/%ff/u", "/v1/upstreams/%4/u",
  ])
  func knowsNoOtherResource(_ path: String) {
    for method in ["GET", "POST", "DELETE"] {
      let failure = #expect(throws: ControlFailure.self) { try call(method, path) }
      #expect(failure?.status == 404)
    }
  }

  @Test(arguments: [
    ("POST", "/v1/status", "GET, HEAD"), ("DELETE", "/v1/upstreams/p/u", "GET, HEAD"),
    ("get", "/metrics", "GET, HEAD"), ("GET", "/v1/reload", "POST"),
    ("PUT", "/v1/upstreams/p/u/drain", "POST"),
  ])
  func knowsNoOtherMethod(_ method: String, _ path: String, _ allow: String) {
    let failure = #expect(throws: ControlFailure.self) { try call(method, path) }
    #expect(failure?.status == 405 && failure?.allow == allow)
  }

  @Test(arguments: [
    ("drain", "{", "the body is no JSON: line 1, column 2: expected a name in quotes, found the end"),
    ("drain", "[]", "the body: expected an object, found an array"),
    (
      "drain", #"{"reson":"x"}"#,
      "unknown member \"reson\" (did you mean 'reason'?), expected only reason, wait, timeout"
    ),
    ("drain", #"{"wait":1}"#, "wait: expected true or false, found the number 1"),
    ("drain", #"{"timeout":5}"#, "timeout: only together with \"wait\": true"),
    (
      "drain", #"{"wait":true,"timeout":-1}"#,
      "timeout: expected seconds from 0 to 604800, found the number -1"
    ),
    (
      "drain", #"{"wait":true,"timeout":"5s"}"#,
      "timeout: expected seconds from 0 to 604800, found the string \"5s\""
    ),
    (
      "maintenance", #"{"reason":1}"#,
      "reason: expected at most 1000 bytes of text on one line, found the number 1"
    ),
    (
      "maintenance", #"{"reason":"a\nb"}"#,
      #"reason: expected at most 1000 bytes of text on one line, found the string "a\nb""#
    ),
    ("ready", #"{"reason":"x"}"#, "unknown member \"reason\", expected no members"),
    ("weight", "", "weight: expected a whole number from 1 to 1000, found nothing"),
    ("weight", #"{"weight":0}"#, "weight: expected a whole number from 1 to 1000, found the number 0"),
    ("weight", #"{"weight":1.5}"#, "weight: expected a whole number from 1 to 1000, found the number 1.5"),
  ])
  func saysWhatIsWrong(_ verb: String, _ body: String, _ message: String) {
    let failure = #expect(throws: ControlFailure.self) { try call("POST", "/v1/upstreams/p/u/\(verb)", body) }
    #expect(failure?.status == 400 && failure?.message == message)
  }

  @Test func aReasonIsBounded() throws {
    let longest = String(repeating: "x", count: ControlCall.longestReason)
    #expect(
      try call("POST", "/v1/upstreams/p/u/maintenance", "{\"reason\":\"\(longest)\"}")
        == .change(pool: "p", name: "u", .maintenance(reason: longest)))
    #expect(throws: ControlFailure.self) {
      try call("POST", "/v1/upstreams/p/u/maintenance", "{\"reason\":\"\(longest)x\"}")
    }
  }

  @Test func onlyLookingChangesNothing() throws {
    #expect(try call("GET", "/metrics").isReading && call("GET", "/v1/upstreams/p/u").isReading)
    #expect(try !call("POST", "/v1/reload").isReading && !call("POST", "/v1/upstreams/p/u/ready").isReading)
  }
}

@Suite struct ControlPermissionTests {
  @Test(
    arguments: [
      (0, [0], nil, true), (1000, [1000], nil, true), (1001, [1001], nil, false),
      (1001, [1000, 50], nil, false),
      (1001, [1001, 50], 50, true), (1001, [1001], 50, false), (1000, [], 50, true),
    ] as [(UInt32, Set<UInt32>, UInt32?, Bool)])
  func changes(_ user: UInt32, _ groups: Set<UInt32>, _ group: UInt32?, _ expected: Bool) {
    let permission = ControlPermission(user: 1000, group: group)
    #expect(permission.allowsChanges(user: user, groups: groups) == expected)
  }
}

@Suite struct ControlPlaceTests {
  private let all = ["RUNTIME_DIRECTORY": "/run/lb:/run/other", "XDG_RUNTIME_DIR": "/run/user/7"]

  @Test func aProxyListensInTheFolderThatIsMeantForIt() {
    #expect(ControlPlace.defaultPath(all, user: 7) == "/run/lb/control.sock")
    #expect(
      ControlPlace.defaultPath(["XDG_RUNTIME_DIR": "/run/user/7"], user: 7)
        == "/run/user/7/galaxy-lb/control.sock")
    #expect(
      ControlPlace.defaultPath(["XDG_RUNTIME_DIR": "/run/user/0"], user: 0) == "/run/galaxy-lb/control.sock")
    #expect(ControlPlace.defaultPath([:], user: 0) == "/run/galaxy-lb/control.sock")
    #expect(ControlPlace.defaultPath([:], user: 7) == nil)
    // XDG: a relative path is invalid and to be ignored.
    #expect(ControlPlace.defaultPath(["XDG_RUNTIME_DIR": "run", "RUNTIME_DIRECTORY": ""], user: 7) == nil)
    let long = ["XDG_RUNTIME_DIR": "/" + String(repeating: "x", count: 100)]
    #expect(ControlPlace.defaultPath(long, user: 7) == nil)
  }

  @Test func aCommandLooksInAllOfThem() {
    let own = "/run/user/7/galaxy-lb/control.sock"
    let system = "/run/galaxy-lb/control.sock"
    #expect(ControlPlace.searchedPaths(all, user: 7) == ["/run/lb/control.sock", own, system])
    #expect(ControlPlace.searchedPaths(["XDG_RUNTIME_DIR": "/run/user/7"], user: 0) == [system, own])
    #expect(ControlPlace.searchedPaths(["RUNTIME_DIRECTORY": "/run/galaxy-lb"], user: 7) == [system])
  }
}
