// swift-tools-version: 6.2
import PackageDescription

let swiftSettings: [SwiftSetting] = [
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

let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "Banana",
  dependencies: [
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
  ],
  targets: [
    // Leaves.
    library("TensorTypes"),
    .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
    library("Text"),
    library("Imaging", ["CPNG"]),

    // The engine.
    library("Graph", ["TensorTypes"]),
    library("Models", ["Graph", "TensorTypes"]),
    library("Weights", ["TensorTypes", .product(name: "Crypto", package: "swift-crypto")]),
    library("Execution", ["Graph", "TensorTypes", "Weights"]),
    library(
      "Diffusion", ["Execution", "Graph", "Imaging", "Models", "TensorTypes", "Text", "Weights"]),

    tests("Text", ["Text"]),
    tests("Imaging", ["Imaging"]),
    tests("Graph", ["Graph", "TensorTypes"]),
    tests("Models", ["Models", "Graph", "TensorTypes"]),
//     tests("Weights", ["Weights", "TensorTypes"]),
    tests("Execution", ["Execution", "Graph", "TensorTypes", "Weights"]),
    tests(
      "Diffusion",
      ["Diffusion", "Execution", "Imaging", "Models", "TensorTypes", "Text", "Weights"]),
    .testTarget(name: "TidyTests", swiftSettings: swiftSettings),
  ]
)
