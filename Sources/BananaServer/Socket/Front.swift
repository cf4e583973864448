import BananaAPI
import Dispatch
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import NIOPosix
import Serving

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

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

  /// A connection that was accepted.
  private struct Arrival: Sendable {
    var descriptor: Int32
    var uid: UInt32
    var isAdmin: Bool
    /// Nil while it is not known whose it is; it is counted once that is.
    var peer: Peer?
  }

  /// What they hear who open connections however often they are refused.
  private static let floodAnswer = Array(
    APIAnswer(
      APIError(
        .quotaExceeded, "You open connections faster than your quota allows. Wait a second.",
        retryAfterSeconds: 1)
    ).bytes.readableBytesView)

  private static let lateAnswers = DispatchQueue(label: "banana.late", qos: .utility)

  /// Serves the clients of one socket until `acceptor` stops and the last of them has left.
  func serve(
    _ acceptor: Acceptor, isAdmin: Bool, handle: @escaping @Sendable (HTTPChannel) async -> Void
  ) async throws {
    let (arrivals, continuation) = AsyncStream<Arrival>.makeStream()
    try await withThrowingDiscardingTaskGroup { group in
      group.addTask {
        defer { continuation.finish() }
        try await acceptor.run(hasRoom: { admission.hasRoomForArrivals }) { descriptor, uid in
          guard let arrival = receive(descriptor, uid, isAdmin: isAdmin) else { return false }
          continuation.yield(arrival)
          return true
        }
      }
      for await arrival in arrivals {
        group.addTask {
          if let channel = await letIn(arrival) { await handle(channel) }
        }
      }
    }
  }

  /// Decides on a connection, on the thread that accepts; nil when it was turned away.
  private func receive(_ descriptor: Int32, _ uid: UInt32?, isAdmin: Bool) -> Arrival? {
    guard let uid else {
      logger.error("a connection without credentials")
      turnAway(descriptor, APIError(.internalError, "The kernel does not say who you are."))
      return nil
    }
    var arrival = Arrival(descriptor: descriptor, uid: uid, isAdmin: isAdmin)
    guard let known = accounts.answerIfKnown(for: uid) else {
      guard admission.beginArrival(isKnown: false) else {
        turnAway(
          descriptor, APIError(.busy, "Too many clients come at once.", retryAfterSeconds: 1))
        return nil
      }
      return arrival
    }
    let peer = peer(arrival, known)
    guard connect(peer, descriptor) else { return nil }
    arrival.peer = peer
    _ = admission.beginArrival(isKnown: true)
    return arrival
  }

  private func peer(_ arrival: Arrival, _ known: AccountBook.Answer) -> Peer {
    Peer(
      uid: arrival.uid, isAdmin: arrival.isAdmin, account: known.account,
      isShared: known.isForwarder || sharedUIDs.contains(arrival.uid))
  }

  /// Takes the connection into its account, or turns it away.
  private func connect(_ peer: Peer, _ descriptor: Int32) -> Bool {
    do throws(RequestRefusal) {
      guard let late = try admission.connect(peer) else { return true }
      // It is one of those that its user may have, and costs nothing but that.
      let time = DispatchTime.now() + .nanoseconds(Int(TimeAmount(late.lateness).nanoseconds))
      Self.lateAnswers.asyncAfter(deadline: time) {
        turnAway(descriptor, late.error)
        admission.disconnect(peer)
      }
      return false
    } catch {
      complaints.write("connection refused", error.error, of: peer.account)
      if error.lateness == .zero {
        turnAway(descriptor, error.error)
      } else {
        turnAway(descriptor, Self.floodAnswer)
      }
      return false
    }
  }

  /// Puts a gate before a connection; nil when it was turned away, or has gone.
  private func letIn(_ arrival: Arrival) async -> HTTPChannel? {
    defer { admission.endArrival(isKnown: arrival.peer != nil) }
    var peer = arrival.peer
    if peer == nil {
      let found = self.peer(arrival, await accounts.answer(for: arrival.uid))
      guard connect(found, arrival.descriptor) else { return nil }
      peer = found
    }
    return try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      // A client that has said all may stop writing and still wants its answer.
      .channelOption(.allowRemoteHalfClosure, value: true)
      // Whoever sends much does not keep the thread from those who send little.
      .channelOption(.maxMessagesPerRead, value: 1)
      // Nor does what is small and many in one read: chunks of a byte, requests without a header.
      .channelOption(
        .recvAllocator,
        value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 2048, maximum: 16 << 10)
      )
      .withConnectedSocket(arrival.descriptor) { [peer = peer!] channel in
        channel.eventLoop.makeCompletedFuture { try setUp(channel, peer) }
      }
  }

  private func setUp(_ channel: any Channel, _ peer: Peer) throws -> HTTPChannel {
    let connection = Connection(channel: channel, peer: peer, admission: admission)
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
    try pipeline.configureHTTPServerPipeline(
      withPipeliningAssistance: true, withErrorHandling: false,
      withOutboundHeaderValidation: false, withEncoderConfiguration: .init(),
      withDecoderLimitConfiguration: limits)
    try pipeline.addHandler(
      RequestRow(), position: .before(pipeline.handler(type: HTTPServerPipelineHandler.self)))
    let gate = RequestGate(connection: connection, complaints: complaints, patience: patience)
    // The daemon may be about to stop since it was accepted.
    gate.isEnding = !connections.add(connection)
    try pipeline.addHandler(gate)
    try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
    return try NIOAsyncChannel(
      wrappingChannelSynchronously: channel,
      configuration: .init(isOutboundHalfClosureEnabled: true))
  }

  private func turnAway(_ descriptor: Int32, _ error: APIError) {
    turnAway(descriptor, Array(APIAnswer(error).bytes.readableBytesView))
  }

  /// Says one thing and hangs up.
  private func turnAway(_ descriptor: Int32, _ answer: [UInt8]) {
    // What does not fit into a socket that is empty is for nobody.
    _ = send(descriptor, answer, answer.count, Int32(MSG_DONTWAIT | MSG_NOSIGNAL))
    close(descriptor)
  }
}
