import BananaAPI
import BananaTesting
import Diffusion
import Dispatch
import FoundationEssentials
import Logging
import Serving
import Synchronization
import Testing
import Weights

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Who pays for what is done with peels, in whose turn, and whose peels stay open.
@Suite(.timeLimit(.minutes(5))) struct PeelSharesTests {
  /// Checks are made on threads that step back, in the account's turn, and it pays for them.
  @Test func checksStepBackAndAreCharged() async throws {
    try await TemporaryFolder.with { folder async throws in
      let spent = Mutex<[Account: Double]>([:])
      let worked = Mutex(0.0)
      let registry = PeelRegistry(
        stateDirectory: folder, shippedDirectory: nil, accounts: .ofStrangers,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels { _ in
          #expect(Self.niceness == BackgroundThread.niceness)
          let begun = Self.threadSeconds
          while Self.threadSeconds - begun < 0.05 {}
          worked.withLock { $0 += Self.threadSeconds - begun }
        },
        charge: { account, seconds in spent.withLock { $0[account, default: 0] += seconds } })
      try await registry.install(TestPeel.bytes(), "own", .user(7))
      #expect(spent.withLock { $0[.user(7)] ?? 0 } >= worked.withLock { $0 })
      // What is for all is paid for by who asks for it.
      try await registry.install(TestPeel.bytes(value: 2), "shared", .everyone)
      #expect(spent.withLock { $0.count } == 1)
      worked.withLock { $0 = 0 }
      _ = try await registry.resolve("shared", for: 8)
      #expect(worked.withLock { $0 } > 0)
      #expect(spent.withLock { $0[.user(8)] ?? 0 } >= worked.withLock { $0 })
      #expect(spent.withLock { $0.count } == 2)
    }
  }

  private static var niceness: Int32 {
    // The kernel's value of this thread alone.
    Int32(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0))
  }

  private static var threadSeconds: Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  /// A model that is new is compared once with each peel, whoever asks, and by whoever's turn comes
  /// first: one whose own turn is busy keeps nobody waiting.
  @Test func newModelsAreComparedOnce() async throws {
    try await TemporaryFolder.with { folder async throws in
      let installed = Mutex(["old": "old"])
      let busy = Mutex(false)
      let gate = DispatchSemaphore(value: 0)
      let checks = Mutex<[Float: Int]>([:])
      let registry = PeelRegistry(
        stateDirectory: folder, shippedDirectory: nil, accounts: .ofStrangers,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels(
          installed: { installed.withLock { $0 } },
          check: {
            { peel in
              checks.withLock { $0[peel.file.updates[0].down[0], default: 0] += 1 }
              if peel.file.rank == 3 {
                busy.withLock { $0 = true }
                gate.wait()
              }
              return Set(installed.withLock { $0.keys })
            }
          }))
      try await registry.install(TestPeel.bytes(value: 5), "shared", .everyone)
      let slow = Task { try await registry.install(TestPeel.bytes(rank: 3), "slow", .user(7)) }
      #expect(await eventually { busy.withLock { $0 } })
      installed.withLock { $0["new"] = "new" }
      checks.withLock { $0 = [:] }
      let ann = Task { await registry.list(for: .user(7)) }
      let lists = await withTaskGroup { group in
        for uid in UInt32(8)..<16 { group.addTask { await registry.list(for: .user(uid)) } }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(lists.allSatisfy { $0.map(\.models) == [["new", "old"]] })
      gate.signal()
      #expect(try await slow.value.name == "slow")
      let seen = await ann.value.first { $0.name == "shared" }
      #expect(seen?.models == ["new", "old"])
      #expect(checks.withLock { $0[5] } == 1)
    }
  }

  /// What one user asks for, over its room or within, closes nobody else's peel while there is
  /// other room; and who has more lets go first.
  @Test func nobodyClosesAnothersPeels() async throws {
    try await TemporaryFolder.with { folder async throws in
      let size = TestPeel.bytes().count
      let checks = Mutex<[Float: Int]>([:])
      let registry = PeelRegistry(
        stateDirectory: folder, shippedDirectory: nil, limits: .init(openBytes: 4 * size),
        accounts: .ofStrangers, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels { peel in
          checks.withLock { $0[peel.file.updates[0].down[0], default: 0] += 1 }
        })
      try await registry.install(TestPeel.bytes(value: 100), "b", .user(8))
      for index in 0..<9 {
        try await registry.install(TestPeel.bytes(value: Float(index)), "p\(index)", .user(7))
      }
      _ = try await registry.resolve("b", for: 8)
      checks.withLock { $0 = [:] }
      // Ann goes through nine peels, of which four have room.
      for _ in 0..<3 { for index in 0..<9 { _ = try await registry.resolve("p\(index)", for: 7) } }
      // And holds as many as she may, and asks for more.
      var held: [PeelUse] = []
      var refusals: Set<ErrorCode> = []
      for index in 0..<9 {
        do { held.append(try await registry.resolve("p\(index)", for: 7)) } catch {
          refusals.insert((error as? APIError)?.code ?? .internalError)
        }
      }
      #expect(held.count == 4 && refusals == [.insufficientMemory])
      #expect(checks.withLock { $0[100] } == nil)
      _ = try await registry.resolve("b", for: 8)
      #expect(checks.withLock { $0[100] } == nil, "it was closed for another user")

      // Beside two who hold all that they can get there is room for a third.
      var others: [PeelUse] = []
      for uid in UInt32(20)..<22 {
        for index in 0..<4 {
          let bytes = TestPeel.bytes(value: Float(uid) + Float(index) / 8)
          _ = try? await registry.install(bytes, "q\(index)", .user(uid))
          if let use = try? await registry.resolve("q\(index)", for: uid) { others.append(use) }
        }
        #expect(others.contains { $0.peel.file.updates[0].down[0].rounded(.down) == Float(uid) })
      }
      #expect(others.count == 3)
      withExtendedLifetime((held, others)) {}
    }
  }

  /// After a restart, an installation waits for no other user's folder, and counts what lies there.
  @Test func installingWaitsForNobodysFolder() async throws {
    try await TemporaryFolder.with { folder async throws in
      let fixture = PeelFixture(state: folder + "/state")
      let bytes = TestPeel.bytes(rank: 64)
      try await fixture.start().install(bytes, "a", .user(7))
      // Its record is made anew when the folder is read, on a disk that takes its time.
      try Data("{}".utf8).write(to: URL(filePath: fixture.folder("7") + "/a.json"))
      let disk = DispatchSemaphore(value: 0)
      let isWaiting = Mutex(false)
      let registry = PeelRegistry(
        stateDirectory: fixture.state, shippedDirectory: nil,
        limits: .init(totalBytes: 2 * bytes.count + 2048), accounts: .ofStrangers,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels { _ in },
        flush: { descriptor in
          let isFirst = isWaiting.withLock { isWaiting in
            defer { isWaiting = true }
            return !isWaiting
          }
          if isFirst { disk.wait() }
          return fsync(descriptor)
        })
      let slow = Task { await registry.list(for: .user(7)) }
      try #require(await eventually { isWaiting.withLock { $0 } })
      try await registry.install(bytes, "b", .user(8))
      let refused = await #expect(throws: PeelRegistryError.self) {
        try await registry.install(bytes, "c", .user(8))
      }
      #expect(refused.map { APIError($0).code } == .notEnoughDiskSpace)
      disk.signal()
      #expect(await slow.value.map(\.name) == ["a"])
      _ = try await registry.remove("a", of: .user(7), timeout: .zero)
      try await registry.install(bytes, "c", .user(8))
    }
  }
}
