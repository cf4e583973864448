import BananaAPI
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import Serving

/// The context of one request: Hummingbird's own storage, and the connection that it came on.
struct DaemonRequestContext: RequestContext {
  /// What a context is made of.
  struct Source: RequestContextSource {
    let connection: Connection
    let logger: Logger
    var channel: any Channel { connection.channel }
  }

  var coreContext: CoreRequestContextStorage
  let connection: Connection
  /// Held as long as the request is handled, whoever has gone; a route that has let go of the body
  /// releases it.
  let body: TransferRoom?

  var channel: any Channel { connection.channel }
  /// Who is at the other end.
  var peer: Peer { connection.peer }

  init(source: Source) {
    coreContext = .init(source: source)
    connection = source.connection
    body = source.connection.body
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

  /// The API's error answer.
  static func error(_ error: APIError, allow: [String] = []) -> Response {
    let answer = APIAnswer(error, allow: allow)
    var headers = HTTPFields()
    for (name, value) in answer.headers { headers[HTTPField.Name(name)!] = value }
    return Response(
      status: .init(code: answer.status), headers: headers,
      body: .init(byteBuffer: answer.body))
  }
}

extension RequestBody {
  /// The whole body, which the gate keeps within its bounds.
  func bytes() async throws -> ByteBuffer {
    var body = ByteBuffer()
    for try await chunk in self { body.writeImmutableBuffer(chunk) }
    return body
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
      return .error(error)
    } catch let error as HTTPError where error.status == .notFound {
      let refusal = RequestRules.unrouted(request.method.rawValue, request.uri.path)
      return .error(refusal.error, allow: refusal.allow)
    } catch {
      let failure = APIError(.internalError, "bananad failed: \(error).")
      // A client that has gone is no failure, nor is one that the gate has answered.
      if context.channel.isActive, !(error is RequestGate.RequestRefused) {
        context.logger.error(
          "request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
      }
      return .error(failure)
    }
  }
}
