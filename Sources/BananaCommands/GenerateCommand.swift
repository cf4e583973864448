import ArgumentParser
import BananaAPI
import BananaSDK
import FoundationEssentials

/// `banana generate "a red apple"`.
struct GenerateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Draws pictures of a prompt into PNG files.")

  @Argument(help: "What to draw.")
  var prompt: String

  @Option(help: "One of the model's styles; `banana model list` shows them.")
  var style: String?

  @Option(help: "Pixels on a side, 256 or 512; default: the model's own.")
  var size: String?

  @Option(help: "Denoising steps, 1 to 50; default: the model's own.")
  var steps: Int?

  @Option(help: "The same seed draws the same picture; default: a random one.")
  var seed: UInt64?

  @Option(help: "How many pictures, 1 to 10.")
  var count = 1

  @Option(help: "How closely to follow the prompt, 0 to 30; default: the model's own.")
  var guidance: Double?

  @Option(help: "transparent or opaque.")
  var background: String = "transparent"

  @Option(name: .shortAndLong, help: "The file; several pictures get -1, -2, … before the dot.")
  var output = "out.png"

  @Flag(help: "Print the result as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  @Flag(help: "Start a private bananad for this one command.")
  var local = false

  @Option(help: ArgumentHelp("Model folder for --local.", valueName: "dir"))
  var models: String?

  func validate() throws {
    try ImageGenerationRequestOptions.check(count: count, background: background)
    if local, connection.socket != nil {
      throw ValidationError("--local starts a daemon of its own: leave --socket out.")
    }
    if models != nil, !local {
      throw ValidationError("--models is for --local; a running bananad has models of its own.")
    }
  }

  func run() async throws {
    try await reportingFailures {
      if local {
        try await LocalDaemon.withDaemon(modelsDirectory: models) {
          try await generate(through: $0)
        }
      } else {
        try await generate(through: BananaClient(socketPath: connection.socket))
      }
    }
  }

  private var request: ImageGenerationRequest {
    ImageGenerationRequest(
      prompt: prompt, count: count,
      size: size.map { Int($0) == nil ? $0 : "\($0)x\($0)" },
      background: .init(rawValue: background), style: style, seed: seed, steps: steps,
      guidance: guidance)
  }

  private func generate(through client: BananaClient) async throws {
    let answer: ImageGenerationResponse
    if Terminal.errorIsTerminal {
      defer { ProgressBar.clear() }
      answer = try await client.generate(request) { ProgressBar.draw($0) }
    } else {
      answer = try await client.generate(request)
    }
    let paths = PictureFiles.paths(for: output, count: answer.data.count)
    for (image, path) in zip(answer.data, paths) { try PictureFiles.write(image.png, to: path) }
    let report = GenerationReport(answer, paths: paths)
    print(json ? try report.json : report.text)
    if !json {
      for warning in answer.warnings { Terminal.writeError("banana: \(warning)\n") }
    }
  }
}

/// What the parser cannot know of the options.
enum ImageGenerationRequestOptions {
  static func check(count: Int, background: String) throws {
    let limits = ImageGenerationRequest.Limits.count
    guard limits.contains(count) else {
      throw ValidationError("--count must be \(limits.lowerBound) to \(limits.upperBound).")
    }
    guard ImageGenerationRequest.Background(rawValue: background) != nil else {
      throw ValidationError("--background must be transparent or opaque.")
    }
  }
}
