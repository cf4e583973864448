package import Logging
import ServiceLifecycle
import Synchronization

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Lets memory go before the kernel has to take it: idle plans when memory is short, everything
/// when it stays short or when nobody has asked for a picture for a while, and what is free in the
/// heap as soon as nothing is drawn. Weights are only mapped, and the kernel drops their pages by
/// itself.
package final class MemoryGovernor: Service, Sendable {
  /// What the sessions of one engine may hold together: the texts and the factors of peels that
  /// its networks read. What they run in is shared and counts apart.
  package static let sessionBytes = 512 << 20

  package struct Settings: Sendable {
    /// After so long without a job everything is released; nil for never.
    package var idleUnload: Duration?
    /// Memory that is short again within this time is short for good.
    package var persistence: Duration

    /// How often pressure is looked at where the kernel does not tell of it by itself.
    package var pollInterval: Duration

    package init(
      idleUnload: Duration? = .seconds(300), persistence: Duration = .seconds(30),
      pollInterval: Duration = .seconds(10)
    ) {
      self.idleUnload = idleUnload
      self.persistence = persistence
      self.pollInterval = pollInterval
    }
  }

  private struct State {
    var engine: (any GovernedEngine)?
    var lastPressure: ContinuousClock.Instant?
    var pressureEvents = 0
  }

  private let settings: Settings
  private let activity: EngineActivity
  private let facts: MemoryFacts
  private let environment: [String: String]
  private let logger: Logger
  private let state = Mutex(State())

  /// - Parameters:
  ///   - activity: Says since when the engine is idle.
  ///   - environment: The process's, where systemd may name the pressure file.
  package init(
    settings: Settings = .init(), activity: EngineActivity, facts: MemoryFacts = .init(),
    environment: [String: String], logger: Logger
  ) {
    self.settings = settings
    self.activity = activity
    self.facts = facts
    self.environment = environment
    self.logger = logger
  }

  /// Governs `engine` from here on, instead of the one before.
  package func govern(_ engine: any GovernedEngine) {
    state.withLock { $0.engine = engine }
  }

  /// What a new job may take; nil where the kernel does not tell.
  package var availableBytes: Int? { facts.availableBytes }

  /// How often memory was short since the daemon started.
  package var pressureEvents: Int { state.withLock { $0.pressureEvents } }

  /// Watches until the service group shuts down.
  package func run() async throws {
    let trigger = PressureTrigger(
      files: facts.pressureFiles, environment: environment, pollInterval: settings.pollInterval)
    if let trigger {
      logger.info("watching memory pressure", metadata: ["by": "\(trigger.description)"])
    } else {
      logger.notice(
        "the kernel shows no memory pressure (CONFIG_PSI, psi=1), so only idleness frees memory")
    }
    await cancelWhenGracefulShutdown {
      await withDiscardingTaskGroup { group in
        if let trigger {
          group.addTask {
            for await _ in trigger.events() { await self.relieve() }
          }
        }
        // What crowds had is in holes of the heap, and a picture finds its pages made by the one
        // before only while pictures follow one another.
        group.addTask { await self.whenIdle(for: .seconds(2)) { Allocator.trim() } }
        if let idleUnload = self.settings.idleUnload {
          group.addTask {
            await self.whenIdle(for: idleUnload) {
              guard let engine = self.state.withLock({ $0.engine }) else { return }
              await self.release(.everything, of: engine, because: "idle")
            }
          }
        }
      }
    }
  }

  /// Memory is short: releases what costs the least to make again, and the rest if that was done a
  /// moment ago.
  package func relieve() async {
    let now = ContinuousClock.now
    let (engine, isPersistent) = state.withLock { state in
      let isPersistent = state.lastPressure.map { now - $0 < settings.persistence } ?? false
      state.lastPressure = now
      state.pressureEvents += 1
      return (state.engine, isPersistent)
    }
    guard let engine else { return }
    // A running job holds its arena; to wait for it here would be to act on old news.
    let what: ReleasableMemory = isPersistent && activity.isIdle ? .everything : .idlePlans
    await release(what, of: engine, because: "memory is short")
  }

  /// Does something once for each time that the engine is idle for so long.
  private func whenIdle(for duration: Duration, _ body: () async -> Void) async {
    var isDone = false
    while !Task.isCancelled {
      let rest = activity.idleDuration(at: .now).map { duration - $0 } ?? duration
      if rest > .zero {
        isDone = false
      } else if !isDone {
        await body()
        isDone = true
      }
      // A job that begins after this is over, and idle for so long, no sooner than this.
      try? await Task.sleep(for: rest > .zero ? rest : duration)
    }
  }

  private func release(
    _ what: ReleasableMemory, of engine: any GovernedEngine, because reason: String
  ) async {
    let before = await engine.residentBytes
    await engine.release(what)
    Allocator.trim()
    let after = await engine.residentBytes
    guard after != before else { return }
    logger.notice(
      "memory released",
      metadata: [
        "reason": "\(reason)", "mebibytes": "\((before - after) >> 20)", "left": "\(after >> 20)",
      ])
  }
}
