import BananaAPI
import NIOCore
import NIOHTTP1

/// The API's error answer, with `Retry-After` where trying again can help.
struct APIAnswer {
  let status: Int
  let headers: [(String, String)]
  let body: ByteBuffer

  /// - Parameter allow: The methods of the path, when it is the method that is wrong.
  init(_ error: APIError, allow: [String] = []) {
    // A code and a few strings, which JSON can always say.
    body = (try? WireJSON.encode(ErrorBody(error))) ?? ByteBuffer()
    status = error.code.httpStatus
    var headers = [
      ("content-type", "application/json"), ("content-length", "\(body.readableBytes)"),
      ("x-should-retry", error.retryAfterSeconds == nil ? "false" : "true"),
    ]
    if let seconds = error.retryAfterSeconds { headers.append(("retry-after", "\(seconds)")) }
    if !allow.isEmpty { headers.append(("allow", allow.joined(separator: ", "))) }
    self.headers = headers
  }

  var head: HTTPResponseHead {
    HTTPResponseHead(
      version: .http1_1, status: .init(statusCode: status), headers: HTTPHeaders(headers))
  }

  /// As it goes into a socket, for a connection that gets no other.
  var bytes: ByteBuffer {
    var text = "HTTP/1.1 \(head.status.code) \(head.status.reasonPhrase)\r\n"
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    var bytes = ByteBuffer(string: text + "connection: close\r\n\r\n")
    bytes.writeImmutableBuffer(body)
    return bytes
  }
}
