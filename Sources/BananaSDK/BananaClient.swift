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
  /// The daemon's socket.
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
    request.partialImages = nil
    return try await call(.POST, Route.imageGenerations, body: Self.json(request))
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

  /// This user's jobs, or through the admin socket everybody's.
  public func jobs() async throws(BananaError) -> [JobInfo] {
    let list: JobList = try await call(.GET, Route.jobs)
    return list.data
  }

  /// One job by its id.
  public func job(_ id: String) async throws(BananaError) -> JobInfo {
    try await call(.GET, Route.job(Self.percentEncoded(id)))
  }

  /// Cancels a job: at once when it waits, with its next step when it is being drawn.
  @discardableResult
  public func cancelJob(_ id: String) async throws(BananaError) -> JobInfo {
    try await call(.DELETE, Route.job(Self.percentEncoded(id)))
  }

  /// The answer of a job that was asked for with `store` and is done.
  public func result(ofJob id: String) async throws(BananaError) -> ImageGenerationResponse {
    try await call(.GET, Route.jobResult(Self.percentEncoded(id)))
  }

  func call<Answer: Decodable & Sendable>(
    _ method: HTTPMethod, _ path: String, body: HTTPBody? = nil
  ) async throws(BananaError) -> Answer {
    try await HTTPExchange(socketPath: socketPath).send(method, path, body: body) { answer in
      guard answer.isSuccess else { throw try await Self.failure(&answer) }
      let bytes = try await answer.body()
      do {
        return try JSONDecoder().decode(Answer.self, from: Data(bytes.readableBytesView))
      } catch {
        throw BananaError.unexpectedAnswer(httpStatus: answer.status, reason: "\(error)")
      }
    }
  }

  static func json(_ value: some Encodable) throws(BananaError) -> HTTPBody {
    do {
      return HTTPBody(
        contentType: "application/json", bytes: ByteBuffer(bytes: try JSONEncoder().encode(value)))
    } catch {
      // Only a number that JSON cannot hold gets here.
      throw .refused(
        APIError(
          .invalidRequest,
          "A number of the request is infinite or none at all (NaN). Give it one of its range."))
    }
  }

  /// RFC 3986, 2.1, for everything that is not unreserved.
  static func percentEncoded(_ text: String) -> String {
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

  /// What an answer that is no success says.
  static func failure(_ answer: inout HTTPAnswer) async throws -> BananaError {
    let body = try await answer.body()
    guard
      var error = try? JSONDecoder().decode(ErrorBody.self, from: Data(body.readableBytesView))
        .error
    else {
      return .unexpectedAnswer(
        httpStatus: answer.status, reason: "its body is no error of this API")
    }
    error.retryAfterSeconds = answer.retryAfterSeconds
    return .refused(error)
  }
}
