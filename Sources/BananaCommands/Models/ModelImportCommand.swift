import ArgumentParser
import BananaAPI
import Dispatch
import FoundationEssentials
import ModelImport
import Synchronization
import UnixSignals

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// `banana model import FILE-OR-FOLDER`.
struct ModelImportCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "import",
    abstract: "Makes a model of a checkpoint of Stable Diffusion 1 or 2, or of one of its kind.",
    discussion: """
      Takes a folder as diffusers saves it, or a single .safetensors file. What is imported is \
      quantized, and drawn with by the recipe that goes with it, which the last five options \
      change. bananad sees it without a restart.
      """)

  @Argument(help: "The checkpoint.")
  var source: String

  @Option(help: "What to call it; default: what the file or folder is called.")
  var name: String?

  @Option(help: "w8a8 (8 bits), w4a8 (4 bits where they cost least) or f16 (no rounding).")
  var quantize = WeightQuantization.w8a8

  @Option(
    name: .customLong("to"),
    help: "The folder with the models; default: yours, or the machine's for root.")
  var folder: String?

  @Flag(help: "For all users of the machine: into /var/lib/banana/models, as root.")
  var system = false

  @Option(
    help: """
      An autoencoder that takes the place of the checkpoint's: a .safetensors file or a folder; \
      twice for the two halves of TAESD.
      """)
  var autoencoder: [String] = []

  @Option(help: "How steps are taken: euler, euler_a, ddim, lcm, tcd or dpmpp_2m.")
  var sampler: String?

  @Option(help: "Where they are taken: trailing, leading, karras or lcm.")
  var spacing: String?

  @Option(help: "How many, 1 to 1000.", transform: { try OptionNumber.integer($0, in: 1...1000) })
  var steps: Int?

  @Option(
    help: "Strength of guidance, 0 to 100; 1 is none.",
    transform: { try OptionNumber.real($0, in: 0...100) })
  var guidance: Double?

  @Option(help: "What the checkpoint predicts: epsilon, v or sample.")
  var prediction: String?

  func run() async throws {
    try await reportingFailures {
      let importer = ModelImporter(try options())
      let showsProgress = Terminal.showsProgress
      let result = try await Self.stoppable { stop in
        try importer.run(isStopped: { stop.isSet }) { share in
          if showsProgress { Terminal.writeError("\r\u{1B}[K" + ProgressBar.line(share)) }
        }
      }
      if showsProgress { Terminal.writeError("\r\u{1B}[K") }
      print(Self.text(result, quantize))
      for note in result.notes { Terminal.writeError("banana: \(note)\n") }
    }
  }

  private func options() throws -> ModelImporter.Options {
    let folders = ModelFolders.ofProcess
    let isSystem = system || geteuid() == 0
    guard let destination = folder ?? (isSystem ? folders.system : folders.user) else {
      throw Failure(
        code: .usage, message: "HOME is not set, so there is no place for models. Give --to FOLDER."
      )
    }
    // What root imports is for all to read.
    if folder == nil, isSystem { umask(0o022) }
    var options = ModelImporter.Options(
      source: source, destination: destination, vocabulary: Self.vocabulary)
    options.name = name
    options.quantization = quantize
    options.autoencoders = autoencoder
    options.choices = try .init(
      sampler: sampler, spacing: spacing, steps: steps, guidance: guidance,
      prediction: prediction)
    return options
  }

  /// CLIP's table of merges, which comes with Banana.
  private static var vocabulary: String {
    let named = ProcessInfo.processInfo.environment["BANANA_TOKENIZERS"]
    let folder = named.flatMap { $0.isEmpty ? nil : $0 } ?? InstalledData.folder("tokenizers")
    return folder + "/clip/merges.txt"
  }

  /// A few lines on what came of it.
  static func text(_ result: ModelImporter.Result, _ quantization: WeightQuantization) -> String {
    var lines = [
      "\(result.name)  \(ModelText.size(result.byteCount)) in \(result.path)",
      "  \(result.recipe.text); it predicts \(result.prediction)",
    ]
    if !result.errors.isEmpty {
      lines.append("  \(quantization.rawValue) cost most here (signal over error of weights):")
      lines += result.errors.prefix(5).map { error in
        let decibels = "\((error.decibels * 10).rounded() / 10) dB"
        return "    \(decibels)  \(error.format)  \(error.component) \(error.name)"
      }
      lines.append("  quantization.json has all \(result.errors.count)")
    }
    lines.append("Draw with it: banana generate \"a red apple\" --model \(result.name)")
    return lines.joined(separator: "\n")
  }

  /// Runs what blocks on a thread of its own; SIGINT and SIGTERM ask it to stop.
  private static func stoppable<Result: Sendable>(
    _ body: @escaping @Sendable (StopFlag) throws -> Result
  ) async throws -> Result {
    let stop = StopFlag()
    let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
    let watch = Task { for await _ in signals { stop.set() } }
    defer { watch.cancel() }
    return try await withCheckedThrowingContinuation { continuation in
      DispatchQueue.global().async {
        continuation.resume(with: Swift.Result { try body(stop) })
      }
    }
  }
}

extension WeightQuantization: ExpressibleByArgument {}

/// Whether to stop, told from one thread to another.
private final class StopFlag: Sendable {
  private let flag = Atomic(false)

  var isSet: Bool { flag.load(ordering: .relaxed) }

  func set() { flag.store(true, ordering: .relaxed) }
}
