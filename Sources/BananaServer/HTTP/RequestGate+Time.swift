import BananaAPI
import NIOCore
import NIOHTTP1

/// What a connection does between requests, when something is wrong with it, and when its time is
/// over.
extension RequestGate {
  /// More than this of what nobody reads is not waited for: about what a socket holds. The answer
  /// of whoever sends more lies in its socket already, and its next write fails.
  static let discardedBytes = 256 << 10
  /// A body may come in so many pieces however small they are.
  static let smallParts = 512
  /// And then its pieces must be of so many bytes, each costs about as much as a kilobyte.
  static let partBytes = 64
  /// How long a client may go on sending what nobody reads, to get at its answer.
  private static let lingering = TimeAmount.seconds(10)

  /// When nothing of an answer waits for the socket: closes the connection if no more comes, or
  /// waits for the next request.
  func rest(_ context: ChannelHandlerContext) {
    guard unflushed == 0 else { return }
    flushTimer?.cancel()
    guard let exchange else {
      return isEnding || isInputClosed ? context.close(promise: nil) : startTimer(context)
    }
    // An answer that is to come, or the rest of a request.
    guard !exchange.isRequestOver, isInputClosed || (isEnding && exchange.isAnswerOver) else {
      return
    }
    if isInputClosed { return context.close(promise: nil) }
    // What it still sends is thrown away: a close would take its answer from it.
    context.close(mode: .output, promise: nil)
    timer?.cancel()
    timer = schedule(min(Self.lingering, patience), context) { _, context in
      context.close(promise: nil)
    }
    context.read()
  }

  /// The routes ask for what they want to read; of what is thrown away they know nothing.
  func channelReadComplete(context: ChannelHandlerContext) {
    context.fireChannelReadComplete()
    if late == nil, let exchange, !exchange.isRequestOver, !exchange.isForwarded {
      context.read()
    }
  }

  func read(context: ChannelHandlerContext) {
    if late == nil { context.read() }
  }

  /// Answers later, and reads nothing until then.
  func answer(_ error: APIError, in time: TimeAmount, _ context: ChannelHandlerContext) {
    late = (error, schedule(time, context) { gate, context in gate.answerNow(context) })
  }

  /// Gives the answer that waits for its time.
  private func answerNow(_ context: ChannelHandlerContext) {
    guard let late else { return }
    late.timer.cancel()
    self.late = nil
    answer(late.error, context)
    // Unless the next request, which may be here already, is refused as late.
    if self.late == nil { context.read() }
  }

  func startTimer(_ context: ChannelHandlerContext, longerBy more: TimeAmount = .zero) {
    timer?.cancel()
    timer = schedule(patience + more, context) { gate, context in gate.timeIsOver(context) }
  }

  func startFlushTimer(_ context: ChannelHandlerContext) {
    flushTimer?.cancel()
    flushTimer = schedule(patience, context) { _, context in context.close(promise: nil) }
  }

  private func timeIsOver(_ context: ChannelHandlerContext) {
    guard let current = exchange, !current.isAnswerBegun else {
      return context.close(promise: nil)
    }
    let seconds = patience.nanoseconds / 1_000_000_000
    fail(
      APIError(
        .requestTimeout, "The request was not here within \(seconds) s. Send it faster."), context)
  }

  func schedule(
    _ time: TimeAmount, _ context: ChannelHandlerContext,
    _ action: @escaping @Sendable (RequestGate, ChannelHandlerContext) -> Void
  ) -> Scheduled<Void> {
    let gate = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    return context.eventLoop.scheduleTask(in: time) {
      let (gate, context) = gate.value
      action(gate, context)
    }
  }

  // MARK: Readers

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    if context.channel.isWritable {
      slowReader.stop()
    } else {
      slowReader.start(patience) { left in
        self.schedule(left, context) { _, context in context.close(promise: nil) }
      }
    }
    context.fireChannelWritabilityChanged()
  }

  // MARK: Ends

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if event is NoMoreRequests {
      if exchange == nil { isEnding = true } else { exchange!.keepsAlive = false }
      answerNow(context)
      return rest(context)
    }
    if event as? ChannelEvent == .inputClosed {
      isInputClosed = true
      if exchange?.isRequestOver != true { rest(context) }
    }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // After its own error the parser has one for whatever else comes, and one for a sudden end.
    if isEnding || !context.channel.isActive { return }
    guard let error = error as? HTTPParserError else { return context.fireErrorCaught(error) }
    if exchange == nil {
      exchange = Exchange(version: .http1_1, room: connection.beginBody(), isRequestOver: true)
      isEnding = true
      let refusal = Self.refusal(error, inBody: false)
      complain(refusal)
      answer(refusal, context)
    } else {
      fail(Self.refusal(error, inBody: true), context)
    }
  }

  private static func refusal(_ error: HTTPParserError, inBody: Bool) -> APIError {
    switch error {
    case .headerOverflow:
      APIError(.requestTooLarge, "The request's head is too large. Send fewer and shorter lines.")
    case .invalidEOFState:
      APIError(.invalidRequest, "The request ends before it is whole.")
    default:
      APIError(
        .invalidRequest,
        inBody
          ? "The body's chunks are not as HTTP/1.1 says (\(error)). Send each as its length in "
            + "hexadecimal, a line's end, its bytes and a line's end."
          : "The request is not HTTP/1.1 (\(error)).")
    }
  }

  func triggerUserOutboundEvent(
    context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
  ) {
    guard event is CloseNow else {
      return context.triggerUserOutboundEvent(event, promise: promise)
    }
    context.close(promise: promise)
  }

  /// The routes' side closes when it is done, which the client need not be: the gate closes by
  /// itself when the last answer is in the socket.
  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard mode != .input, unflushed > 0 || (isEnding && exchange != nil) else {
      return context.close(mode: mode, promise: promise)
    }
    isEnding = true
    promise?.succeed(())
  }
}

/// How long a client has kept one answer waiting, all in all: reading a little now and then does
/// not begin anew.
struct SlowReader {
  private var waited = Duration.zero
  private var began: ContinuousClock.Instant?
  private var timer: Scheduled<Void>?

  mutating func start(_ patience: TimeAmount, _ schedule: (TimeAmount) -> Scheduled<Void>) {
    guard began == nil else { return }
    began = .now
    let left = max(Duration.nanoseconds(patience.nanoseconds) - waited, .zero)
    timer = schedule(TimeAmount(left))
  }

  mutating func stop() {
    if let began { waited += .now - began }
    began = nil
    timer?.cancel()
  }
}
