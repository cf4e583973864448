import BananaAPI
import FoundationEssentials
import NIOCore
import NIOHTTP1
import NIOPosix

/// What a request carries.
struct HTTPBody: Sendable {
  var contentType: String
  var bytes: ByteBuffer
}

/// One request and its answer over a connection of its own.
struct HTTPExchange: Sendable {
  private typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

  private static let backlogPatience = Duration.seconds(10)
  /// A client waits more than it works: one thread serves all its connections.
  private static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

  let socketPath: String

  /// Sends a request and hands the answer's head and stream of bytes to `read`.
  func send<Result: Sendable>(
    _ method: HTTPMethod, _ path: String, body: HTTPBody?,
    read: @Sendable (inout HTTPAnswer) async throws -> Result
  ) async throws(BananaError) -> Result {
    if let reason = SocketPath.fault(in: socketPath) {
      throw .unusableSocketPath(path: socketPath, reason: reason)
    }
    do {
      return try await connect().executeThenClose { inbound, outbound in
        try await outbound.write(contentsOf: parts(method, path, body))
        var answer = try await HTTPAnswer(inbound.makeAsyncIterator())
        return try await read(&answer)
      }
    } catch {
      throw failure(for: error)
    }
  }

  /// Where many clients come at once the socket's backlog is full for a moment, which is no reason
  /// to give up.
  private func connect() async throws -> Connection {
    let deadline = ContinuousClock.now + Self.backlogPatience
    while true {
      do {
        return try await connectOnce()
      } catch let error as IOError where error.errnoCode == EAGAIN && .now < deadline {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  private func connectOnce() async throws -> Connection {
    try await ClientBootstrap(group: Self.group)
      .connect(unixDomainSocketPath: socketPath) { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHTTPClientHandlers()
          return try Connection(wrappingChannelSynchronously: channel)
        }
      }
  }

  private func parts(
    _ method: HTTPMethod, _ path: String, _ body: HTTPBody?
  ) -> [HTTPClientRequestPart] {
    var headers = HTTPHeaders([("host", "localhost"), ("connection", "close")])
    guard let body else {
      return [
        .head(.init(version: .http1_1, method: method, uri: path, headers: headers)), .end(nil),
      ]
    }
    headers.add(name: "content-type", value: body.contentType)
    headers.add(name: "content-length", value: "\(body.bytes.readableBytes)")
    return [
      .head(.init(version: .http1_1, method: method, uri: path, headers: headers)),
      .body(.byteBuffer(body.bytes)), .end(nil),
    ]
  }

  private func failure(for error: any Error) -> BananaError {
    if let error = error as? BananaError { return error }
    if error is CancellationError || Task.isCancelled { return .cancelled }
    guard let code = (error as? IOError)?.errnoCode else {
      return .connectionLost(reason: "\(error)")
    }
    switch code {
    case ENOENT, ENOTDIR, ECONNREFUSED: return .daemonNotRunning(socketPath: socketPath)
    case EACCES, EPERM: return .permissionDenied(socketPath: socketPath)
    default: return .connectionLost(reason: String(cString: strerror(code)))
    }
  }
}

/// The answer to one request: its head, then its bytes or its events.
struct HTTPAnswer {
  private var parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator
  private let head: HTTPResponseHead
  private var events = ServerSentEventParser()
  private var pending: [ServerSentEvent] = []

  init(_ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>.AsyncIterator) async throws {
    self.parts = parts
    guard case .head(let head) = try await self.parts.next(isolation: #isolation) else {
      throw BananaError.connectionLost(reason: "it ended before an answer came")
    }
    self.head = head
  }

  var status: Int { Int(head.status.code) }

  var isSuccess: Bool { (200..<300).contains(head.status.code) }

  /// What Retry-After says.
  var retryAfterSeconds: Int? { head.headers.first(name: "retry-after").flatMap { Int($0) } }

  var isEventStream: Bool {
    head.status == .ok && head.headers.first(name: "content-type") == "text/event-stream"
  }

  /// The whole body.
  mutating func body() async throws -> ByteBuffer {
    var body = ByteBuffer()
    while var chunk = try await nextChunk() { body.writeBuffer(&chunk) }
    return body
  }

  /// The next event of a stream; nil at its end.
  mutating func nextEvent() async throws -> ServerSentEvent? {
    while pending.isEmpty {
      guard let chunk = try await nextChunk() else { return nil }
      pending = events.append(chunk.readableBytesView)
    }
    return pending.removeFirst()
  }

  private mutating func nextChunk() async throws -> ByteBuffer? {
    switch try await parts.next(isolation: #isolation) {
    case .body(let chunk): return chunk
    case .end: return nil
    case .head, nil: throw BananaError.connectionLost(reason: "it ended in the middle of an answer")
    }
  }
}
