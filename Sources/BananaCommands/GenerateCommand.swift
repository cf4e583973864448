import ArgumentParser
import BananaAPI
import BananaSDK
import FoundationEssentials

/// `banana generate "a red apple"`.
struct GenerateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "generate", abstract: "Draws pictures of a prompt into PNG files.")

  @OptionGroup var picture: PictureOptions

  @OptionGroup var edit: EditOptions

  @Option(
    name: .shortAndLong,
    help: """
      The file, or - for standard output, with the report on standard error; several pictures get \
      -1, -2, … before the dot.
      """)
  var output = "out.png"

  @Flag(help: "Show the picture forming, in terminals that can.")
  var preview = false

  @Flag(help: "Print the result as JSON.")
  var json = false

  @OptionGroup var connection: ConnectionOptions

  @Flag(help: "Start a private bananad for this one command.")
  var local = false

  @Option(help: ArgumentHelp("Model folder for --local.", valueName: "dir"))
  var models: String?

  @Option(help: ArgumentHelp("Folder with the peels that ship, for --local.", valueName: "dir"))
  var peels: String?

  func validate() throws {
    if local, connection.socket != nil {
      throw ValidationError("--local starts a daemon of its own: leave --socket out.")
    }
    if models != nil, !local {
      throw ValidationError("--models is for --local; a running bananad has models of its own.")
    }
    if peels != nil, !local {
      throw ValidationError("--peels is for --local; a running bananad has peels of its own.")
    }
    let inputs = [picture.prompt, edit.image, edit.mask].count { $0 == InputFile.standardInput }
    if inputs > 1 {
      throw ValidationError("Standard input is one of the prompt, --image and --mask: name one -.")
    }
  }

  func run() async throws {
    try await reportingFailures {
      let output = try PictureOutput(output, count: picture.count)
      let request = try picture.request
      try request.validate()
      let edit = try edit.edit(request)
      if local {
        try await LocalDaemon.withDaemon(modelsDirectory: models, peelsDirectory: peels) {
          try await generate(request, edit, into: output, through: $0)
        }
      } else {
        let client = BananaClient(socketPath: connection.socket)
        try await generate(request, edit, into: output, through: client)
      }
    }
  }

  private func generate(
    _ request: ImageGenerationRequest, _ edit: ImageEdit?, into output: PictureOutput,
    through client: BananaClient
  ) async throws {
    let answer = try await draw(request, edit, through: client)
    try await output.write(answer.data.map(\.png))
    let report = GenerationReport(answer, paths: output.pictures.map(\.path))
    let text = json ? try report.json : report.text
    if output.takesStandardOutput { Terminal.writeError(text + "\n") } else { print(text) }
    if !json {
      for warning in answer.warnings { Terminal.writeError("banana: \(warning.printable)\n") }
    }
  }

  private func draw(
    _ request: ImageGenerationRequest, _ edit: ImageEdit?, through client: BananaClient
  ) async throws -> ImageGenerationResponse {
    var screen =
      Terminal.showsProgress ? DrawingScreen(graphics: graphics, size: Terminal.size) : nil
    defer { screen?.close() }
    var request = request
    if screen?.showsPictures == true {
      request.partialImages = 3
    } else if preview {
      Terminal.writeError("banana: --preview is left out: \(Terminal.whyNoPictures)\n")
    }
    let events: AsyncThrowingStream<GenerationEvent, any Error>
    if var edit {
      edit.request = request
      events = client.events(editing: edit)
    } else {
      events = client.events(for: request)
    }
    var completed: [ImageCompleted] = []
    for try await event in events {
      switch event {
      case .queued(let jobsAhead): screen?.showQueue(jobsAhead: jobsAhead)
      case .progress(let progress): screen?.show(progress)
      case .partialImage(let partial): screen?.show(partial.png)
      case .completed(let done):
        completed.append(done)
        screen?.show(done.png)
      }
    }
    // A stream whose task is cancelled ends without an error.
    guard let answer = ImageGenerationResponse(events: completed) else { throw CancellationError() }
    return answer
  }

  private var graphics: GraphicsProtocol? {
    guard preview else { return nil }
    return .detect(
      environment: ProcessInfo.processInfo.environment,
      primaryAttributes: Terminal.primaryAttributes)
  }
}
