package import Logging
package import ServiceLifecycle

/// Says nothing.
package let silentLogger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a service around `body`.
package func running<S: Service>(_ service: S, _ body: () async throws -> Void) async throws {
  let group = ServiceGroup(configuration: .init(services: [service], logger: silentLogger))
  let task = Task { try await group.run() }
  do {
    try await body()
  } catch {
    await group.triggerGracefulShutdown()
    throw error
  }
  await group.triggerGracefulShutdown()
  try await task.value
}
