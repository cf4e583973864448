import NIOCore
import NIOHTTPTypes

/// Lets a client that reads slowly have its whole answer before its connection is closed.
///
/// When the daemon stops, a connection is closed as soon as the end of its answer is written, and a
/// close throws away what the socket has not taken yet. Here that close waits for it, unless it is
/// asked for again or the client takes too long.
final class AnswerKeeper: ChannelOutboundHandler, RemovableChannelHandler {
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let patience: TimeAmount
  /// The end of an answer is on its way to the client.
  private var isEnding = false
  /// Of the close that waits.
  private var waiting: EventLoopPromise<Void>?
  private var deadline: Scheduled<Void>?

  /// - Parameter patience: How long a close waits at most.
  init(patience: TimeAmount) {
    self.patience = patience
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    guard case .end = unwrapOutboundIn(data) else { return context.write(data, promise: promise) }
    isEnding = true
    let written = promise ?? context.eventLoop.makePromise(of: Void.self)
    let keeper = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    written.futureResult.whenComplete { _ in
      let (handler, context) = keeper.value
      handler.isEnding = false
      handler.closeNow(context)
    }
    context.write(data, promise: written)
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    guard mode == .all, isEnding, waiting == nil else {
      return context.close(mode: mode, promise: promise)
    }
    waiting = promise ?? context.eventLoop.makePromise()
    let keeper = NIOLoopBound((self, context), eventLoop: context.eventLoop)
    deadline = context.eventLoop.scheduleTask(in: patience) {
      let (handler, context) = keeper.value
      handler.closeNow(context)
    }
  }

  /// Does the close that waits, if one does.
  private func closeNow(_ context: ChannelHandlerContext) {
    guard let promise = waiting else { return }
    waiting = nil
    deadline?.cancel()
    context.close(promise: promise)
  }
}
