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

func test(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .testTarget(name: name + "Tests", dependencies: dependencies, swiftSettings: swiftSettings)
}

let package = Package(
  name: "Banana",
  targets: [
    library("TensorTypes"),
    library("Graph", ["TensorTypes"]),
    library("Weights", ["TensorTypes"]),
    library("Execution", ["Graph", "TensorTypes", "Weights"]),
    library("Models", ["Graph", "TensorTypes"]),
    test("Graph", ["Graph", "TensorTypes"]),
    test("Models", ["Models", "Graph", "TensorTypes"]),
    test("Execution", ["Execution", "Graph", "TensorTypes", "Weights"]),
  ]
)
