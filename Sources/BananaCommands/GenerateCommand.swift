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

  @Option(name: .shortAndLong, help: "The file; several pictures get -1, -2, … before the dot.")
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
  }

  func run() async throws {
    try await reportingFailures {
      try PictureFiles.checkFolder(of: output)
      if local {
        try await LocalDaemon.withDaemon(modelsDirectory: models, peelsDirectory: peels) {
          try await generate(through: $0)
        }
      } else {
        try await generate(through: BananaClient(socketPath: connection.socket))
      }
    }
  }

  private func generate(through client: BananaClient) async throws {
    let answer = try await draw(through: client)
    let paths = PictureFiles.paths(for: output, count: answer.data.count)
    for (image, path) in zip(answer.data, paths) { try PictureFiles.write(image.png, to: path) }
    let report = GenerationReport(answer, paths: paths)
    print(json ? try report.json : report.text)
    if !json {
      for warning in answer.warnings { Terminal.writeError("banana: \(warning)\n") }
    }
  }

  private func draw(through client: BananaClient) async throws -> ImageGenerationResponse {
    var screen =
      Terminal.errorIsTerminal ? DrawingScreen(graphics: graphics, size: Terminal.size) : nil
    defer { screen?.close() }
    var request = picture.request
    if screen?.showsPictures == true { request.partialImages = 3 }
    let events =
      if let edit = try edit.edit(request) {
        client.events(editing: edit)
      } else {
        client.events(for: request)
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
