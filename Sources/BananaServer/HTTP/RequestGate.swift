import BananaAPI
import NIOCore
import NIOHTTP1
import Serving

/// Stands between a connection and the routes: lets in what the rules allow and there is room for,
/// answers the rest itself, and ends what takes too long, with whichever end of it.
///
/// It sits behind `HTTPServerPipelineHandler`, so that one request is under way at a time.
final class RequestGate: ChannelDuplexHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// An event that closes the connection whatever is on its way.
  struct CloseNow: Sendable {}
  /// An event that ends the connection once the answer under way is in the socket.
  struct NoMoreRequests: Sendable {}
  /// What a route that waits for a body reads when the gate has answered in its place.
  struct RequestRefused: Error {}

  /// A request with its answer.
  struct Exchange {
    var version: HTTPVersion
    var isHead = false
    var keepsAlive = false
    var rules: RequestRules?
    /// Whether the routes are told of it.
    var isForwarded = false
    var receivedBytes = 0
    var parts = 0
    /// For the body.
    var room: TransferRoom
    /// Bytes of the body for which there was room.
    var heldBytes = 0
    var isRequestOver = false
    var isAnswerBegun = false
    var isAnswerOver = false
    /// What the routes say is thrown away.
    var isAnsweredHere = false
    /// Bytes of it that were thrown away.
    var discardedBytes = 0
  }

  let connection: Connection
  let complaints: ComplaintLog
  /// For a request to come, for all of it to be here, and for its answer to be read.
  let patience: TimeAmount

  var exchange: Exchange?
  /// No further request is read.
  var isEnding = false
  var isInputClosed = false
  /// Ends of answers that are not in the socket yet.
  var unflushed = 0
  /// What runs out next: the wait for a request, or for the rest of one.
  var timer: Scheduled<Void>?
  var flushTimer: Scheduled<Void>?
  var slowReader = SlowReader()
  /// An answer that waits for its time. Until then nothing is read: what the client sends meanwhile
  /// lies in its socket, and all that it costs is the connection.
  var late: (error: APIError, timer: Scheduled<Void>)?

  init(connection: Connection, complaints: ComplaintLog, patience: TimeAmount) {
    self.connection = connection
    self.complaints = complaints
    self.patience = patience
  }

  func channelActive(context: ChannelHandlerContext) {
    context.fireChannelActive()
    rest(context)
  }

  func channelInactive(context: ChannelHandlerContext) {
    timer?.cancel()
    flushTimer?.cancel()
    late?.timer.cancel()
    slowReader.stop()
    exchange = nil
    connection.close()
    context.fireChannelInactive()
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head): begin(head, context)
    case .body(let bytes): receive(bytes, context)
    case .end(let trailers): endRequest(trailers, context)
    }
  }

  private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
    if isEnding { return }
    slowReader.stop()
    slowReader = SlowReader()
    var exchange = Exchange(
      version: head.version == .http1_0 ? .http1_0 : .http1_1, room: connection.beginBody())
    exchange.isHead = head.method == .HEAD
    // The parser stops behind a request to upgrade, which nobody here does.
    exchange.keepsAlive =
      head.isKeepAlive && head.version != .http1_0 && !head.headers.contains(name: "upgrade")
    self.exchange = exchange
    startTimer(context)
    do throws(RequestRefusal) { try admit(head) } catch {
      return refuse(error, head, context)
    }
    // A large file has the time that it takes at a mebibyte a second.
    let mebibytes = Int64((self.exchange?.rules?.bodyBytes ?? 0) >> 20)
    if mebibytes > 0 { startTimer(context, longerBy: .seconds(mebibytes)) }
    let expectation = head.headers.first(name: "expect")?.lowercased()
    if expectation == "100-continue", exchange.version == .http1_1 {
      context.writeAndFlush(
        wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
    }
    var head = head
    if exchange.isHead { head.method = .GET }
    self.exchange?.isForwarded = true
    context.fireChannelRead(wrapInboundOut(.head(head)))
  }

  /// Takes what the request needs from its user's share: the cheapest first.
  private func admit(_ head: HTTPRequestHead) throws(RequestRefusal) {
    try connection.begin(head.method == .POST ? .work : .look)
    let rules = try RequestRules(head, editBodyBytes: connection.editBodyBytes)
    exchange!.rules = rules
    do throws(APIError) {
      try hold(min(rules.bodyBytes ?? 0, rules.heldLimit))
    } catch { throw .init(error: error) }
  }

  private func hold(_ bytes: Int) throws(APIError) {
    guard bytes > exchange!.heldBytes else { return }
    try exchange!.room.take(bytes - exchange!.heldBytes)
    exchange!.heldBytes = bytes
  }

  /// Answers a request of which only the head was read; what follows is thrown away.
  private func refuse(
    _ refusal: RequestRefusal, _ head: HTTPRequestHead, _ context: ChannelHandlerContext
  ) {
    complain(refusal.error)
    // Whoever waits for a 100 may send the body or not: nobody could tell where the next begins.
    let length = head.headers.first(name: "content-length").flatMap { Int($0) } ?? 0
    if head.headers.contains(name: "expect") || length > Self.discardedBytes {
      exchange!.keepsAlive = false
    }
    if refusal.lateness == .zero {
      answer(refusal.error, allow: refusal.allow, context)
    } else {
      answer(refusal.error, in: TimeAmount(refusal.lateness), context)
    }
  }

  private func receive(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
    guard var current = exchange else { return }
    current.receivedBytes += bytes.readableBytes
    current.parts += 1
    exchange = current
    guard current.isForwarded, let rules = current.rules, let limit = rules.bodyLimit else {
      exchange!.discardedBytes += max(bytes.readableBytes, Self.partBytes)
      if exchange!.discardedBytes > Self.discardedBytes { context.close(promise: nil) }
      return
    }
    if current.receivedBytes > limit, let error = rules.tooLarge { return fail(error, context) }
    if current.parts > Self.smallParts, current.receivedBytes < current.parts * Self.partBytes {
      return fail(
        APIError(
          .invalidRequest,
          "The body comes in pieces of a few bytes. Send it in larger ones."), context)
    }
    do throws(APIError) {
      try hold(min(current.receivedBytes, rules.heldLimit))
    } catch { return fail(error, context) }
    context.fireChannelRead(wrapInboundOut(.body(bytes)))
  }

  private func endRequest(_ trailers: HTTPHeaders?, _ context: ChannelHandlerContext) {
    guard let current = exchange else { return }
    timer?.cancel()
    exchange!.isRequestOver = true
    if current.isForwarded { context.fireChannelRead(wrapInboundOut(.end(trailers))) }
    guard current.isAnswerOver else { return }
    endExchange()
    rest(context)
  }

  /// Ends a request in its middle: its answer says why, and is the connection's last.
  func fail(_ error: APIError, _ context: ChannelHandlerContext) {
    guard let current = exchange, !isEnding else { return }
    complain(error)
    isEnding = true
    late?.timer.cancel()
    late = nil
    exchange!.keepsAlive = false
    exchange!.isForwarded = false
    if current.isAnswerBegun {
      // An answer that is under way cannot say anything else.
      return current.isAnswerOver ? rest(context) : context.close(promise: nil)
    }
    answer(error, context)
    if current.isForwarded { context.fireErrorCaught(RequestRefused()) }
  }

  func complain(_ error: APIError) {
    complaints.write("request refused", error, of: connection.peer.account)
  }

  private func endExchange() {
    connection.endBody()
    exchange = nil
  }

  // MARK: Answers

  func answer(_ error: APIError, allow: [String] = [], _ context: ChannelHandlerContext) {
    exchange!.isAnswerBegun = true
    exchange!.isAnsweredHere = true
    let answer = APIAnswer(error, allow: allow)
    context.write(wrapOutboundOut(.head(finished(answer.head))), promise: nil)
    if !exchange!.isHead {
      context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil)
    }
    endAnswer(nil, nil, context)
    context.flush()
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard let current = exchange, !current.isAnsweredHere, !current.isAnswerOver else {
      promise?.succeed(())
      return
    }
    switch unwrapOutboundIn(data) {
    case .head(let head):
      exchange!.isAnswerBegun = !(100..<200).contains(head.status.code)
      context.write(wrapOutboundOut(.head(finished(head))), promise: promise)
    case .body(let bytes):
      if current.isHead { promise?.succeed(()) } else { write(bytes, data, promise, context) }
    case .end(let trailers): endAnswer(trailers, promise, context)
    }
  }

  /// A head as this connection's client understands it.
  private func finished(_ head: HTTPResponseHead) -> HTTPResponseHead {
    var head = head
    head.version = exchange!.version
    if !exchange!.keepsAlive || isInputClosed || isEnding {
      head.headers.replaceOrAdd(name: "connection", value: "close")
    }
    return head
  }

  /// Bytes of an answer count into the user's share until they are in the socket.
  private func write(
    _ bytes: IOData, _ data: NIOAny, _ promise: EventLoopPromise<Void>?,
    _ context: ChannelHandlerContext
  ) {
    do throws(APIError) { try connection.take(bytes: bytes.readableBytes) } catch {
      complain(error)
      promise?.fail(error)
      return context.close(promise: nil)
    }
    let written = promise ?? context.eventLoop.makePromise(of: Void.self)
    written.futureResult.whenComplete { [connection, count = bytes.readableBytes] _ in
      connection.give(bytes: count)
    }
    context.write(data, promise: written)
  }

  private func endAnswer(
    _ trailers: HTTPHeaders?, _ promise: EventLoopPromise<Void>?, _ context: ChannelHandlerContext
  ) {
    if !exchange!.keepsAlive || isInputClosed { isEnding = true }
    exchange!.isAnswerOver = true
    // The routes read no further on a connection that ends.
    if isEnding { exchange!.isForwarded = false }
    // At once: with the end's going out, the next request may come in.
    if exchange!.isRequestOver { endExchange() }
    unflushed += 1
    if unflushed == 1 { startFlushTimer(context) }
    let written = promise ?? context.eventLoop.makePromise(of: Void.self)
    let gate = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    written.futureResult.whenComplete { _ in
      let (gate, context) = gate.value
      gate.unflushed -= 1
      gate.rest(context)
    }
    context.write(wrapOutboundOut(.end(trailers)), promise: written)
  }
}
