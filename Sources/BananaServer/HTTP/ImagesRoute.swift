import BananaAPI
import Diffusion
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import Models
import NIOCore
import Serving
import Weights

/// `POST /v1/images/generations`, and what it shares with edits.
extension DaemonRoutes {
  func generateImages(_ request: Request, _ context: DaemonRequestContext) async throws -> Response
  {
    let arrival = ContinuousClock.now
    let wire = try await decoded(request, context)
    return try await draw(prepared(wire, arrival: arrival, context), context)
  }

  private func decoded(
    _ request: Request, _ context: DaemonRequestContext
  ) async throws -> ImageGenerationRequest {
    let body = try await request.body.bytes()
    let wire: ImageGenerationRequest
    if body.readableBytes <= Self.smallBody {
      wire = try WireJSON.decode(ImageGenerationRequest.self, from: body)
    } else {
      wire = try await unmetered(context) {
        try WireJSON.decode(ImageGenerationRequest.self, from: body)
      }
    }
    try wire.validate()
    return wire
  }

  /// JSON of so many bytes is decoded in a moment.
  private static let smallBody = 64 << 10
  /// A prompt of so many is read in a moment.
  private static let smallPrompt = 512

  /// Work for a request that no quota measures: of each account in turn, and paid for with time of
  /// the engine. Whoever has gone meanwhile needs none of it.
  func unmetered<Value: Sendable>(
    _ context: DaemonRequestContext, _ body: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    let hasGone = APIError(EngineError.cancelled)
    return try await background.inTurn(of: context.peer.account, cancelled: hasGone as any Error) {
      turn in
      guard context.channel.isActive else { throw hasGone }
      return try await turn.run(body)
    }
  }

  /// A request that is whole, and holds nothing of its body.
  struct PreparedRequest: Sendable {
    var wire: ImageGenerationRequest
    var request: PictureRequest
    var recipe: RecipeChoice
    var embeddingWarnings: [String]
    var lease: ModelLease
    var key: BatchKey
    var arrival: ContinuousClock.Instant
  }

  /// Checks a request, and reads what belongs to it.
  /// - Parameter readImages: Reads what comes with it, on a thread that may take its time.
  func prepared(
    _ wire: ImageGenerationRequest, arrival: ContinuousClock.Instant,
    _ context: DaemonRequestContext,
    readImages: (@Sendable (inout PictureRequest) throws -> Void)? = nil
  ) async throws -> PreparedRequest {
    if context.peer.isShared, wire.store == true {
      throw context.peer.notToldApart("no answer is kept for you", param: "store")
    }
    let lease = try await lease(for: wire, arrival: arrival, context)
    let engine = lease.engine
    // Small things first: what is refused for its size or a name costs nobody anything.
    var request = try PictureRequest(
      wire, model: engine.model,
      // Short enough to survive readers that keep numbers as doubles.
      randomSeed: UInt64.random(in: 0...UInt64(UInt32.max)))
    do { try await scheduler.checkRoom(for: context.peer) } catch { throw APIError(error) }
    // Files are opened, and images read, last: everything else of the request holds by now.
    request.peels = try await peels.uses(of: wire.peels ?? [], for: context.peer.peelUID)
    for use in request.peels where !engine.isPrepared(use.peel) {
      try await prepare(use, for: engine, context)
    }
    let embeddings = try await peels.embeddings(
      namedIn: [("prompt", request.prompt), ("negative_prompt", request.negativePrompt)],
      for: context.peer.peelUID
    ) { try engine.prepare($0) { true } }
    request.words = embeddings.uses
    let recipe = RecipeChoice(for: request, by: engine.model)
    request = recipe.request
    var key: BatchKey?
    if let readImages {
      let (whole, size) = (request, engine.model.offered(request.size))
      request = try await unmetered(context) {
        var request = whole
        try readImages(&request)
        // Fitted before it waits, so that what waits is small.
        return request.fitted(to: size)
      }
    } else if request.prompt.utf8.count + request.negativePrompt.utf8.count <= Self.smallPrompt {
      key = engine.batchKey(for: request)
    }
    if key == nil {
      key = try await unmetered(context) { [request] in engine.batchKey(for: request) }
    }
    return PreparedRequest(
      wire: wire, request: request, recipe: recipe, embeddingWarnings: embeddings.warnings,
      lease: lease, key: key!, arrival: arrival)
  }

  /// Queues a request and answers with its pictures or with the stream of its events.
  func draw(
    _ prepared: PreparedRequest, _ context: DaemonRequestContext
  ) async throws -> Response {
    // It has been read, and nothing of it is left.
    context.body?.release()
    let (wire, arrival) = (prepared.wire, prepared.arrival)
    let answer = ImagesAnswer(
      wire: wire, request: prepared.request, recipe: prepared.recipe,
      embeddingWarnings: prepared.embeddingWarnings, model: prepared.lease.engine.model,
      arrival: arrival,
      isExact: context.peer.seesExactFigures)
    let job: Job
    do {
      job = try await scheduler.submit(
        Submission(
          request: prepared.request, peer: context.peer, priority: wire.priority ?? .normal,
          deadlineSeconds: wire.deadlineSeconds.map { $0 - (.now - arrival).seconds },
          isStored: wire.store ?? false, isStreamed: wire.stream ?? false,
          room: context.connection.makeRoom(), answer: { answer.response($0, $1) }),
        to: prepared.lease, key: prepared.key)
    } catch { throw APIError(error) }
    context.channel.closeFuture.whenComplete { [scheduler, id = job.id] _ in
      Task { await scheduler.clientLeft(id) }
    }
    if wire.stream == true { return streamed(job, answer, context.peer) }
    defer { job.events.leave() }
    return try await .json(result(of: job, context.peer))
  }

  /// Makes a peel ready for a model, so that no step of the engine has to.
  private func prepare(
    _ use: PeelUse, for engine: any PictureEngine, _ context: DaemonRequestContext
  ) async throws {
    try await unmetered(context) { [channel = context.channel] in
      do { try engine.prepare(use.peel) { channel.isActive } } catch let error as PeelError {
        throw APIError(.peelInvalid, "\(error)", param: "peels")
      } catch { throw APIError(EngineError.cancelled) }
    }
  }

  /// The engine of the model that a request is for, after waiting for its opening: no longer than
  /// the client is there, and no longer than its deadline.
  private func lease(
    for wire: ImageGenerationRequest, arrival: ContinuousClock.Instant,
    _ context: DaemonRequestContext
  ) async throws -> ModelLease {
    let aliases = await scheduler.configuration.modelAliases
    let name = wire.model.map { aliases.model(named: $0) }
    // Not the task's value: the connection knows the task until it closes, and with it its value.
    let (results, opened) = AsyncStream<Result<ModelLease, ModelLibraryError>>.makeStream()
    let opening = Task { [models, account = context.peer.account] in
      do throws(ModelLibraryError) {
        opened.yield(.success(try await models.lease(name, for: account)))
      } catch {
        opened.yield(.failure(error))
      }
    }
    context.channel.closeFuture.whenComplete { _ in opening.cancel() }
    let timer = wire.deadlineSeconds.map { seconds in
      Task {
        try await Task.sleep(until: arrival + .seconds(seconds))
        opening.cancel()
      }
    }
    let result = await results.first { _ in true } ?? .failure(.cancelled)
    opening.cancel()
    timer?.cancel()
    if let seconds = wire.deadlineSeconds, (.now - arrival).seconds >= seconds {
      throw APIError(JobError.deadlineExceeded(seconds: seconds))
    }
    do throws(ModelLibraryError) { return try result.get() } catch {
      throw APIError(error, aliases: aliases)
    }
  }

  private func result(of job: Job, _ peer: Peer) async throws -> ImageGenerationResponse {
    for await event in job.events {
      switch event {
      case .waiting, .progress, .preview: continue
      case .finished(let response): return finish(job, peer, response)
      case .failed(let error): throw failure(of: job, peer, error)
      }
    }
    throw APIError(EngineError.cancelled)
  }

  private func streamed(_ job: Job, _ answer: ImagesAnswer, _ peer: Peer) -> Response {
    let headers: HTTPFields = [.contentType: "text/event-stream", .cacheControl: "no-cache"]
    return Response(
      status: .ok, headers: headers,
      body: .init { writer in
        defer { job.events.leave() }
        for await event in job.events {
          guard case .finished(let response) = event else {
            let message = try message(for: event, of: job, answer, peer)
            job.events.handOver(message.readableBytes)
            try await writer.write(message)
            continue
          }
          // One after the other: each is there once more while it is written.
          for completed in answer.completed(finish(job, peer, response)) {
            let message = try ServerSentEvent.encode(completed.type, completed)
            job.events.handOver(message.readableBytes)
            try await writer.write(message)
          }
        }
        try await writer.finish(nil)
      })
  }

  /// Any event but the last one of a job that has pictures.
  private func message(
    for event: JobEvent, of job: Job, _ answer: ImagesAnswer, _ peer: Peer
  ) throws -> ByteBuffer {
    switch event {
    case .waiting(let jobsAhead):
      let progress = GenerationProgress(
        stage: .queued, step: jobsAhead, of: jobsAhead, picture: 0,
        pictures: answer.request.count, secondsLeft: nil, job: job.id)
      return try ServerSentEvent.encode(StreamEventName.progress, progress)
    case .progress(let progress):
      return try ServerSentEvent.encode(StreamEventName.progress, progress)
    case .preview(let preview):
      let partial = answer.partialImage(preview)
      return try ServerSentEvent.encode(partial.type, partial)
    case .failed(let error):
      return try ServerSentEvent.encode(
        StreamEventName.error, ErrorBody(failure(of: job, peer, error)))
    case .finished: preconditionFailure("a message for each picture")
    }
  }

  private func finish(
    _ job: Job, _ peer: Peer, _ response: ImageGenerationResponse
  ) -> ImageGenerationResponse {
    logger.info(
      "job finished",
      metadata: [
        "job": "\(job.id)", "model": "\(response.model)", "uid": "\(peer.uid)",
        "pictures": "\(response.data.count)", "size": "\(response.size)",
        "seconds": "\(response.timings.totalSeconds)",
      ])
    return response
  }

  private func failure(of job: Job, _ peer: Peer, _ error: JobError) -> APIError {
    let error = APIError(error)
    complaints.write("job ended without pictures", error, of: peer.account, job: job.id)
    return error
  }
}

/// What the answer to one request says beside the pictures.
struct ImagesAnswer: Sendable {
  let wire: ImageGenerationRequest
  let request: PictureRequest
  let recipe: RecipeChoice
  let embeddingWarnings: [String]
  let model: ModelDescription
  let arrival: ContinuousClock.Instant
  /// Whether times are told as they were measured.
  let isExact: Bool

  /// Rounded up to the next 20th of a second: less tells whether others have lately used a peel.
  private func told(_ seconds: Double) -> Double {
    isExact ? seconds : (seconds * 20).rounded(.up) / 20
  }

  private static func warnings(of omitted: OmittedTexts) -> [String] {
    [("The prompt", omitted.prompt), ("negative_prompt", omitted.negativePrompt)].compactMap {
      which, text in
      guard let text else { return nil }
      let isLong = text.count > 60
      return "\(which) is longer than the model reads: "
        + (text.isEmpty
          ? "only its beginning was used."
          : "it was cut before \"\(text.cut(60))\(isLong ? "…" : "")\".")
    }
  }

  func response(_ result: PictureResult, _ job: JobFacts) -> ImageGenerationResponse {
    func seconds(_ stage: PictureStage) -> Double { told(result.secondsByStage[stage] ?? 0) }
    var warnings = RequestWarnings.of(wire, as: request, by: model) + recipe.warnings
    warnings += embeddingWarnings
    warnings += Self.warnings(of: result.omitted)
    if !result.overflowed.isEmpty { warnings.append(overflow(result.overflowed)) }
    if result.isPromptUnknown {
      warnings.append(
        "The model knows no word of the prompt: the picture has nothing to do with it. Say it in "
          + "English.")
    }
    return ImageGenerationResponse(
      created: UnixTime.now,
      data: result.pictures.map {
        GeneratedImage(png: Data($0.png), seed: $0.seed, isURL: wire.responseFormat == "url")
      },
      background: request.background.rawValue, size: "\(request.size)",
      quality: wire.quality ?? "auto", model: model.name,
      timings: Timings(
        queueSeconds: told(job.queueSeconds), textSeconds: seconds(.text),
        denoiseSeconds: seconds(.denoise),
        decodeSeconds: seconds(.decode), encodeSeconds: seconds(.encode),
        totalSeconds: told((ContinuousClock.now - arrival).seconds)),
      warnings: warnings, peels: appliedPeels, embeddings: appliedEmbeddings,
      recipe: recipe.applied, job: job.id,
      isThermalLimited: job.isThermalLimited)
  }

  private var appliedEmbeddings: [AppliedEmbedding]? {
    if request.words.isEmpty { return nil }
    return request.words.map {
      AppliedEmbedding(name: $0.name, vectors: $0.peel.file.embedding?.count ?? 0)
    }
  }

  private var appliedPeels: [AppliedPeel]? {
    if request.peels.isEmpty { return nil }
    return request.peels.map { use in
      AppliedPeel(
        name: use.name, strength: Double(use.strength),
        layers: use.strength == 0 ? 0 : use.peel.layerCount(of: model.name))
    }
  }

  private func overflow(_ pictures: [Int]) -> String {
    let which =
      request.count == 1
      ? "the picture" : "picture " + pictures.map { "\($0 + 1)" }.joined(separator: ", ")
    let peels = request.peels.map { "\"\($0.name)\"" }.joined(separator: ", ")
    return "Numbers overflowed (NaN or infinity) in \(which), which shows nothing useful. "
      + (peels.isEmpty
        ? "Draw with less guidance or another seed."
        : "Lower the strength of the peels \(peels), or leave them out.")
  }

  func completed(_ response: ImageGenerationResponse) -> [ImageCompleted] {
    response.data.enumerated().map { index, image in
      var completed = ImageCompleted(image: image, index: index, of: response)
      if request.isEdit { completed.type = StreamEventName.editCompleted }
      return completed
    }
  }

  func partialImage(_ preview: PicturePreview) -> PartialImage {
    var partial = PartialImage(
      png: Data(preview.png), createdAt: UnixTime.now, size: "\(request.size)",
      quality: wire.quality ?? "auto", background: request.background.rawValue,
      partialImageIndex: preview.index, index: preview.picture)
    if request.isEdit { partial.type = StreamEventName.editPartialImage }
    return partial
  }
}

/// The `text/event-stream` framing of the HTML standard.
enum ServerSentEvent {
  static func encode(_ name: String, _ value: some Encodable) throws -> ByteBuffer {
    var buffer = ByteBuffer(string: "event: \(name)\ndata: ")
    var json = try WireJSON.encode(value)
    buffer.writeBuffer(&json)
    buffer.writeString("\n\n")
    return buffer
  }
}
