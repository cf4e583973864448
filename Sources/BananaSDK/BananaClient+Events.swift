public import BananaAPI
import NIOCore
import NIOHTTP1

extension BananaClient {
  /// Draws pictures and tells what happens on the way.
  ///
  ///     for try await event in client.events(for: request) {
  ///       if case .completed(let picture) = event { try picture.png.write(to: file) }
  ///     }
  ///
  /// It ends after the last picture, or throws a `BananaError`. A reader that stops before, or
  /// whose task is cancelled, closes the connection, which cancels the job.
  /// - Parameter request: Its `partialImages`, 0...3, says how many previews to send.
  public func events(
    for request: ImageGenerationRequest
  ) -> AsyncThrowingStream<GenerationEvent, any Error> {
    var streamed = request
    streamed.stream = true
    return events(pictures: request.count ?? 1, path: Route.imageGenerations) {
      [streamed] () throws(BananaError) in try Self.json(streamed)
    }
  }

  /// Draws pictures and says where the job stands.
  /// - Parameters:
  ///   - request: What to draw.
  ///   - progress: Called after each of the daemon's steps, in order.
  public func generate(
    _ request: ImageGenerationRequest, progress: @escaping @Sendable (GenerationProgress) -> Void
  ) async throws(BananaError) -> ImageGenerationResponse {
    var completed: [ImageCompleted] = []
    do {
      for try await event in events(for: request) {
        switch event {
        case .progress(let step): progress(step)
        case .completed(let picture): completed.append(picture)
        case .queued, .partialImage: continue
        }
      }
    } catch let error as BananaError {
      throw error
    } catch {
      throw .connectionLost(reason: "\(error)")
    }
    // A stream whose task is cancelled ends without an error.
    guard let answer = ImageGenerationResponse(events: completed) else { throw .cancelled }
    return answer
  }

  /// Sends a request for pictures and hands on the events of its answer.
  func events(
    pictures: Int, path: String, body: @escaping @Sendable () throws(BananaError) -> HTTPBody
  ) -> AsyncThrowingStream<GenerationEvent, any Error> {
    AsyncThrowingStream { continuation in
      let task = Task {
        do throws(BananaError) {
          try await HTTPExchange(socketPath: socketPath).send(.POST, path, body: try body()) {
            answer in
            try await Self.read(&answer, pictures: pictures) { continuation.yield($0) }
          }
          continuation.finish()
        } catch {
          continuation.finish(throwing: error)
        }
      }
      continuation.onTermination = { _ in task.cancel() }
    }
  }

  private static func read(
    _ answer: inout HTTPAnswer, pictures: Int, _ handle: (GenerationEvent) -> Void
  ) async throws {
    guard answer.isEventStream else { throw try await failure(&answer) }
    var completed = 0
    while let event = try await answer.nextEvent() {
      switch event.name {
      case StreamEventName.progress:
        let progress = try event.decode(GenerationProgress.self)
        handle(
          progress.stage == .queued ? .queued(jobsAhead: progress.step) : .progress(progress))
      case StreamEventName.partialImage, StreamEventName.editPartialImage:
        handle(.partialImage(try event.decode(PartialImage.self)))
      case StreamEventName.completed, StreamEventName.editCompleted:
        completed += 1
        handle(.completed(try event.decode(ImageCompleted.self)))
      case StreamEventName.error:
        throw BananaError.refused(try event.decode(ErrorBody.self).error)
      default: continue
      }
    }
    // The daemon sends the pictures last, so that fewer of them mean that it went away.
    if completed != pictures {
      throw BananaError.connectionLost(reason: "the stream ended before the pictures")
    }
  }
}
