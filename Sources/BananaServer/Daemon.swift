import Hummingbird
import HummingbirdCore
package import Logging
import NIOCore
import NIOExtras
import NIOHTTPTypes
import NIOPosix
import ServiceLifecycle

/// The daemon: HTTP/1.1 on a Unix socket in front of the scheduler and the resident model.
///
/// On a graceful shutdown it removes its socket and accepts nothing more, answers jobs that wait
/// with `shutting_down`, finishes the one that runs, sends its answer and returns.
package struct Daemon: Service {
  private typealias Connection = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

  private let configuration: DaemonConfiguration
  private let listener: Listener
  private let logger: Logger
  private let model: ResidentModel
  private let scheduler: JobScheduler
  private let connections = ConnectionRegistry()

  /// - Parameters:
  ///   - listener: Owned by the daemon from here on.
  ///   - makeEngine: Called when the daemon runs, and again by later requests while it throws.
  package init(
    configuration: DaemonConfiguration = .init(), listener: Listener, logger: Logger,
    makeEngine: @escaping EngineFactory
  ) {
    self.configuration = configuration
    self.listener = listener
    self.logger = logger
    model = ResidentModel(
      logger: logger, retryInterval: configuration.modelRetryInterval, makeEngine: makeEngine)
    scheduler = JobScheduler(capacity: configuration.waitingJobs)
  }

  /// Serves until the service group shuts down gracefully.
  package func run() async throws {
    ProcessFacts.raiseDescriptorLimit()
    let quiescing = ServerQuiescingHelper(group: MultiThreadedEventLoopGroup.singleton)
    let http = makeHTTPChannel()
    let server = try await accept(on: listener.descriptor, quiescing: quiescing, http: http)
    logger.notice("serving", metadata: ["socket": "\(listener.path)"])
    try await withGracefulShutdownHandler {
      try await withThrowingDiscardingTaskGroup { group in
        group.addTask { await model.open() }
        try await server.executeThenClose { inbound in
          for try await connection in inbound {
            connections.add(connection.channel)
            group.addTask {
              await http.handle(value: connection, logger: logger)
              connections.remove(connection.channel)
            }
          }
        }
      }
    } onGracefulShutdown: {
      Task { await stop(quiescing) }
    }
    logger.notice("stopped")
  }

  private func stop(_ quiescing: ServerQuiescingHelper) async {
    logger.notice("stopping")
    listener.removeFile()
    quiescing.initiateShutdown(promise: nil)
    await scheduler.drain()
    try? await Task.sleep(for: configuration.closingGrace)
    connections.closeAll()
  }

  private func accept(
    on descriptor: Int32, quiescing: ServerQuiescingHelper, http: HTTP1Channel
  ) async throws -> NIOAsyncChannel<Connection, Never> {
    try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let handler = quiescing.makeServerChannelHandler(channel: channel)
          try channel.pipeline.syncOperations.addHandler(handler)
        }
      }
      .bind(descriptor) { channel in
        http.setup(channel: channel, logger: logger)
      }
  }

  private func makeHTTPChannel() -> HTTP1Channel {
    let routes = DaemonRoutes(
      model: model, scheduler: scheduler, connections: connections, socketPath: listener.path,
      started: .now, logger: logger)
    let responder = routes.makeResponder()
    let idleTimeout = TimeAmount(configuration.idleTimeout)
    return HTTP1Channel(
      responder: { request, writer, channel in
        let source = ApplicationRequestContextSource(channel: channel, logger: logger)
        let context = DaemonRequestContext(source: source)
        let response = try await responder.respond(to: request, context: context)
        try await writer.write(response: response.head, body: response.body)
      }, configuration: .init(idleTimeout: idleTimeout))
  }
}
