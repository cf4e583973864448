import Foundation
import Testing

/// Holds the house to its rules: who imports whom, and how long files and lines are.
@Suite struct TidyTests {
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Who may import whom, of our own modules. Nothing else is allowed.
  static let allowed: [String: Set<String>] = [
    "TensorTypes": [], "CKernels": [], "CCrypto": [], "CISAL": [], "CPNG": [], "CSystemd": [],
    "COpenBLAS": [], "CShaders": [], "CVulkan": [],
    "Text": [], "BananaAPI": [],
    "Imaging": ["CISAL", "CPNG"],
    "Graph": ["TensorTypes"],
    "Weights": ["CCrypto", "TensorTypes"],
    "Models": ["Graph", "TensorTypes"],
    "Execution": ["Graph", "Weights", "TensorTypes"],
    "Reference": ["COpenBLAS", "Execution", "Graph", "Weights", "TensorTypes"],
    "CPUBackend": ["Execution", "CKernels", "Graph", "Weights", "TensorTypes"],
    "VulkanBackend": ["Execution", "CShaders", "CVulkan", "Graph", "Weights", "TensorTypes"],
    "Diffusion": [
      "Models", "Execution", "Weights", "Text", "Imaging", "Graph", "TensorTypes",
    ],
    // Nothing of HTTP or NIO: it compiles beside them.
    "Serving": [
      "BananaAPI", "CSystemd", "Diffusion", "Execution", "Models", "Weights", "Imaging",
      "TensorTypes",
    ],
    "BananaServer": [
      "BananaAPI", "CSystemd", "Diffusion", "Imaging", "Models", "Serving", "Weights",
    ],
    "BananaSDK": ["BananaAPI"],
    // Imaging: previews arrive as PNG, and sixel and block terminals show pixels.
    // VulkanBackend: doctor lists devices in its own process, because drivers crash.
    "BananaCommands": ["BananaSDK", "BananaAPI", "Imaging", "ModelImport", "VulkanBackend"],
    // Text: a checkpoint's vocabulary is checked before it becomes a model's.
    "ModelImport": ["CKernels", "Graph", "Models", "TensorTypes", "Text", "Weights"],
    "bananad": [
      "BananaAPI", "BananaServer", "CPUBackend", "Diffusion", "Execution", "Serving", "TensorTypes",
      "VulkanBackend", "Weights",
    ],
    "banana": ["BananaCommands"],
    "Programs": [],
    // The commands: heat is measured on a bananad of its own, which LocalDaemon starts.
    "banana-bench": [
      "BananaAPI", "BananaSDK", "BananaCommands", "CPUBackend", "Diffusion", "Models",
      "Execution", "Weights", "Graph", "Imaging", "TensorTypes", "VulkanBackend",
    ],
  ]

  /// Modules of others, beside the system's. Whoever is not here gets along without.
  static let foreign: [String: Set<String>] = [
    "Serving": ["Logging", "ServiceLifecycle"],
    "BananaServer": [
      "HTTPTypes", "Hummingbird", "HummingbirdCore", "Logging", "NIOCore", "NIOHTTP1",
      "NIOHTTPTypes", "NIOHTTPTypesHTTP1", "NIOPosix", "ServiceLifecycle",
    ],
    "BananaSDK": ["NIOCore", "NIOHTTP1", "NIOPosix"],
    "BananaCommands": ["ArgumentParser", "UnixSignals"],
    "bananad": ["ArgumentParser", "Logging", "NIOPosix", "ServiceLifecycle", "UnixSignals"],
    "banana": ["ArgumentParser"],
    "banana-bench": ["ArgumentParser"],
  ]

  static let system: Set<String> = [
    "CDispatch", "Dispatch", "Foundation", "FoundationEssentials", "Glibc", "Musl",
    "Synchronization",
  ]

  static func swiftFiles(_ folder: String) -> [URL] {
    let files = FileManager.default.enumerator(
      at: root.appending(path: folder), includingPropertiesForKeys: nil)
    return (files?.allObjects as? [URL] ?? []).filter { $0.pathExtension == "swift" }
  }

  /// Nothing is imported that the tables do not have, and nothing is in them for nothing.
  @Test func modulesImportWhatTheTablesSay() throws {
    let sources = Self.root.appending(path: "Sources")
    for module in try FileManager.default.contentsOfDirectory(atPath: sources.path) {
      guard let own = Self.allowed[module] else {
        Issue.record("Sources/\(module) is not in the import table of DESIGN's house")
        continue
      }
      let allowed = own.union(Self.foreign[module] ?? [])
      var used: Set<String> = []
      for file in Self.swiftFiles("Sources/\(module)") {
        let text = try String(contentsOf: file, encoding: .utf8)
        for line in text.split(separator: "\n") {
          guard let imported = Self.importedModule(line), !Self.system.contains(imported) else {
            continue
          }
          used.insert(imported)
          #expect(
            allowed.contains(imported), "\(module)/\(file.lastPathComponent) imports \(imported)")
        }
      }
      #expect(allowed.subtracting(used) == [], "\(module) may import what it does not")
    }
  }

  /// What each of our own targets depends on, as Package.swift says.
  private func targetDependencies() throws -> [String: Set<String>] {
    let text = try String(contentsOf: Self.root.appending(path: "Package.swift"), encoding: .utf8)
    let targets = text.matches(
      of: /(?:library|program)\(\s*"([^"]+)",\s*\[([^\]]*)\]/)
    return Dictionary(
      uniqueKeysWithValues: targets.map { target in
        (String(target.1), Set(target.2.matches(of: /"([^"]+)"/).map { String($0.1) }))
      })
  }

  /// The whole of Foundation brings tables of all languages into a process: it is for systems that
  /// have no FoundationEssentials, and so within an `#if`.
  @Test func whatPeopleRunDoesNotLinkAllOfFoundation() throws {
    for file in Self.swiftFiles("Sources") where !file.path.contains("/banana-bench/") {
      for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
      where !line.hasPrefix(" ") {
        #expect(Self.importedModule(line) != "Foundation", "\(file.lastPathComponent)")
      }
    }
  }

  /// OpenBLAS is for tests and measurements.
  @Test func whatPeopleRunDoesNotLinkTheOracle() throws {
    let dependencies = try targetDependencies()
    func closure(_ name: String) -> Set<String> {
      dependencies[name, default: []].reduce([name]) { $0.union(closure($1)) }
    }
    for program in ["bananad", "banana", "banana-bench"] {
      #expect(closure(program).isDisjoint(with: ["COpenBLAS", "Reference"]), "\(program)")
      #expect(closure(program).contains("BananaAPI"))
    }
    #expect(closure("bananad").isSuperset(of: ["CPUBackend", "Execution", "Weights"]))
    #expect(closure("Reference").contains("COpenBLAS"))
  }

  /// The module that a line imports, whatever stands before and behind its name.
  private static func importedModule(_ line: Substring) -> String? {
    var words = line.split { $0 == " " || $0 == "\t" || $0 == ";" }.map(String.init)[...]
    let levels = ["package", "public", "internal", "private", "fileprivate"]
    while let first = words.first, first.hasPrefix("@") || levels.contains(first) {
      words.removeFirst()
    }
    guard words.popFirst() == "import" else { return nil }
    let kinds = ["struct", "class", "enum", "protocol", "typealias", "func", "var", "let"]
    if let first = words.first, kinds.contains(first) { words.removeFirst() }
    return words.first?.split(separator: ".").first.map(String.init)
  }

  @Test func importsAreSeenInEveryForm() {
    let forms = [
      "import Graph", "package import Graph", "private import Graph", "fileprivate import Graph",
      "@testable import Graph", "@_exported public import Graph", "import struct Graph.Shape",
      "  import Graph", "@preconcurrency @_spi(Tests) import Graph // why", "import Graph;",
    ]
    for form in forms { #expect(Self.importedModule(Substring(form)) == "Graph", "\(form)") }
    #expect(Self.importedModule("// import Graph") == nil)
    #expect(Self.importedModule("important Graph") == nil)
  }

  @Test func filesAndLinesStayShort() throws {
    for file in Self.swiftFiles("Sources") + Self.swiftFiles("Tests") {
      let lines = try String(contentsOf: file, encoding: .utf8).split(
        separator: "\n", omittingEmptySubsequences: false)
      // Tables of data are not read by people.
      if file.lastPathComponent.hasSuffix("+Data.swift") { continue }
      #expect(lines.count <= 420, "\(file.lastPathComponent) has \(lines.count) lines")
      for (number, line) in lines.enumerated() where line.count > 100 {
        Issue.record("\(file.lastPathComponent):\(number + 1) is \(line.count) columns wide")
      }
    }
  }

  /// Inexact names hide what a thing is.
  @Test func namesSayWhatThingsAre() throws {
    let vague = ["Manager", "Helper", "Util", "Extras", "Misc"]
    for file in Self.swiftFiles("Sources") {
      let name = file.deletingPathExtension().lastPathComponent
      #expect(!vague.contains { name.contains($0) }, "\(name)")
    }
  }

  /// A switch on a model's name outside its own folder and the catalog is a defect.
  @Test func onlyTheCatalogKnowsModelsByName() throws {
    for file in Self.swiftFiles("Sources") {
      let path = file.path
      if path.contains("/Models/") { continue }
      let text = try String(contentsOf: file, encoding: .utf8)
      #expect(!text.contains("\"sticker"), "\(file.lastPathComponent)")
    }
  }
}
