import BananaAPI
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
package import NIOCore

/// The context of one request: Hummingbird's own storage, the connection that it came on, and who
/// is at its other end.
struct DaemonRequestContext: RequestContext {
  /// What a context is made of.
  struct Source: RequestContextSource {
    let channel: any Channel
    let peer: Peer
    let logger: Logger
  }

  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  let peer: Peer

  init(source: Source) {
    coreContext = .init(source: source)
    channel = source.channel
    peer = source.peer
  }
}

extension Response {
  /// A JSON answer.
  static func json(
    _ value: some Encodable, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]
  ) throws -> Response {
    var headers = headers
    headers[.contentType] = "application/json"
    return Response(
      status: status, headers: headers, body: .init(byteBuffer: try WireJSON.encode(value)))
  }

  /// The API's error answer, with Retry-After where trying again can help.
  static func error(_ error: APIError) throws -> Response {
    var headers = HTTPFields()
    headers[HTTPField.Name("x-should-retry")!] = error.retryAfterSeconds == nil ? "false" : "true"
    if let seconds = error.retryAfterSeconds { headers[.retryAfter] = "\(seconds)" }
    return try .json(
      ErrorBody(error), status: .init(code: error.code.httpStatus), headers: headers)
  }
}

extension RequestBody {
  /// The whole body.
  /// - Parameter advice: What to do when it is larger than `limit` bytes.
  /// - Throws: `APIError` with code `requestTooLarge`.
  func bytes(upTo limit: Int, _ advice: String) async throws -> ByteBuffer {
    var body = ByteBuffer()
    try await forEachChunk(upTo: limit, advice) { body.writeImmutableBuffer($0) }
    return body
  }

  /// The body piece by piece; what is too much is read all the same, so that a client that sends
  /// everything before it listens gets its answer, but not for ever.
  func forEachChunk(
    upTo limit: Int, _ advice: String, _ take: (ByteBuffer) throws -> Void
  ) async throws {
    var receivedBytes = 0
    for try await chunk in self {
      receivedBytes += chunk.readableBytes
      if receivedBytes <= limit { try take(chunk) }
      if receivedBytes > Swift.max(64 * limit, 64 << 20) { break }
    }
    guard receivedBytes <= limit else {
      throw APIError(.requestTooLarge, "The body is larger than \(limit) bytes. \(advice)")
    }
  }
}

/// JSON as the API speaks it.
package enum WireJSON {
  package static func encode(_ value: some Encodable) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    // Escaped slashes would lengthen base64 by a sixty-fourth.
    encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
    return ByteBuffer(bytes: try encoder.encode(value))
  }

  /// - Throws: `APIError` that says what is wrong with the body.
  package static func decode<Value: Decodable>(
    _ type: Value.Type, from body: ByteBuffer
  ) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(body.readableBytesView))
    } catch let error as APIError {
      throw error
    } catch {
      throw APIError(.invalidRequest, "The body is not valid JSON. Send {\"prompt\": \"…\"}.")
    }
  }
}

/// Turns whatever a route throws into the API's error answer.
struct ErrorMiddleware: RouterMiddleware {
  typealias Context = DaemonRequestContext

  @concurrent
  func handle(
    _ request: Request, context: Context,
    next: @concurrent (Request, Context) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as APIError {
      return try .error(error)
    } catch let error as HTTPError where error.status == .notFound {
      return try .error(unrouted(request))
    } catch {
      context.logger.error(
        "request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
      return try .error(APIError(.internalError, "bananad failed: \(error)."))
    }
  }

  private func unrouted(_ request: Request) -> APIError {
    let path = request.uri.path
    if let served = Route.served.first(where: { $0.matches(path) }) {
      return APIError(
        .methodNotAllowed,
        "\(path.prefix(128)) is served with \(served.methods.joined(separator: " and ")), not "
          + "\(request.method.rawValue).")
    }
    return APIError(
      .notFound,
      "There is no \(path.prefix(128)). "
        + (PathHints.hint(for: path).map { "\($0) " } ?? "") + "The paths are: "
        + Route.served.map(\.path).joined(separator: ", ") + ".")
  }
}
