import Graph
package import Models
import TensorTypes
package import Text
package import Weights

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Why a folder is no model that can be run.
package enum ModelLoadingError: Error, CustomStringConvertible {
  case package(ModelPackageError)
  case unknownFamily(String, known: [String])
  case configuration(ConfigurationError)
  case vocabulary(VocabularyError)
  case bytePairs(BytePairTableError)
  case vocabularySize(expected: Int, actual: Int)
  case strayTensors(weights: String, names: [String])

  package var description: String {
    switch self {
    case .package(let error): "\(error)"
    case .unknownFamily(let family, let known):
      "The model is of family \"\(family)\", which this version does not know (it knows "
        + "\(known.joined(separator: ", "))). Install a newer version of Banana."
    case .configuration(let error):
      "model.json cannot be used: \(error). Install the model package again."
    case .vocabulary(let error): "\(error)"
    case .bytePairs(let error): "\(error)"
    case .vocabularySize(let expected, let actual):
      "The vocabulary has \(actual) tokens and the text encoder \(expected). "
        + "Install the model package again."
    case .strayTensors(let weights, let names):
      "The weights \"\(weights)\" have tensors that no network uses "
        + "(\(names.prefix(3).joined(separator: ", "))). They were made for another version: "
        + "install a newer Banana or the model package again."
    }
  }
}

/// A model package, opened and checked: networks, weights, tokenizers and how to sample.
package final class LoadedModel: Sendable {
  package let manifest: ModelManifest
  package let family: any ModelFamily
  package let facts: ModelFacts
  /// By the names that the family has for them.
  package let stores: [String: WeightStore]
  /// Numbers in all networks.
  package let parameterCount: Int
  /// Where peels may reach.
  package let peelSites: PeelSites
  private let tokenizers: [String: PromptTokenizer]
  private let inputs: [NetworkName: [String]]
  private let outputs: [NetworkName: [String]]
  /// The denoiser's inputs that text and conditioning networks give.
  let conditioningInputs: [String]

  /// Opens the package in `path`.
  /// - Parameters:
  ///   - checks: What need not be checked again.
  ///   - progress: Takes the share that is done, 0...1.
  /// - Throws: `ModelLoadingError`; nothing of a package that is not whole is ever used.
  package init(
    path: String, catalog: ModelCatalog = .all, checks: FileChecks? = nil,
    progress: (Double) -> Void = { _ in }
  ) throws(ModelLoadingError) {
    let package: ModelPackage
    do throws(ModelPackageError) {
      package = try ModelPackage(path: path, checks: checks, progress: progress)
    } catch { throw .package(error) }
    let manifest = package.manifest
    self.manifest = manifest
    let family = try Self.family(package, catalog)
    self.family = family
    facts = family.facts
    tokenizers = try Self.tokenizers(facts, package)
    stores = try Self.stores(family, package)
    let graphs = Self.smallestGraphs(of: family)
    parameterCount = try Self.checkTensors(family.networks, graphs, stores)
    inputs = graphs.mapValues { $0.inputs.map(\.name) }
    outputs = graphs.mapValues { $0.outputs.map(\.name) }
    conditioningInputs = graphs[family.network(.denoiser).name]!.inputs.map(\.name)
      .filter { !["latents", "time", "guidance", "source"].contains($0) }
    peelSites = Self.peelSites(of: family, graphs, manifest, stores)
    package.noteChecked(in: checks)
  }

  /// Where peels may reach in the package in `path`, told from its manifest alone.
  package static func peelSites(
    path: String, catalog: ModelCatalog = .all
  ) throws(ModelLoadingError) -> PeelSites {
    let package: ModelPackage
    do throws(ModelPackageError) {
      package = try ModelPackage(path: path, verification: .manifest)
    } catch { throw .package(error) }
    let family = try family(package, catalog)
    return peelSites(of: family, smallestGraphs(of: family), package.manifest)
  }

  private static func smallestGraphs(of family: any ModelFamily) -> [NetworkName: Graph] {
    Dictionary(
      uniqueKeysWithValues: family.networks.map {
        ($0.name, family.graph(of: $0.name, family.facts.smallestExtents))
      })
  }

  private static func peelSites(
    of family: any ModelFamily, _ graphs: [NetworkName: Graph], _ manifest: ModelManifest,
    _ stores: [String: WeightStore] = [:]
  ) -> PeelSites {
    let base = manifest.weights[family.network(.denoiser).weights]?.first
    var textEncoders = 0
    var embeddingWidths: [Int: Int] = [:]
    var networks: [PeelSites.Network] = []
    for network in family.networks {
      var called = PeelNetwork.denoiser
      if case .text = network.role {
        textEncoders += 1
        called = .textEncoder(textEncoders)
        if network.axes.contains(.vectors) {
          embeddingWidths[textEncoders] = embeddingWidth(of: graphs[network.name]!)
        }
      }
      guard network.isOpenToPeels else { continue }
      networks.append(
        PeelSites.Network(
          network: called, weights: network.weights, graph: graphs[network.name]!))
    }
    return PeelSites(
      in: networks, model: manifest.name,
      baseSHA256: base.flatMap { manifest.files[$0]?.sha256 }, stores: stores,
      embeddingWidths: embeddingWidths)
  }

  /// The width of the vectors that tokens stand for.
  private static func embeddingWidth(of graph: Graph) -> Int? {
    for case .embedding(let op) in graph.nodes.map(\.op) { return op.table.shape[1] }
    return nil
  }

  /// Bytes of the mapped files.
  package var weightBytes: Int { manifest.byteCount }

  /// The names of a network's inputs, as its family made it.
  func inputs(of network: NetworkName) -> [String] { inputs[network]! }

  /// The names of a network's outputs.
  func outputs(of network: NetworkName) -> [String] { outputs[network]! }

  /// Whether what the text networks give depends on peels.
  var textIsOpenToPeels: Bool {
    family.promptNetworks.contains { $0.role != .conditioning && $0.isOpenToPeels }
  }

  /// The text that the model is given for a user's prompt.
  /// - Throws: `GenerationError.unknownStyle`.
  func prompt(_ prompt: String, style: String?) throws(GenerationError) -> String {
    let form = facts.prompt
    if let style, !form.styles.contains(style) { throw .unknownStyle(style, known: form.styles) }
    // The prompt goes in last, so that braces in it are only text.
    return form.template.replacing("{style}", with: style ?? form.defaultStyle ?? "")
      .replacing("{prompt}", with: prompt, maxReplacements: 1)
  }

  /// Whether a tokenizer knows a word of a user's prompt.
  package func knowsWord(of prompt: String) -> Bool {
    tokenizers.values.contains { $0.knowsWord(of: prompt) }
  }

  /// What the model's tokenizers make of a text.
  /// - Parameter words: The embeddings that it may name.
  func tokenized(_ text: String, words: [PeelUse] = []) -> TokenizedText {
    TokenizedText(text, by: tokenizers, words: PromptWords(words))
  }

  /// What a tokenizer makes of the empty text.
  func tokenizedEmptyText(_ tokenizer: String) -> TokenizedPrompt {
    tokenizers[tokenizer]!.read("")
  }

  /// How many tokens a text is padded to: the networks behind see all texts at one length.
  func paddedLength(of text: TokenizedText) -> Int {
    facts.tokenizers.map { $0.paddedLength(of: text[$0.name]!.tokens) }.max() ?? 0
  }

  /// How many tokens the texts of a request are padded to.
  package func textTokens(of request: PictureRequest) -> Int {
    // The prompt as the model is given it; a style that there is not is refused later.
    let prompt = (try? prompt(request.prompt, style: request.style)) ?? request.prompt
    let isGuided = facts.sampling.hasNegativePrompt(guidance: request.guidance)
    // A negative prompt has no template: without one, guidance leads away from the empty text.
    let texts = isGuided ? [prompt, request.negativePrompt] : [prompt]
    return texts.map { paddedLength(of: tokenized($0, words: request.words)) }.max() ?? 0
  }

  private static func family(
    _ package: ModelPackage, _ catalog: ModelCatalog
  ) throws(ModelLoadingError) -> any ModelFamily {
    let name = package.manifest.family
    guard let type = catalog.families[name] else {
      throw .unknownFamily(name, known: catalog.families.keys.sorted())
    }
    return try family(type, package)
  }

  private static func family<Family: ConfigurableFamily>(
    _ type: Family.Type, _ package: ModelPackage
  ) throws(ModelLoadingError) -> any ModelFamily {
    let configuration: Family.Configuration
    do throws(ModelPackageError) {
      configuration = try package.configuration(as: Family.Configuration.self)
    } catch { throw .package(error) }
    do throws(ConfigurationError) {
      let family = try Family(configuration)
      try family.facts.validate()
      try family.checkNetworks()
      try checkRecipe(family.facts)
      return family
    } catch { throw .configuration(error) }
  }

  /// Throws unless a picture can be drawn as the model itself says.
  private static func checkRecipe(_ facts: ModelFacts) throws(ConfigurationError) {
    let recipe = facts.sampling
    do throws(GenerationError) {
      _ = try NoiseSchedule(
        facts.noise, recipe.sampler, facts.spacing(for: recipe.sampler), steps: recipe.steps)
    } catch { throw ConfigurationError("sampling", "\(error)") }
  }

  private static func tokenizers(
    _ facts: ModelFacts, _ package: ModelPackage
  ) throws(ModelLoadingError) -> [String: PromptTokenizer] {
    var tokenizers: [String: PromptTokenizer] = [:]
    for description in facts.tokenizers {
      let tokenizer = try PromptTokenizer(description) { (name) throws(ModelLoadingError) in
        do throws(ModelPackageError) {
          return Array(try package.file(named: name).bytes)
        } catch { throw .package(error) }
      }
      guard tokenizer.vocabularySize == description.vocabularySize else {
        throw .vocabularySize(
          expected: description.vocabularySize, actual: tokenizer.vocabularySize)
      }
      tokenizers[description.name] = tokenizer
    }
    return tokenizers
  }

  private static func stores(
    _ family: any ModelFamily, _ package: ModelPackage
  ) throws(ModelLoadingError) -> [String: WeightStore] {
    var stores: [String: WeightStore] = [:]
    do throws(ModelPackageError) {
      for network in family.networks where stores[network.weights] == nil {
        stores[network.weights] = try package.weights(named: network.weights)
      }
    } catch { throw .package(error) }
    return stores
  }

  /// Checks that every tensor that a network reads is there, and no other; returns how many
  /// numbers they have.
  private static func checkTensors(
    _ networks: [NetworkDescription], _ graphs: [NetworkName: Graph],
    _ stores: [String: WeightStore]
  ) throws(ModelLoadingError) -> Int {
    var count = 0
    for (name, store) in stores {
      let readers = networks.filter { $0.weights == name }
      let weights = Set(readers.flatMap { graphs[$0.name]!.weights })
      do throws(WeightError) {
        for weight in weights {
          _ = try store.weight(named: weight.name, logicalShape: weight.shape)
          count += weight.shape.count
        }
      } catch { throw .package(.weight(error)) }
      let stray = store.unusedNames(after: weights.map(\.name))
      if !stray.isEmpty { throw .strayTensors(weights: name, names: stray) }
    }
    return count
  }
}
