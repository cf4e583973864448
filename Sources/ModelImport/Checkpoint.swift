import Models
import Weights

/// A checkpoint as people have it: its parts, how noise was added in its training, and its tokens.
struct Checkpoint {
  /// What a person gave.
  let path: String
  var textEncoder: Component
  var unet: Component
  var autoencoder: Component
  /// The fields of diffusers' `scheduler_config.json`.
  var scheduler: JSONTree
  var vocabulary: CheckpointVocabulary
  /// The class of its pipeline in diffusers, if it says so.
  var pipeline: String?
  /// Of the weights, as the checkpoint calls it.
  var license: String?
  /// What had to be guessed, in sentences.
  var notes: [String] = []

  var components: [Component] { [textEncoder, unet, autoencoder] }

  /// Reads a folder as diffusers saves it, or a single file as most sites have it.
  /// - Parameters:
  ///   - autoencoders: Files or folders whose autoencoder is taken in place of the checkpoint's.
  ///   - vocabulary: CLIP's `merges.txt`, for what has none of its own.
  init(
    path: String, autoencoders: [String], vocabulary: String
  ) throws(ImportError) {
    let facts = FileFacts(path)
    if !facts.exists {
      throw .file(FileError(path: path, operation: "open", code: facts.error))
    }
    self =
      facts.isFolder
      ? try DiffusersFolder(path: path).checkpoint(vocabulary: vocabulary)
      : try SingleFile(path: path).checkpoint(
        vocabulary: vocabulary, hasOtherAutoencoder: !autoencoders.isEmpty)
    if !autoencoders.isEmpty {
      autoencoder = try AutoencoderSource.component(autoencoders)
    }
  }

  init(
    path: String, textEncoder: Component, unet: Component, autoencoder: Component,
    scheduler: JSONTree, vocabulary: CheckpointVocabulary
  ) {
    (self.path, self.vocabulary) = (path, vocabulary)
    (self.textEncoder, self.unet, self.autoencoder) = (textEncoder, unet, autoencoder)
    self.scheduler = scheduler
  }

  /// What Stable Diffusion was trained with.
  static let standardScheduler: JSONTree = [
    "_class_name": "PNDMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "set_alpha_to_one": false, "steps_offset": 1,
    "timestep_spacing": "leading",
  ]
}
