import BananaAPI
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// Lets clients in: finds out who they are, whether there is room for them, and puts a gate before
/// the routes.
struct Front: Sendable {
  typealias HTTPChannel = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

  let admission: Admission
  let accounts: AccountBook
  /// With which several users come.
  let sharedUIDs: Set<UInt32>
  let connections: ConnectionRegistry
  let complaints: ComplaintLog
  /// For a request to come, for all of it to be here, and for its answer to be read.
  let patience: TimeAmount
  let logger: Logger

  /// Sets a new connection up; nil when it is turned away.
  func accept(_ channel: any Channel, isAdmin: Bool) -> EventLoopFuture<HTTPChannel?> {
    guard admission.beginArrival() else {
      return channel.eventLoop.makeCompletedFuture {
        let error = APIError(.busy, "Too many clients come at once.", retryAfterSeconds: 1)
        return try turnAway(channel, error)
      }
    }
    return channel.eventLoop.makeFutureWithTask {
      defer { admission.endArrival() }
      return try await Peer.read(
        from: channel, isAdmin: isAdmin, accounts: accounts, sharedUIDs: sharedUIDs)
    }.flatMapThrowing { peer in
      do throws(APIError) { try admission.connect(peer) } catch {
        complaints.write("connection refused", error, of: peer.account)
        return try turnAway(channel, error)
      }
      return try letIn(channel, peer)
    }.flatMapErrorThrowing { error in
      logger.error("a connection without credentials", metadata: ["error": "\(error)"])
      return try turnAway(channel, APIError(.internalError, "The kernel does not say who you are."))
    }
  }

  private func letIn(_ channel: any Channel, _ peer: Peer) throws -> HTTPChannel {
    let connection = Connection(channel: channel, peer: peer, admission: admission)
    connections.add(connection)
    channel.closeFuture.whenComplete { _ in
      connections.remove(connection)
      admission.disconnect(peer)
    }
    // A head has a dozen lines; these are for the strangest of clients.
    var limits = NIOHTTPDecoderLimitConfiguration()
    limits.maxHeaderFieldSize = 16 << 10
    limits.maxHeaderListSize = 32 << 10
    limits.maxHeaderFieldCount = 128
    let pipeline = channel.pipeline.syncOperations
    try pipeline.addHandler(Quiescing())
    try pipeline.configureHTTPServerPipeline(
      withPipeliningAssistance: true, withErrorHandling: false,
      withOutboundHeaderValidation: false, withEncoderConfiguration: .init(),
      withDecoderLimitConfiguration: limits)
    try pipeline.addHandler(
      RequestGate(connection: connection, complaints: complaints, patience: patience))
    try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
    return try NIOAsyncChannel(
      wrappingChannelSynchronously: channel,
      configuration: .init(isOutboundHalfClosureEnabled: true))
  }

  private func turnAway(_ channel: any Channel, _ error: APIError) throws -> HTTPChannel? {
    try channel.pipeline.syncOperations.addHandler(Refusal(APIAnswer(error).bytes))
    return nil
  }

  /// Leaves it to the gate how a connection ends when the daemon stops: NIO's own handler of
  /// pipelines would close it as soon as an answer's end is written, wherever its bytes are.
  private final class Quiescing: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
      context.fireUserInboundEventTriggered(
        event is ChannelShouldQuiesceEvent ? RequestGate.NoMoreRequests() : event)
    }
  }

  /// Says one thing and hangs up.
  private final class Refusal: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let answer: ByteBuffer

    init(_ answer: ByteBuffer) { self.answer = answer }

    func channelActive(context: ChannelHandlerContext) {
      context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
      // What does not fit into a socket that is empty is for nobody.
      context.close(promise: nil)
    }
  }
}
