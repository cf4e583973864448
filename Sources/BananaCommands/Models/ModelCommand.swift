import ArgumentParser
import BananaAPI
import FoundationEssentials
import ModelImport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// `banana model …`.
struct ModelCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Imports, shows and removes models.",
    discussion: "Draw with one by: banana generate PROMPT --model NAME",
    subcommands: [
      ModelImportCommand.self, ModelListCommand.self, ModelShowCommand.self,
      ModelRemoveCommand.self,
    ])
}

extension ModelFolders {
  /// Of this process.
  static var ofProcess: ModelFolders {
    let environment = ProcessInfo.processInfo.environment
    return .standard(
      environment: environment,
      home: HomeFolder.path(environment: environment, userID: geteuid()),
      isSystem: geteuid() == 0)
  }

  /// Every model; of several of one name, the first that can be used.
  var storedModels: [StoredModel] {
    var models: [String: StoredModel] = [:]
    for model in paths.flatMap(Self.storedModels) {
      let known = models[model.name]
      if known == nil || known?.problem != nil && model.problem == nil {
        models[model.name] = model
      }
    }
    return models.values.sorted { $0.name < $1.name }
  }

  /// Those in one folder, by name.
  static func storedModels(in folder: String) -> [StoredModel] {
    packages(in: folder).map(StoredModel.init).sorted { $0.name < $1.name }
  }
}

/// Models in words.
enum ModelText {
  /// The sizes of a model, in few words.
  private static func sizes(of model: ModelInfo) -> String {
    guard let rule = model.sizeRule else { return model.sizes.joined(separator: ", ") }
    return "any multiple of \(rule.multipleOf) from \(rule.minimum) to \(rule.maximum) on a side"
      + (model.nativeSize.map { ", best \($0)" } ?? "")
  }

  /// A few lines on one model.
  static func text(_ model: ModelInfo) -> String {
    if let name = model.aliasOf { return "\(model.id)  another name for \(name)".printable }
    let progress = model.progress.map { " \(Int($0 * 100)) %" } ?? ""
    let words =
      [model.status.rawValue, model.state.map { $0.rawValue + progress }]
      + [model.isDefault == true ? "the default" : nil]
    var lines = [
      [model.id, model.version].filter { !$0.isEmpty }.joined(separator: " ") + "  "
        + words.compactMap(\.self).joined(separator: ", ")
    ]
    if !model.description.isEmpty { lines.append("  " + model.description) }
    if let reason = model.reason { lines.append("  " + reason) }
    var facts: [String] = []
    if let count = model.parameterCount {
      facts.append("\(Double(count / 100_000) / 10) M parameters")
    }
    if model.weightBytes > 0 { facts.append("\(model.weightBytes >> 20) MiB of weights") }
    if let bytes = model.peakBytes { facts.append("\(bytes >> 20) MiB more while drawing") }
    if !facts.isEmpty { lines.append("  " + facts.joined(separator: ", ")) }
    if let steps = model.defaultSteps, let guidance = model.defaultGuidance {
      lines.append(
        "  sizes \(sizes(of: model)); \(steps) steps, guidance \(guidance)")
    }
    if !model.styles.isEmpty {
      let styles = model.styles.map { $0 == model.defaultStyle ? "\($0) (default)" : $0 }
      lines.append("  styles \(styles.joined(separator: ", "))")
    }
    return lines.map(\.printable).joined(separator: "\n")
  }

  /// A few lines on a package of which only its manifest is known.
  static func text(_ model: StoredModel) -> String {
    if let problem = model.problem { return "\(model.name)  unusable\n  \(problem.printable)" }
    return """
      \(model.name) \(model.version)  \(model.family), \(size(model.byteCount))
        \(model.summary.printable)
        \(model.path)
      """
  }

  /// `1.3 GiB` or `12 MiB`.
  static func size(_ bytes: Int) -> String {
    let mebibytes = (bytes + (1 << 20) - 1) >> 20
    return mebibytes < 1024
      ? "\(mebibytes) MiB" : "\(Double(mebibytes * 10 / 1024) / 10) GiB"
  }
}
