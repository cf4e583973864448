import Models
import Weights

/// A checkpoint as diffusers saves it: a folder for each part.
struct DiffusersFolder {
  let path: String

  /// The pipelines whose parts are those of Stable Diffusion.
  private static let pipelines = [
    "StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline",
    "StableDiffusionInpaintPipelineLegacy", "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline", "StableDiffusionPipelineSafe",
  ]

  func checkpoint(vocabulary: String) throws(ImportError) -> Checkpoint {
    let index = try index()
    let unet = try Self.component(.unet, folder: path + "/unet", of: path)
    let textEncoder = try Self.component(.textEncoder, folder: path + "/text_encoder", of: path)
    let autoencoder = try Self.component(.autoencoder, folder: path + "/vae", of: path)
    var checkpoint = Checkpoint(
      path: path, textEncoder: textEncoder, unet: unet, autoencoder: autoencoder,
      scheduler: try scheduler(), vocabulary: try self.vocabulary(standard: vocabulary))
    checkpoint.pipeline = index?["_class_name"]?.text
    checkpoint.license = license
    if !exists("tokenizer") {
      checkpoint.notes.append("It has no tokenizer folder: CLIP's own vocabulary is used.")
    }
    if !exists("scheduler/scheduler_config.json") {
      checkpoint.notes.append(
        "It has no scheduler folder: noise is taken to be that of Stable Diffusion.")
    }
    return checkpoint
  }

  private func exists(_ name: String) -> Bool { FileFacts("\(path)/\(name)").exists }

  /// What `model_index.json` says; nil if there is none.
  private func index() throws(ImportError) -> JSONTree? {
    if exists("model.json") {
      throw .otherKind(
        path: path, what: "a model package already",
        remedy: "Copy the folder to where models are: banana model list says where.")
    }
    if exists("model_index.json") {
      let index = try JSONTree(contentsOf: path + "/model_index.json")
      if let name = index["_class_name"]?.text, !Self.pipelines.contains(name) {
        throw .otherKind(
          path: path, what: ForeignKind.describe(pipeline: name), remedy: ForeignKind.remedy)
      }
      return index
    }
    if !exists("unet") {
      let files = FileFacts.names(in: path).filter { $0.hasSuffix(".safetensors") }
      let remedy =
        files.isEmpty
        ? "Give a folder with model_index.json, or a single .safetensors file."
        : "Give one of its files: \(path)/\(files[0])"
      throw .otherKind(path: path, what: "no checkpoint in diffusers' form", remedy: remedy)
    }
    return nil
  }

  /// A part in its folder.
  static func component(
    _ kind: Component.Kind, folder: String, of checkpoint: String
  ) throws(ImportError) -> Component {
    let name = FileFacts.name(of: folder)
    guard FileFacts(folder).isFolder else {
      throw .missingPart(path: checkpoint, part: "folder \(name) with its \(kind.noun)")
    }
    guard FileFacts(folder + "/config.json").exists else {
      throw .missingPart(path: folder, part: "config.json")
    }
    let configuration = try JSONTree(contentsOf: folder + "/config.json")
    let table = try TensorTable(path: folder, files: weightFiles(kind, in: folder))
    return Component(
      kind, configuration: configuration, table: table, places: DiffusersNames.places(kind))
  }

  /// The files with a part's tensors, those of the more exact numbers if there are several.
  private static func weightFiles(
    _ kind: Component.Kind, in folder: String
  ) throws(ImportError) -> [String] {
    let stem = kind == .textEncoder ? "model" : "diffusion_pytorch_model"
    for variant in ["", ".fp16", ".bf16"] {
      let file = "\(folder)/\(stem)\(variant).safetensors"
      if FileFacts(file).exists { return [file] }
    }
    for index in ["\(stem).safetensors.index.json", "\(stem).safetensors.index.fp16.json"]
    where FileFacts("\(folder)/\(index)").exists {
      return try shards(in: folder, index: index)
    }
    if let pickle = FileFacts.names(in: folder).first(where: {
      $0.hasSuffix(".bin") || $0.hasSuffix(".ckpt") || $0.hasSuffix(".pt")
    }) {
      throw .otherKind(
        path: "\(folder)/\(pickle)", what: "a pickle, and there is no .safetensors beside it",
        remedy: "Pickles can run programs of their maker, and are not read: get the checkpoint "
          + "as .safetensors, or convert it where you trust it.")
    }
    throw .missingPart(path: folder, part: "\(stem).safetensors")
  }

  private static func shards(
    in folder: String, index: String
  ) throws(ImportError) -> [String] {
    let path = "\(folder)/\(index)"
    guard case .object(let map) = try JSONTree(contentsOf: path)["weight_map"] else {
      throw .json(path: path, reason: "it has no weight_map")
    }
    let names = Set(map.values.compactMap(\.text)).sorted()
    for name in names where name.isEmpty || name.contains("/") || name.hasPrefix(".") {
      throw .json(path: path, reason: "\"\(name.excerpt)\" is no name of a file beside it")
    }
    if names.isEmpty { throw .json(path: path, reason: "its weight_map names no files") }
    return names.map { "\(folder)/\($0)" }
  }

  private func scheduler() throws(ImportError) -> JSONTree {
    exists("scheduler/scheduler_config.json")
      ? try JSONTree(contentsOf: path + "/scheduler/scheduler_config.json")
      : Checkpoint.standardScheduler
  }

  private func vocabulary(standard: String) throws(ImportError) -> CheckpointVocabulary {
    let folder = path + "/tokenizer"
    if !FileFacts(folder + "/merges.txt").exists {
      return try CheckpointVocabulary(merges: standard, vocabulary: nil)
    }
    let file = folder + "/vocab.json"
    var vocabulary = try CheckpointVocabulary(
      merges: folder + "/merges.txt", vocabulary: FileFacts(file).exists ? file : nil)
    // OpenCLIP pads with "!", whose identifier is 0.
    for name in ["special_tokens_map.json", "tokenizer_config.json"]
    where FileFacts("\(folder)/\(name)").exists {
      let token = try JSONTree(contentsOf: "\(folder)/\(name)")["pad_token"]
      if (token?.text ?? token?["content"]?.text) == "!" { vocabulary.padding = 0 }
    }
    return vocabulary
  }

  /// The licence in the front matter of its model card.
  private var license: String? {
    guard let card = try? LicenseText.card(path + "/README.md") else { return nil }
    return card
  }
}
