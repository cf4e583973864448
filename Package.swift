// swift-tools-version: 6.2
import PackageDescription

// `make fuzz`: libFuzzer watches our own modules, with the checks of a debug build in them; what
// they depend on is the same as ever and is not built again.
let isFuzzing = Context.environment["BANANA_FUZZING"] == "1"

let fuzzerSettings: [SwiftSetting] =
  isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer", "-assert-config", "Debug", "-DFUZZING"])] : []

let swiftSettings: [SwiftSetting] =
  fuzzerSettings + [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
  ]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, swiftSettings: swiftSettings)
}

func product(_ name: String, _ package: String) -> Target.Dependency {
  .product(name: name, package: package)
}

let argumentParser = product("ArgumentParser", "swift-argument-parser")
let logging = product("Logging", "swift-log")
let unixSignals = product("UnixSignals", "swift-service-lifecycle")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let nio = ["NIOCore", "NIOPosix", "NIOHTTP1"].map { product($0, "swift-nio") }

let package = Package(
  name: "Banana",
  products: [
    .executable(name: "bananad", targets: ["bananad"]),
    .executable(name: "banana", targets: ["banana"]),
    .executable(name: "banana-bench", targets: ["banana-bench"]),
    .library(name: "BananaSDK", targets: ["BananaAPI", "BananaSDK"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
    .package(
      url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
  ],
  targets: [
    // Leaves.
    library("TensorTypes"),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    .systemLibrary(name: "CISAL", pkgConfig: "libisal", providers: [.apt(["libisal-dev"])]),
    .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .target(name: "CSystemd", linkerSettings: [.linkedLibrary("systemd")]),
    library("Text"),
    library("Imaging", ["CISAL", "CPNG"]),

    // The engine.
    library("Graph", ["TensorTypes"]),
    library("Models", ["Graph", "TensorTypes"]),
    library("Weights", ["CCrypto", "TensorTypes"]),
    library("Execution", ["Graph", "TensorTypes", "Weights"]),
    // What kernels are compared with: in tests only.
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    library("Reference", ["COpenBLAS", "Execution", "Graph", "TensorTypes", "Weights"]),
    .target(name: "CKernels", cSettings: [.unsafeFlags(["-O3"], .when(configuration: .debug))]),
    library("CPUBackend", ["CKernels", "Execution", "Graph", "TensorTypes", "Weights"]),
    .target(name: "CShaders"),
    .target(name: "CVulkan", linkerSettings: [.linkedLibrary("dl")]),
    library(
      "VulkanBackend", ["CShaders", "CVulkan", "Execution", "Graph", "TensorTypes", "Weights"]),
    library(
      "Diffusion", ["Execution", "Graph", "Imaging", "Models", "TensorTypes", "Text", "Weights"]),

    library(
      "ModelImport",
      ["CKernels", "Graph", "Models", "TensorTypes", "Text", "Weights"]),

    // The daemon and its clients.
    library("BananaAPI"),
    library(
      "Serving",
      [
        "BananaAPI", "CSystemd", "Diffusion", "Execution", "Imaging", "Models", "TensorTypes",
        "Weights", logging, lifecycle,
      ]),
    library(
      "BananaServer",
      [
        "BananaAPI", "CSystemd", "Diffusion", "Imaging", "Models", "Serving", "Weights", logging,
        lifecycle, product("Hummingbird", "hummingbird"),
        product("HummingbirdCore", "hummingbird"), product("HTTPTypes", "swift-http-types"),
        product("NIOHTTPTypes", "swift-nio-extras"),
        product("NIOHTTPTypesHTTP1", "swift-nio-extras"),
      ] + nio),
    library("BananaSDK", ["BananaAPI"] + nio),
    library(
      "BananaCommands",
      [
        "BananaAPI", "BananaSDK", "Imaging", "ModelImport", "VulkanBackend", argumentParser,
        unixSignals,
      ]),
    program(
      "bananad",
      [
        "BananaAPI", "BananaServer", "CPUBackend", "Diffusion", "Execution", "Serving",
        "TensorTypes", "VulkanBackend", "Weights", argumentParser, logging, lifecycle, unixSignals,
        product("NIOPosix", "swift-nio"),
      ]),
    program("banana", ["BananaCommands", argumentParser]),
    // Both programs in one build: what only one of them needs compiles beside the other's.
    library("Programs", ["banana", "bananad"]),
    program(
      "banana-bench",
      [
        "BananaAPI", "BananaCommands", "BananaSDK", "CPUBackend", "Diffusion",
        "Execution", "Graph",
        "Imaging", "Models", "TensorTypes", "VulkanBackend", "Weights", argumentParser,
      ]),

    // Tests.
    tests("Text", ["Text"]),
    tests("Imaging", ["Imaging"]),
    tests("Graph", ["Graph", "TensorTypes"]),
    tests("Models", ["Models", "Graph", "TensorTypes"]),
    tests("Weights", ["Weights", "TensorTypes"]),
    tests("Execution", ["Execution", "Graph", "Reference", "TensorTypes", "Weights"]),
    .target(name: "CKernelsChecks", dependencies: ["CKernels"], path: "Tests/CKernelsChecks"),
    .testTarget(
      name: "CKernelsTests", dependencies: ["CKernels", "CKernelsChecks"],
      exclude: ["qemu_main.c"], swiftSettings: swiftSettings),
    tests(
      "CPUBackend",
      [
        "CPUBackend", "CKernelsChecks", "Execution", "Graph", "Reference", "TensorTypes",
        "VulkanBackend", "Weights",
      ]),
    tests("VulkanBackend", ["Execution", "Graph", "TensorTypes", "VulkanBackend", "Weights"]),
    tests(
      "Diffusion",
      [
        "CPUBackend", "Diffusion", "Execution", "Graph", "Imaging", "Models", "Reference",
        "TensorTypes", "Text", "VulkanBackend",
        "Weights",
      ]),
    tests(
      "ModelImport",
      [
        "BananaAPI", "BananaTesting", "CPUBackend", "Diffusion", "Execution", "Graph", "Imaging",
        "ModelImport", "Models", "TensorTypes", "Weights",
      ]),
    .target(
      name: "BananaTesting",
      dependencies: [
        "BananaServer", "Diffusion", "Models", "Serving", "Weights", logging, lifecycle,
      ],
      path: "Tests/BananaTesting",
      swiftSettings: swiftSettings),
    tests("BananaAPI", ["BananaAPI", "BananaTesting"]),
    tests(
      "Serving",
      [
        "BananaAPI", "BananaTesting", "CPUBackend", "Diffusion", "Imaging", "Models", "Serving",
        "TensorTypes", "Weights", logging, lifecycle,
      ]),
    tests(
      "BananaServer",
      [
        "BananaAPI", "BananaServer", "BananaTesting", "CPUBackend", "Diffusion", "Graph", "Imaging",
        "Models", "Serving", "TensorTypes", "Weights", logging, lifecycle, unixSignals,
        product("NIOCore", "swift-nio"), product("NIOHTTP1", "swift-nio"),
      ]),
    // The example of the client library; a test runs it.
    .executableTarget(
      name: "Draw", dependencies: ["BananaAPI", "BananaSDK"], path: "Examples/Draw",
      swiftSettings: swiftSettings),
    tests(
      "BananaSDK",
      [
        "BananaAPI", "BananaSDK", "BananaTesting", "Diffusion", "Draw", "Serving",
        product("NIOCore", "swift-nio"),
      ]),
    tests(
      "BananaCommands",
      [
        "BananaAPI", "BananaCommands", "BananaSDK", "BananaTesting", "Diffusion", "Imaging",
        "ModelImport", "Models", "Serving", "VulkanBackend",
        // The programs, which are run as people do.
        "banana", "banana-bench", "bananad", argumentParser,
      ]),
    // Hours of load on a real daemon: make soak, make memory-test.
    .executableTarget(
      name: "banana-soak",
      dependencies: [
        "BananaAPI", "BananaSDK", "BananaTesting", "Imaging", "Weights", argumentParser,
      ], path: "Tests/Soak", swiftSettings: swiftSettings),
    // Fuzzing: what is run on an input, the program for `make fuzz`, and the replay of its corpora.
    .target(
      name: "FuzzTargets",
      dependencies: [
        "BananaAPI", "BananaSDK", "BananaServer", "CPUBackend", "Diffusion", "Imaging",
        "ModelImport", "Models", "Serving", "TensorTypes", "Text", "Weights",
        product("HummingbirdCore", "hummingbird"),
        product("NIOCore", "swift-nio"),
      ], path: "Tests/FuzzTargets", swiftSettings: swiftSettings),
    .executableTarget(
      name: "banana-fuzz", dependencies: ["FuzzTargets"], path: "Tests/banana-fuzz",
      swiftSettings: swiftSettings,
      linkerSettings: isFuzzing ? [.unsafeFlags(["-sanitize=fuzzer"])] : []),
    tests("Fuzz", ["FuzzTargets"]),
    .testTarget(name: "TidyTests", swiftSettings: swiftSettings),
  ]
)
