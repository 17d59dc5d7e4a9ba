// swift-tools-version: 6.2
import PackageDescription

// The rooms of the house, lowest first. An arrow (a dependency) never points up; Tests/ArchitectureTests
// reads the imports of every source file and fails when one does.
let strict: [SwiftSetting] = [.enableUpcomingFeature("ExistentialAny")]

// libFuzzer on the codec: GALAXY_LB_FUZZ=1 adds the `fuzz` program and builds what it drives with coverage and the
// address sanitizer; tools/fuzz does so in a scratch path of its own.
let isFuzzing = Context.environment["GALAXY_LB_FUZZ"] == "1"
let fuzzed: [SwiftSetting] = isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer,address"])] : []

let package = Package(
  name: "galaxy-lb",
  products: [.executable(name: "galaxy-lb", targets: ["galaxy-lb"])],
  targets: [
    .systemLibrary(name: "CLibevent", pkgConfig: "libevent_core", providers: [.apt(["libevent-dev"])]),
    .systemLibrary(name: "CLibYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
    .systemLibrary(name: "CExpat", pkgConfig: "expat", providers: [.apt(["libexpat1-dev"])]),
    .systemLibrary(name: "CLinux"),

    .target(name: "SystemCalls", dependencies: ["CLinux"], swiftSettings: strict),
    .target(name: "EventLoop", dependencies: ["CLibevent", "SystemCalls"], swiftSettings: strict),
    .target(name: "HTTP1", swiftSettings: strict + fuzzed),
    .target(name: "JSON", swiftSettings: strict),
    .target(name: "YAML", dependencies: ["CLibYAML"], swiftSettings: strict),
    .target(name: "XML", dependencies: ["CExpat"], swiftSettings: strict),
    .target(
      name: "UpstreamPool", dependencies: ["EventLoop", "HTTP1", "SystemCalls"], swiftSettings: strict),
    .target(
      name: "GravityRestart", dependencies: ["HTTP1", "JSON", "XML", "YAML", "SystemCalls"],
      swiftSettings: strict),
    .executableTarget(
      name: "galaxy-lb",
      dependencies: [
        "GravityRestart", "UpstreamPool", "HTTP1", "EventLoop", "JSON", "YAML", "SystemCalls", "CLinux",
      ],
      swiftSettings: strict),

    .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
    .target(
      name: "HTTP1Invariants", dependencies: ["HTTP1", "TestSupport"], path: "Tests/HTTP1Invariants",
      swiftSettings: strict + fuzzed),
    .executableTarget(
      name: "codec-probe", dependencies: ["HTTP1"], path: "Tests/CodecProbe", swiftSettings: strict),
    .executableTarget(
      name: "process-manager-probe", dependencies: ["GravityRestart", "SystemCalls"],
      path: "Tests/ProcessManagerProbe", swiftSettings: strict),

    .testTarget(name: "ArchitectureTests"),
    .testTarget(name: "HTTP1Tests", dependencies: ["HTTP1", "HTTP1Invariants", "TestSupport"]),
    .testTarget(name: "SystemCallsTests", dependencies: ["SystemCalls"]),
    .testTarget(name: "EventLoopTests", dependencies: ["EventLoop", "SystemCalls", "TestSupport"]),
    .testTarget(name: "UpstreamPoolTests", dependencies: ["UpstreamPool", "SystemCalls", "TestSupport"]),
    .testTarget(name: "JSONTests", dependencies: ["JSON", "TestSupport"]),
    .testTarget(name: "XMLTests", dependencies: ["XML"]),
    .testTarget(name: "YAMLTests", dependencies: ["YAML", "TestSupport"]),
    .testTarget(name: "GalaxyLBTests", dependencies: ["galaxy-lb", "TestSupport"]),
    // The fixtures are found beside the sources, and shared with the integration tests.
    .testTarget(
      name: "GravityRestartTests",
      dependencies: ["GravityRestart", "YAML", "SystemCalls", "TestSupport"],
      exclude: ["Fixtures"]),
  ],
  swiftLanguageModes: [.v6]
)

if isFuzzing {
  package.products.append(.executable(name: "fuzz", targets: ["fuzz"]))
  package.targets.append(
    .executableTarget(
      name: "fuzz", dependencies: ["HTTP1", "HTTP1Invariants"], path: "Tests/Fuzz",
      exclude: ["Corpus", "http1.dict"], swiftSettings: strict + fuzzed,
      // The gold linker doesn't know the section that libFuzzer counts in.
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]))
}

// What the pure cores cost by themselves; `make benchmark-micro` builds it, nothing else does.
if Context.environment["GALAXY_LB_MICROBENCHMARKS"] == "1" {
  package.products.append(.executable(name: "microbenchmarks", targets: ["microbenchmarks"]))
  package.targets.append(
    .executableTarget(
      name: "microbenchmarks", dependencies: ["EventLoop", "HTTP1", "SystemCalls", "UpstreamPool"],
      path: "Benchmarks/micro", swiftSettings: strict))
}
