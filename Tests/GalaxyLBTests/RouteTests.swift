import SystemCalls
import Testing
import UpstreamPool
import YAML

@testable import galaxy_lb

@Suite struct RouteTests {
  private func pool(_ name: String, prefix: String? = nil) -> ConfiguredPool {
    let endpoint = Endpoint.unix(path: "/run/\(name).sock")
    return ConfiguredPool(
      settings: PoolSettings(name: name, upstreams: [UpstreamSettings(name: name, endpoint: endpoint)]),
      origin: .file("\(name).yml"), details: [UpstreamDetails(origin: .file("\(name).yml"))],
      urlPrefix: prefix)
  }

  private func table(
    _ text: String, _ pools: [ConfiguredPool]
  ) -> (routes: [Route], problems: [String]) {
    let file = SettingsFile(text, path: "f")
    var diagnostics = file.diagnostics
    let routes = resolvedRoutes(file.configuration.routes, pools: pools, into: &diagnostics)
    return (routes.map(\.value), diagnostics.sorted.map(\.description))
  }

  @Test(arguments: [
    ("example.org", Route.Host.exactly("example.org")), ("EXAMPLE.Org.", .exactly("example.org")),
    ("*.Example.org", .endingIn(".example.org")), ("*", .any), ("192.0.2.1", .exactly("192.0.2.1")),
    ("[2001:DB8:0::1]", .exactly("[2001:db8::1]")), ("local_host", .exactly("local_host")),
  ])
  func hosts(_ text: String, _ expected: Route.Host) {
    #expect(Route.Host(text) == expected)
  }

  @Test(arguments: [
    "", ".", "*.", "**.org", "a.*.org", "example.org:80", "a b", "exämple.org", "a..b", "::1", "[::1",
    "[1.2.3.4]",
    "http://a", String(repeating: "l", count: 64),
  ])
  func malformedHosts(_ text: String) {
    #expect(Route.Host(text) == nil)
  }

  @Test func theMostSpecificComesFirst() {
    let text = """
      routes:
        - {pool: a}
        - {path: /x, pool: a}
        - {host: "*.org", path: /long/er, pool: a}
        - {host: "*.example.org", pool: a}
        - {host: a.org, pool: a}
        - {host: a.org, path: /deep/er/, pool: a}
        - {host: b.example.org, path: /z, pool: a}
      """
    let (routes, problems) = table(text, [pool("a")])
    #expect(problems.isEmpty)
    #expect(
      routes == [
        Route(host: .exactly("b.example.org"), pathPrefix: "/z", pool: "a"),
        Route(host: .exactly("a.org"), pathPrefix: "/deep/er", pool: "a"),
        Route(host: .exactly("a.org"), pathPrefix: "", pool: "a"),
        Route(host: .endingIn(".example.org"), pathPrefix: "", pool: "a"),
        Route(host: .endingIn(".org"), pathPrefix: "/long/er", pool: "a"),
        Route(host: .any, pathPrefix: "/x", pool: "a"),
        Route(host: .any, pathPrefix: "", pool: "a"),
      ])
  }

  @Test func theOrderDoesNotDependOnTheFile() {
    let routes = ["a", "b", "c"].flatMap { host in
      ["", "/x", "/y", "/x/y"].map { Route(host: .exactly(host), pathPrefix: $0, pool: "p") }
    }
    let expected = routes.sorted { $0.precedes($1) }
    var generator = SystemRandomNumberGenerator()
    for _ in 0..<50 {
      #expect(routes.shuffled(using: &generator).sorted { $0.precedes($1) } == expected)
    }
  }

  @Test func onePoolGetsEverything() {
    let (routes, problems) = table("", [pool("only", prefix: "/galaxy")])
    #expect(problems.isEmpty)
    #expect(routes == [Route(pool: "only")])
  }

  @Test func distinctPrefixesTellGalaxiesApart() {
    let pools = [pool("root", prefix: ""), pool("test", prefix: "/test"), pool("deep", prefix: "/test/deep")]
    let (routes, problems) = table("", pools)
    #expect(problems.isEmpty)
    #expect(
      routes == [
        Route(pathPrefix: "/test/deep", pool: "deep"), Route(pathPrefix: "/test", pool: "test"),
        Route(pathPrefix: "", pool: "root"),
      ])
  }

  @Test func equalPrefixesNeedRoutes() {
    let (_, problems) = table("", [pool("a", prefix: ""), pool("b", prefix: "")])
    #expect(
      problems == [
        "b.yml: error: pools 'a' (a.yml) and 'b' have the same url prefix '/', expected different ones or 'routes' "
          + "in galaxy-lb.yml"
      ])
  }

  @Test func severalExplicitPoolsNeedRoutes() {
    let (_, problems) = table("", [pool("a"), pool("b", prefix: "/b")])
    #expect(
      problems == [
        "a.yml: error: pool 'a' is one of several ('a', 'b'), expected 'routes' in galaxy-lb.yml that say which "
          + "requests are for it"
      ])
  }

  @Test(arguments: [
    (
      "routes: [{pool: ab}, {path: /b, pool: b}]",
      [
        "a.yml: error: pool 'a' has no route, expected one in 'routes' of galaxy-lb.yml",
        "f:1:17: error: routes: found the pool 'ab', expected one of 'a', 'b' (did you mean 'a'?)",
      ]
    ),
    (
      "routes: [{host: A.org, path: /x/, pool: a}, {host: a.org., path: /x, pool: b}]",
      ["f:1:76: error: routes: host 'a.org' and path '/x' are already routed to pool 'a' at f:1:41"]
    ),
    (
      "routes: [{pool: a}, {path: /, pool: b}]",
      ["f:1:37: error: routes: host '*' and path '/' are already routed to pool 'a' at f:1:17"]
    ),
    (
      "routes: [{pool: a}, {hots: x, path: /b, pool: b}]",
      ["f:1:22: error: unknown key 'hots' in routes (did you mean 'host'?)"]
    ),
    (
      "routes: [{pool: a}, {path: b, pool: b}, {path: /c, pool: b}]",
      [
        "f:1:28: error: routes.path: found the string 'b', expected a path that starts with / and has no spaces, "
          + "dot segments or empty segments"
      ]
    ),
    (
      "routes: [{pool: a}, {path: /b}, {path: /c, pool: b}]",
      ["f:1:21: error: routes: a route without 'pool'"]
    ),
  ])
  func mistakes(_ text: String, _ expected: [String]) {
    #expect(table(text, [pool("a"), pool("b")]).problems == expected)
  }

  @Test func aRouteOutsideOfGalaxysPrefixIsWarnedOf() {
    let (_, problems) = table("routes: [{path: /other, pool: a}]", [pool("a", prefix: "/galaxy")])
    #expect(
      problems == [
        "f:1:31: warning: routes: pool 'a' answers only below its galaxy_url_prefix '/galaxy', not below '/other'"
      ])
    #expect(table("routes: [{path: /, pool: a}]", [pool("a", prefix: "/galaxy")]).problems.isEmpty)
    #expect(table("routes: [{path: /galaxy/api, pool: a}]", [pool("a", prefix: "/galaxy")]).problems.isEmpty)
  }

  @Test(arguments: ["/a//b", "/a/../b", "/./a", "/a?b", "/a b", "/ä", "/a\u{7F}", "/a#b", ""])
  func prefixesThatNeverMatch(_ path: String) {
    #expect(!isPath(path, withQuery: false))
  }
}
