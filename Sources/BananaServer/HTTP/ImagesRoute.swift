import BananaAPI
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// `POST /v1/images/generations`.
extension DaemonRoutes {
  func generateImages(_ request: Request, _ context: DaemonRequestContext) async throws -> Response
  {
    let arrival = ContinuousClock.now
    let wire = try await decodeBody(of: request)
    try wire.validate()
    let engine = try await model.engine()
    // Short enough to survive readers that keep numbers as doubles.
    let randomSeed = UInt64.random(in: 0...UInt64(UInt32.max))
    let pictures = try PictureRequest(wire, model: engine.model, randomSeed: randomSeed)
    let job = try await submit(pictures, to: engine)
    let answer = ImagesAnswer(
      wire: wire, request: pictures, modelName: engine.model.name, arrival: arrival)
    context.channel.closeFuture.whenComplete { [scheduler, id = job.id] _ in
      Task { await scheduler.cancel(id) }
    }
    if wire.stream == true { return streamed(job, answer) }
    return try await .json(result(of: job, answer))
  }

  private func decodeBody(of request: Request) async throws -> ImageGenerationRequest {
    let limit = ImageGenerationRequest.Limits.bodyBytes
    var body = ByteBuffer()
    var receivedBytes = 0
    for try await chunk in request.body {
      receivedBytes += chunk.readableBytes
      // What is too much is read all the same, so that a client that sends everything before it
      // listens gets its answer; but not for ever.
      if receivedBytes <= limit { body.writeImmutableBuffer(chunk) }
      if receivedBytes > 64 * limit { break }
    }
    guard receivedBytes <= limit else {
      throw APIError(.requestTooLarge, "The body is larger than \(limit) bytes. Shorten it.")
    }
    return try WireJSON.decode(ImageGenerationRequest.self, from: body)
  }

  private func submit(_ request: PictureRequest, to engine: any PictureEngine) async throws -> Job {
    do {
      return try await scheduler.submit(request, to: engine)
    } catch {
      throw APIError(error)
    }
  }

  private func result(of job: Job, _ answer: ImagesAnswer) async throws -> ImageGenerationResponse {
    for await event in job.events {
      switch event {
      case .waiting, .progress: continue
      case .finished(let result, let queueSeconds):
        return finish(job, answer.response(result, queueSeconds: queueSeconds))
      case .failed(let error): throw failure(of: job, error)
      }
    }
    throw APIError(EngineError.cancelled)
  }

  private func streamed(_ job: Job, _ answer: ImagesAnswer) -> Response {
    let headers: HTTPFields = [.contentType: "text/event-stream", .cacheControl: "no-cache"]
    return Response(
      status: .ok, headers: headers,
      body: .init { writer in
        for await event in job.events {
          for message in try messages(for: event, of: job, answer) {
            try await writer.write(message)
          }
        }
        try await writer.finish(nil)
      })
  }

  private func messages(
    for event: JobEvent, of job: Job, _ answer: ImagesAnswer
  ) throws -> [ByteBuffer] {
    switch event {
    case .waiting(let jobsAhead):
      let progress = GenerationProgress(
        stage: .queued, step: jobsAhead, of: jobsAhead, picture: 0,
        pictures: answer.request.count, secondsLeft: nil)
      return [try ServerSentEvent.encode(StreamEventName.progress, progress)]
    case .progress(let progress):
      return [try ServerSentEvent.encode(StreamEventName.progress, progress)]
    case .finished(let result, let queueSeconds):
      let response = finish(job, answer.response(result, queueSeconds: queueSeconds))
      return try response.data.enumerated().map { index, image in
        try ServerSentEvent.encode(
          StreamEventName.completed, ImageCompleted(image: image, index: index, of: response))
      }
    case .failed(let error):
      return [
        try ServerSentEvent.encode(StreamEventName.error, ErrorBody(failure(of: job, error)))
      ]
    }
  }

  private func finish(_ job: Job, _ response: ImageGenerationResponse) -> ImageGenerationResponse {
    logger.info(
      "job finished",
      metadata: [
        "job": "\(job.id)", "pictures": "\(response.data.count)", "size": "\(response.size)",
        "seconds": "\(response.timings.totalSeconds)",
      ])
    return response
  }

  private func failure(of job: Job, _ error: JobError) -> APIError {
    let error = APIError(error)
    logger.notice(
      "job ended without pictures",
      metadata: [
        "job": "\(job.id)", "code": "\(error.code.rawValue)", "reason": "\(error.message)",
      ])
    return error
  }
}

/// What the answer to one request says beside the pictures.
struct ImagesAnswer: Sendable {
  let wire: ImageGenerationRequest
  let request: PictureRequest
  let modelName: String
  let arrival: ContinuousClock.Instant

  func response(_ result: PictureResult, queueSeconds: Double) -> ImageGenerationResponse {
    func seconds(_ stage: PictureStage) -> Double { result.secondsByStage[stage] ?? 0 }
    var warnings: [String] = []
    if result.promptTokensTruncated {
      warnings.append("The prompt is longer than the model reads: only its beginning was used.")
    }
    if let style = wire.style, style != request.style {
      warnings.append("style \"\(style)\" means nothing to \(modelName) and was ignored.")
    }
    return ImageGenerationResponse(
      created: UnixTime.now,
      data: result.pictures.map { GeneratedImage(png: Data($0.png), seed: $0.seed) },
      background: request.background.rawValue, size: "\(request.width)x\(request.height)",
      quality: wire.quality ?? "auto", model: modelName,
      timings: Timings(
        queueSeconds: queueSeconds, textSeconds: seconds(.text), denoiseSeconds: seconds(.denoise),
        decodeSeconds: seconds(.decode), encodeSeconds: seconds(.encode),
        totalSeconds: (ContinuousClock.now - arrival).seconds),
      warnings: warnings)
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
