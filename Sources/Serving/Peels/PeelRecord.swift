import BananaAPI
import Models
import Weights

/// What is known of a peel's file beside its content: the JSON that lies beside it.
struct PeelRecord: Codable, Sendable, Equatable {
  /// Bytes of the JSON that lies beside a file: two records of texts in escapes.
  static let maximumBytes = 512 << 10

  var sha256: String
  var bytes: Int
  var rank: Int
  var targets: Int
  /// Seconds since 1970; nil for a peel that came with Banana.
  var installedAt: Int?
  var title: String?
  var triggerWords: [String]
  var license: String?
  var baseModel: String?
  var metadata: [String: String]
  /// What its user should know; nil in records of older versions.
  var warnings: [String]?
  /// Whether it fits each of the models that there were; nil in records of older versions.
  var fits: [PeelModels.Key: Bool]?
  /// What it was distilled to, by its name, or `none`; nil in records of older versions, and until
  /// it is known under which name it is installed.
  var recipe: String?
  /// Of an embedding, how many vectors it has, and how its file writes the word; nil for a LoRA.
  var vectors: Int?
  var token: String?

  init(_ file: PeelFile, installedAt: Int?) {
    sha256 = file.sha256
    bytes = file.byteCount
    rank = file.rank
    targets = file.updates.count
    vectors = file.embedding?.count
    token = file.embedding?.token
    self.installedAt = installedAt
    title = file.texts.title
    triggerWords = file.texts.triggerWords
    license = file.texts.license
    baseModel = file.texts.baseModel
    metadata = file.texts.metadata
    warnings = file.warnings.isEmpty ? nil : file.warnings
  }

  /// What `recipe` is of a peel of which nothing is known, and of one that has none.
  static let noRecipe = "none"

  /// Nil where it draws as the model does.
  var distillation: Distillation? { recipe.flatMap(Distillation.init(named:)) }

  /// Tells from what the file is called, here and by its author, what it was distilled to; what is
  /// said already stays.
  mutating func recognizeDistillation(of name: String) {
    if recipe != nil { return }
    guard vectors == nil else {
      recipe = Self.noRecipe
      return
    }
    let names = [name, title ?? "", metadata["ss_output_name"] ?? ""]
    let found = names.lazy.compactMap { Distillation(recognizedIn: $0) }.first
    recipe = found?.name ?? Self.noRecipe
  }

  /// Whether its texts are as short as those of files that are installed now.
  var isBounded: Bool {
    [title, license, baseModel, recipe, token].allSatisfy {
      ($0?.utf8.count ?? 0) <= PeelTexts.lineBytes
    }
      && triggerWords.count <= PeelTexts.triggerWords
      && triggerWords.allSatisfy { $0.utf8.count <= PeelTexts.triggerWordBytes }
  }

  func info(name: String, scope: PeelInfo.Scope, withMetadata: Bool) -> PeelInfo {
    var info = PeelInfo(
      name: name, scope: scope, bytes: bytes, sha256: sha256, rank: rank, targets: targets,
      installedAt: installedAt, title: title,
      triggerWords: vectors != nil && triggerWords.isEmpty ? [name] : triggerWords,
      license: license,
      baseModel: baseModel, metadata: withMetadata ? metadata : nil,
      warnings: withMetadata ? warnings : nil)
    var record = self
    record.recognizeDistillation(of: name)
    info.vectors = vectors
    info.recipe = record.distillation.map(PeelRecipe.init)
    return info
  }
}

extension PeelRecipe {
  fileprivate init(_ distillation: Distillation) {
    let recipe = distillation.recipe
    self.init(
      name: distillation.name, sampler: ImageGenerationRequest.Sampler(recipe.sampler).rawValue,
      spacing: recipe.spacing.rawValue, steps: recipe.steps, guidance: Double(recipe.guidance))
  }
}
