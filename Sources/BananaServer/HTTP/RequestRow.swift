import NIOCore
import NIOHTTP1

/// Bounds how many requests of a connection wait behind the one under way: they are in memory by
/// then, and a read of small ones has thousands. Those that are too many are thrown away, and the
/// connection ends with the answer under way, so that its client knows which they are.
///
/// It sits before `HTTPServerPipelineHandler`, which makes them wait.
final class RequestRow: ChannelDuplexHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// With the one under way.
  static let maximumRequests = 32

  private var unanswered = 0
  private var isFull = false

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if isFull { return }
    if case .head = unwrapInboundIn(data) {
      if unanswered == Self.maximumRequests {
        isFull = true
        return context.fireUserInboundEventTriggered(RequestGate.NoMoreRequests())
      }
      unanswered += 1
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    if case .end = unwrapOutboundIn(data) { unanswered -= 1 }
    context.write(data, promise: promise)
  }
}
