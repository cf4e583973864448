import FoundationEssentials
import Glibc
import Graph
package import Models
import TensorTypes
package import Weights

/// Makes a model package of a checkpoint.
package struct ModelImporter: Sendable {
  package struct Options: Sendable {
    /// A file or a folder.
    package var source: String
    /// The folder that the package's folder goes to.
    package var destination: String
    /// CLIP's `merges.txt`, for what has none of its own.
    package var vocabulary: String
    /// Nil is what the source is called.
    package var name: String?
    package var quantization = WeightQuantization.w8a8
    /// Files or folders whose autoencoder is taken in place of the checkpoint's.
    package var autoencoders: [String] = []
    package var choices = ImportedRecipe.Choices()

    package init(source: String, destination: String, vocabulary: String) {
      self.source = source
      self.destination = destination
      self.vocabulary = vocabulary
    }
  }

  /// What came of it.
  package struct Result: Sendable {
    package let name: String
    package let path: String
    package let byteCount: Int
    package let recipe: ImportedRecipe
    package let prediction: String
    /// Of what is rounded to integers, the greatest errors first.
    package let errors: [LayerError]
    package let notes: [String]
  }

  /// What rounding its weights and its inputs to integers is expected to cost a layer.
  package struct LayerError: Sendable, Equatable {
    package let component: String
    package let name: String
    package let format: String
    /// Signal over noise.
    package let decibels: Double
  }

  private let options: Options
  private let catalog: ModelCatalog
  private static let family = "stable-diffusion"

  package init(_ options: Options, catalog: ModelCatalog = .all) {
    self.options = options
    self.catalog = catalog
  }

  /// Reads the checkpoint, writes the package beside the models and gives it its name.
  /// - Parameters:
  ///   - isStopped: Whether to end, asked now and then.
  ///   - progress: Takes the share that is done, 0...1.
  /// - Throws: `ImportError`; then nothing is left of it.
  package func run(
    isStopped: () -> Bool = { false }, progress: (Double) -> Void = { _ in }
  ) throws(ImportError) -> Result {
    let name = try name()
    let target = "\(options.destination)/\(name)"
    if FileFacts(target).exists { throw .nameTaken(name, path: target) }

    let prepared = try prepare(
      Checkpoint(
        path: options.source, autoencoders: options.autoencoders, vocabulary: options.vocabulary))
    let hidden = try HiddenFolder(in: options.destination)
    var files: [WeightFile] = []
    for part in prepared.parts {
      let formats = options.quantization.formats(of: part.kind, part.graphs)
      files.append(
        WeightFile(
          path: "\(hidden.path)/\(part.kind.fileName)", part.weights, formats: formats,
          try InputRoundings(
            part.graphs, part.weights, formats: formats, isStopped: isStopped)))
    }
    try checkRoom(files.reduce(0) { $0 + $1.byteCount })
    let records = zip(
      prepared.parts.map(\.kind), try write(files, isStopped: isStopped, progress: progress))
    var package = PackageFiles(folder: hidden.path)
    try package.add(prepared.checkpoint.vocabulary)
    try package.add(
      "quantization.json", LayerError.record(options.quantization, records))
    for part in prepared.parts { try package.note(part.kind.fileName) }
    try package.writeManifest(
      name: name, family: Self.family, configuration: prepared.configuration,
      checkpoint: prepared.checkpoint)
    try move(hidden.path, to: target, name: name)
    return Result(
      name: name, path: target, byteCount: package.byteCount, recipe: prepared.recipe,
      prediction: prepared.checkpoint.scheduler["prediction_type"]?.text ?? "epsilon",
      errors: records.flatMap(LayerError.all).sorted { $0.decibels < $1.decibels },
      notes: prepared.checkpoint.notes)
  }

  /// Whether a single file could be imported, as far as its names and shapes tell.
  package func check(_ file: MappedFile) throws(ImportError) {
    _ = try prepare(
      SingleFile(FileKind.openSafetensors(file)).checkpoint(
        vocabulary: options.vocabulary, hasOtherAutoencoder: false))
  }

  /// A checkpoint whose every tensor has its place.
  private struct Prepared {
    struct Part {
      let kind: Component.Kind
      let graphs: [Graph]
      let weights: [MatchedWeight]
    }

    let checkpoint: Checkpoint
    let recipe: ImportedRecipe
    let configuration: JSONTree
    let parts: [Part]
  }

  private func prepare(_ given: Checkpoint) throws(ImportError) -> Prepared {
    var checkpoint = given
    if let prediction = options.choices.prediction?.diffusersName {
      checkpoint.scheduler["prediction_type"] = .text(prediction)
    }
    let recipe = try ImportedRecipe(of: checkpoint).applying(options.choices)
    let configuration = configuration(of: checkpoint, recipe)
    let graphs = try graphs(of: configuration)
    try checkVocabulary(checkpoint)
    var parts: [Prepared.Part] = []
    for component in checkpoint.components {
      let graphs = graphs[component.kind] ?? []
      parts.append(
        .init(
          kind: component.kind, graphs: graphs,
          weights: try component.match(Self.weights(of: graphs))))
    }
    return Prepared(
      checkpoint: checkpoint, recipe: recipe, configuration: configuration, parts: parts)
  }

  private func name() throws(ImportError) -> String {
    if let name = options.name { return try ModelName.checked(name) }
    return try ModelName.of(path: options.source)
  }

  private func configuration(
    of checkpoint: Checkpoint, _ recipe: ImportedRecipe
  ) -> JSONTree {
    [
      "unet": checkpoint.unet.configuration, "textEncoder": checkpoint.textEncoder.configuration,
      "autoencoder": checkpoint.autoencoder.configuration, "scheduler": checkpoint.scheduler,
      "tokenizer": ["padding": .number(Double(checkpoint.vocabulary.padding))],
      "sampling": recipe.configuration,
    ]
  }

  /// The networks that the configuration is of, by the weights that they read.
  private func graphs(
    of configuration: JSONTree
  ) throws(ImportError) -> [Component.Kind: [Graph]] {
    guard let type = catalog.families[Self.family] else {
      preconditionFailure("there is no family \(Self.family)")
    }
    let family = try Self.family(type, configuration, path: options.source)
    var graphs: [Component.Kind: [Graph]] = [:]
    for network in family.networks {
      guard let kind = Component.Kind(rawValue: network.weights) else {
        preconditionFailure("the weights \(network.weights) are no part of a checkpoint")
      }
      graphs[kind, default: []].append(
        family.graph(of: network.name, family.facts.smallestExtents))
    }
    return graphs
  }

  private static func family<Family: ConfigurableFamily>(
    _ type: Family.Type, _ tree: JSONTree, path: String
  ) throws(ImportError) -> any ModelFamily {
    let configuration: Family.Configuration
    do {
      configuration = try JSONDecoder().decode(
        Family.Configuration.self, from: Data(tree.fileBytes))
    } catch {
      throw .json(path: path, reason: "its configuration is of another form (\(error))")
    }
    do throws(ConfigurationError) {
      let family = try Family(configuration)
      try family.facts.validate()
      try family.checkNetworks()
      return family
    } catch { throw .configuration(path: path, error) }
  }

  private static func weights(of graphs: [Graph]) -> [WeightReference] {
    var seen: Set<WeightReference> = []
    return graphs.flatMap(\.weights).filter { seen.insert($0).inserted }
      .sorted { $0.name < $1.name }
  }

  private func checkVocabulary(_ checkpoint: Checkpoint) throws(ImportError) {
    let embeddings = Int(checkpoint.textEncoder.configuration["vocab_size"]?.number ?? 0)
    let vocabulary = checkpoint.vocabulary
    if vocabulary.tokenCount != embeddings {
      throw .vocabularySize(
        path: vocabulary.path, tokens: vocabulary.tokenCount, embeddings: embeddings)
    }
  }

  /// Says before anything is written that a disk has too little room.
  private func checkRoom(_ byteCount: Int) throws(ImportError) {
    // Manifest, records, the tokenizer's table, and what file systems need for themselves.
    let needed = byteCount + 16 << 20
    var disk = statvfs()
    guard statvfs(options.destination, &disk) == 0, disk.f_blocks > 0 else { return }
    let blocks = geteuid() == 0 ? disk.f_bfree : disk.f_bavail
    let free = Int(clamping: UInt64(blocks) * UInt64(disk.f_frsize))
    if free < needed {
      throw .noRoom(folder: options.destination, neededBytes: needed, freeBytes: free)
    }
  }

  private func write(
    _ files: [WeightFile], isStopped: () -> Bool, progress: (Double) -> Void
  ) throws(ImportError) -> [[WeightFile.Record]] {
    let all = max(files.reduce(0) { $0 + $1.sourceByteCount }, 1)
    var done = 0
    var records: [[WeightFile.Record]] = []
    for file in files {
      records.append(
        try file.write { (bytes) throws(ImportError) in
          if isStopped() { throw .cancelled }
          done += bytes
          progress(Double(done) / Double(all))
        })
    }
    return records
  }

  /// Gives the package its name; from then on it is a model.
  private func move(_ folder: String, to target: String, name: String) throws(ImportError) {
    if rename(folder, target) != 0 {
      if FileFacts(target).exists { throw .nameTaken(name, path: target) }
      throw .file(FileError(path: target, operation: "create", code: errno))
    }
    let descriptor = open(options.destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    if descriptor >= 0 {
      fsync(descriptor)
      close(descriptor)
    }
  }
}
