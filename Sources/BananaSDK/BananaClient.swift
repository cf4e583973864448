public import BananaAPI
import FoundationEssentials
import NIOCore
import NIOHTTP1

/// A client of the daemon on a Unix socket.
///
///     let client = BananaClient()
///     let answer = try await client.generate(ImageGenerationRequest(prompt: "a red apple"))
///     try answer.data[0].png.write(to: URL(filePath: "apple.png"))
///
/// Every call opens a connection of its own. Cancelling the calling task closes it, which cancels
/// the job.
public struct BananaClient: Sendable {
  public let socketPath: String

  /// - Parameter socketPath: Nil is `BANANA_SOCKET`, else the user's socket, else the system's.
  public init(socketPath: String? = nil) {
    self.socketPath = socketPath ?? SocketPath.forClient()
  }

  /// Draws pictures and returns when all of them are done.
  public func generate(
    _ request: ImageGenerationRequest
  ) async throws(BananaError) -> ImageGenerationResponse {
    var request = request
    request.stream = nil
    return try await call(.POST, Route.imageGenerations, body: request)
  }

  /// Draws pictures and says where the job stands.
  /// - Parameter progress: Called after each of the daemon's steps, in order.
  public func generate(
    _ request: ImageGenerationRequest, progress: @escaping @Sendable (GenerationProgress) -> Void
  ) async throws(BananaError) -> ImageGenerationResponse {
    var streamed = request
    streamed.stream = true
    let body = try encode(streamed)
    let count = request.count ?? 1
    return try await HTTPExchange(socketPath: socketPath)
      .send(.POST, Route.imageGenerations, body: body) { answer in
        guard answer.isEventStream else {
          throw Self.failure(status: answer.status, try await answer.body())
        }
        var completed: [ImageCompleted] = []
        while let event = try await answer.nextEvent() {
          switch event.name {
          case StreamEventName.progress: progress(try event.decode(GenerationProgress.self))
          case StreamEventName.completed: completed.append(try event.decode(ImageCompleted.self))
          case StreamEventName.error:
            throw BananaError.refused(try event.decode(ErrorBody.self).error)
          default: continue
          }
        }
        // The daemon sends the pictures last, so that fewer of them mean that it went away.
        guard completed.count == count, let answer = ImageGenerationResponse(events: completed)
        else { throw BananaError.connectionLost(reason: "the stream ended before the pictures") }
        return answer
      }
  }

  /// The models that the daemon serves.
  public func models() async throws(BananaError) -> [ModelInfo] {
    let list: ModelList = try await call(.GET, Route.models)
    return list.data
  }

  /// One model by its name.
  public func model(_ id: String) async throws(BananaError) -> ModelInfo {
    try await call(.GET, "\(Route.models)/\(Self.percentEncoded(id))")
  }

  /// What the daemon is doing.
  public func status() async throws(BananaError) -> DaemonStatus {
    try await call(.GET, Route.status)
  }

  /// Returns when the daemon can draw.
  /// - Throws: `BananaError.refused` with the reason when it cannot.
  public func checkReady() async throws(BananaError) {
    let _: [String: String] = try await call(.GET, Route.ready)
  }

  private func call<Answer: Decodable & Sendable>(
    _ method: HTTPMethod, _ path: String, body: (any Encodable)? = nil
  ) async throws(BananaError) -> Answer {
    let bytes: ByteBuffer? = if let body { try encode(body) } else { nil }
    return try await HTTPExchange(socketPath: socketPath).send(method, path, body: bytes) {
      answer in
      let bytes = try await answer.body()
      guard answer.status == 200 else { throw Self.failure(status: answer.status, bytes) }
      do {
        return try JSONDecoder().decode(Answer.self, from: Data(bytes.readableBytesView))
      } catch {
        throw BananaError.unexpectedAnswer(httpStatus: answer.status, reason: "\(error)")
      }
    }
  }

  private func encode(_ body: some Encodable) throws(BananaError) -> ByteBuffer {
    do {
      return ByteBuffer(bytes: try JSONEncoder().encode(body))
    } catch {
      // Only a number that JSON cannot hold gets here.
      throw .refused(APIError(.invalidRequest, "The request cannot be written as JSON: \(error)"))
    }
  }

  /// RFC 3986, 2.1, for everything that is not unreserved.
  private static func percentEncoded(_ text: String) -> String {
    text.utf8.map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "_"), UInt8(ascii: "~"):
        String(UnicodeScalar(byte))
      default:
        "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
      }
    }.joined()
  }

  private static func failure(status: Int, _ body: ByteBuffer) -> BananaError {
    guard
      let error = try? JSONDecoder().decode(ErrorBody.self, from: Data(body.readableBytesView))
    else {
      return .unexpectedAnswer(httpStatus: status, reason: "its body is no error of this API")
    }
    return .refused(error.error)
  }
}
