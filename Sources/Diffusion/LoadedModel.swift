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
  case noModel(directory: String)
  case severalModels(directory: String, names: [String])
  case package(ModelPackageError)
  case unknownFamily(String, known: [String])
  case configuration(ConfigurationError)
  case vocabulary(VocabularyError)
  case vocabularySize(expected: Int, actual: Int)
  case latentChannels(expected: Int, actual: Int)
  case nativeSize(expected: Int, actual: Int)
  case strayTensors(file: String, names: [String])

  package var description: String {
    switch self {
    case .noModel(let directory):
      "There is no model in \(directory): no folder there has a model.json. Install a model, or "
        + "name the folder that has one with --models."
    case .severalModels(let directory, let names):
      "\(directory) has several models (\(names.joined(separator: ", "))). Name one of them with "
        + "--models \(directory)/\(names[0])."
    case .package(let error): "\(error)"
    case .unknownFamily(let family, let known):
      "The model is of family \"\(family)\", which this version does not know (it knows "
        + "\(known.joined(separator: ", "))). Install a newer version of Banana."
    case .configuration(let error):
      "model.json cannot be used: \(error). Install the model package again."
    case .vocabulary(let error): "\(error)"
    case .vocabularySize(let expected, let actual):
      "The vocabulary has \(actual) tokens and the text encoder \(expected). "
        + "Install the model package again."
    case .latentChannels(let expected, let actual):
      "model.json has statistics of \(actual) latent channels and the denoiser \(expected). "
        + "Install the model package again."
    case .nativeSize(let expected, let actual):
      "model.json says that pictures have \(actual) pixels on a side and its decoder gives "
        + "\(expected). Install the model package again."
    case .strayTensors(let file, let names):
      "\(file) has tensors that no network uses (\(names.prefix(3).joined(separator: ", "))). It "
        + "was made for another version: install a newer Banana or the model package again."
    }
  }
}

/// A model package, opened and checked: networks, weights, tokenizer and how to sample.
package final class LoadedModel: Sendable {
  package let manifest: ModelManifest
  package let family: any ModelFamily
  package let stores: [ModelComponent: WeightStore]
  /// Numbers in all networks.
  package let parameterCount: Int
  let tokenizer: WordPieceTokenizer
  /// Where peels may reach.
  package let peelSites: PeelSites

  /// Opens the package in `path`, or the only one in a folder of `path`.
  /// - Throws: `ModelLoadingError`; nothing of a package that is not whole is ever used.
  package init(modelsDirectory path: String) throws(ModelLoadingError) {
    let package = try Self.openPackage(in: path)
    manifest = package.manifest
    guard let type = ModelCatalog.families[manifest.family] else {
      throw .unknownFamily(manifest.family, known: ModelCatalog.families.keys.sorted())
    }
    family = try Self.family(type, package)
    do throws(VocabularyError) {
      tokenizer = try WordPieceTokenizer(
        vocabulary: package.vocabulary, lowercase: manifest.text.lowercase)
    } catch { throw .vocabulary(error) }
    stores = try Self.stores(package)
    parameterCount = try Self.checkTensors(family, stores)
    peelSites = PeelSites(
      in: family.graphs(of: .denoiser), model: manifest.name,
      baseSHA256: manifest.files[ModelComponent.denoiser.fileName]?.sha256)
    try checkManifest()
  }

  /// Bytes of the mapped files.
  package var weightBytes: Int { manifest.files.values.reduce(0) { $0 + $1.bytes } }

  /// The text that the model is given for a user's prompt.
  /// - Throws: `GenerationError.unknownStyle`.
  func prompt(_ prompt: String, style: String?) throws(GenerationError) -> String {
    let text = manifest.text
    let style = style ?? text.defaultStyle
    guard text.styles.contains(style) else {
      throw .unknownStyle(style, known: text.styles)
    }
    // The prompt goes in last, so that braces in it are only text.
    return text.promptTemplate.replacing("{style}", with: style)
      .replacing("{prompt}", with: EmojiNames.spelledOut(prompt), maxReplacements: 1)
  }

  /// Whether the tokenizer knows a word of a user's prompt.
  package func knowsWord(of prompt: String) -> Bool {
    tokenizer.knowsWord(in: EmojiNames.spelledOut(prompt))
  }

  /// The most tokens that are read of a prompt.
  var maximumTokens: Int { min(manifest.text.maximumTokens, family.maximumTokens) }

  /// How many tokens a prompt is padded to.
  package func textTokens(of prompt: String, style: String?) -> Int {
    let text = (try? self.prompt(prompt, style: style)) ?? prompt
    return TextConditioner.length(
      of: tokenizer.encode(text, maximumTokens: maximumTokens).ids.count,
      maximumTokens: maximumTokens)
  }

  /// The names of the packages in `path`, or of the one that it is, of those whose `model.json` can
  /// be read.
  package static func names(in path: String) -> [String] {
    folders(in: path).compactMap { ModelPackage.name(in: $0) }
  }

  /// `path` if it is a package, else the packages in it, sorted.
  private static func folders(in path: String) -> [String] {
    let files = FileManager.default
    if files.fileExists(atPath: path + "/model.json") { return [path] }
    return ((try? files.contentsOfDirectory(atPath: path)) ?? []).sorted()
      .map { "\(path)/\($0)" }.filter { files.fileExists(atPath: $0 + "/model.json") }
  }

  private static func openPackage(
    in path: String
  ) throws(ModelLoadingError) -> ModelPackage {
    let folders = folders(in: path)
    guard let folder = folders.first else { throw .noModel(directory: path) }
    guard folders.count == 1 else {
      let names = folders.map { String($0.dropFirst(path.count + 1)) }
      throw .severalModels(directory: path, names: names)
    }
    do throws(ModelPackageError) { return try ModelPackage(path: folder) } catch {
      throw .package(error)
    }
  }

  private static func family<Family: ConfigurableFamily>(
    _ type: Family.Type, _ package: ModelPackage
  ) throws(ModelLoadingError) -> any ModelFamily {
    let configuration: Family.Configuration
    do throws(ModelPackageError) {
      configuration = try package.configuration(as: Family.Configuration.self)
    } catch { throw .package(error) }
    do throws(ConfigurationError) { return try Family(configuration) } catch {
      throw .configuration(error)
    }
  }

  private static func stores(
    _ package: ModelPackage
  ) throws(ModelLoadingError) -> [ModelComponent: WeightStore] {
    var stores: [ModelComponent: WeightStore] = [:]
    do throws(ModelPackageError) {
      for component in ModelComponent.allCases {
        stores[component] = try package.weights(in: [component.fileName])
      }
    } catch { throw .package(error) }
    return stores
  }

  /// Checks that every tensor that a network reads is there, and no other; returns how many
  /// numbers they have.
  private static func checkTensors(
    _ family: any ModelFamily, _ stores: [ModelComponent: WeightStore]
  ) throws(ModelLoadingError) -> Int {
    var count = 0
    for (component, store) in stores {
      let weights = Set(family.graphs(of: component).flatMap(\.weights))
      do throws(WeightError) {
        for weight in weights {
          _ = try store.weight(named: weight.name, logicalShape: weight.shape)
          count += weight.shape.count
        }
      } catch { throw .package(.weight(error)) }
      let stray = store.unusedNames(after: weights.map(\.name))
      if !stray.isEmpty { throw .strayTensors(file: component.fileName, names: stray) }
    }
    return count
  }

  /// Checks what the manifest says against the networks.
  private func checkManifest() throws(ModelLoadingError) {
    if tokenizer.vocabularySize != family.vocabularySize {
      throw .vocabularySize(expected: family.vocabularySize, actual: tokenizer.vocabularySize)
    }
    let channels = family.latentShape.last
    if manifest.latents.mean.count != channels {
      throw .latentChannels(expected: channels, actual: manifest.latents.mean.count)
    }
    if manifest.nativeSize != family.nativeSize {
      throw .nativeSize(expected: family.nativeSize, actual: manifest.nativeSize)
    }
  }
}

extension ModelComponent {
  fileprivate var fileName: String { rawValue + ".safetensors" }
}

extension ModelFamily {
  /// The networks whose weights are in a component's file, for the smallest extents.
  fileprivate func graphs(of component: ModelComponent) -> [Graph] {
    switch component {
    case .textEncoder: [textEncoder(batch: 1, tokens: 1)]
    case .denoiser: [context(batch: 1, tokens: 1), denoiser(batch: 1, tokens: 1)]
    case .decoder: [decoder(batch: 1)]
    case .encoder: [encoder(batch: 1)]
    }
  }
}
