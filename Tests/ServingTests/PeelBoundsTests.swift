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

/// What one user's peels may take of what all share: texts, room, memory, and time of others.
@Suite(.timeLimit(.minutes(5))) struct PeelBoundsTests {
  private func with(_ body: (inout PeelFixture) async throws -> Void) async throws {
    try await TemporaryFolder.with { folder async throws in
      var fixture = PeelFixture(state: folder + "/state")
      try await body(&fixture)
    }
  }

  /// Bytes of an answer to `GET /v1/peels`.
  private func listBytes(_ registry: PeelRegistry, _ owner: PeelOwner) async throws -> Int {
    try JSONEncoder().encode(PeelList(data: await registry.list(for: owner))).count
  }

  /// Who sets nothing may install a file as large as files may be.
  @Test func theLargestFileHasRoom() async throws {
    try await with { fixture in
      let registry = fixture.start()
      _ = try await registry.install(
        PeelFixture.chunks(TestPeel.bytes()), expectedBytes: PeelLimits.fileBytes, as: "a",
        for: .user(7))
      // And it can be replaced by another.
      _ = try await registry.install(
        PeelFixture.chunks(TestPeel.bytes()), expectedBytes: PeelLimits.fileBytes, as: "a",
        for: .user(7))
    }
  }

  @Test func textsAreCutOrRefusedWhenTheyArrive() async throws {
    try await with { fixture in
      let registry = fixture.start()
      let words = String(repeating: "word, ", count: 3 << 20)
      let error = await #expect(throws: PeelRegistryError.self) {
        try await registry.install(
          PeelFixture.chunks(
            TestPeel.bytes(metadata: ["modelspec.trigger_phrase": words]), of: 1 << 20),
          as: "a", for: .user(7))
      }
      #expect(error.map { APIError($0).message.contains("header of") } == true)
      #expect(fixture.files("7") == [])
      let cut = try await registry.install(
        TestPeel.bytes(
          metadata: [
            "modelspec.trigger_phrase": String(words.prefix(600_000)),
            "modelspec.title": String(repeating: "t", count: 100_000),
          ]), "a", .user(7))
      #expect(cut.warnings?.count == 2)
      #expect(try await registry.show("a", for: .user(7)) == cut)
      #expect(try await listBytes(registry, .user(7)) < 8192)
      #expect(try await listBytes(fixture.start(), .user(7)) < 8192)
    }
  }

  /// A record of an older version, or of nobody, is not read into memory as it is.
  @Test func recordsAreBoundedBeforeTheyAreRead() async throws {
    try await with { fixture in
      let made = try await fixture.start().install(TestPeel.bytes(), "a", .user(7))
      let path = fixture.folder("7") + "/a.json"
      let written = try String(decoding: Data(contentsOf: URL(filePath: path)), as: UTF8.self)
      let words = String(repeating: #""w","#, count: 3000) + #""w""#
      let long = written.replacing(#""triggerWords":[]"#, with: #""triggerWords":[\#(words)]"#)
      #expect(long != written)
      for spoiled in [long, String(repeating: " ", count: 4 << 20) + written, "[[[[", ""] {
        try Data(spoiled.utf8).write(to: URL(filePath: path))
        let registry = fixture.start()
        let list = await registry.list(for: .user(7))
        #expect(list.map(\.sha256) == [made.sha256] && list.map(\.triggerWords) == [[]])
        #expect(try await registry.resolve("a", for: 7).sha256 == made.sha256)
        let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
        #expect(size ?? .max < 4096)
      }
    }
  }

  /// The uids of one account share its room; what is one uid's stays its own.
  @Test func uidsOfAnAccountShareItsRoom() async throws {
    try await with { fixture in
      let file = fixture.state + "-subuid"
      try Data("root:700:10\n".utf8).write(to: URL(filePath: file))
      fixture.accounts = AccountBook(subordinateFile: file)
      fixture.limits.peels = 2
      let registry = fixture.start()
      try await registry.install(TestPeel.bytes(), "a", .user(701))
      try await registry.install(TestPeel.bytes(), "b", .user(702))
      for registry in [registry, fixture.start()] {
        await #expect(throws: PeelRegistryError.tooMany(maximumPeels: 2)) {
          try await registry.install(TestPeel.bytes(), "c", .user(703))
        }
        #expect(await registry.list(for: .user(702)).map(\.name) == ["b"])
      }
    }
  }

  @Test func allUsersTogetherHaveARoom() async throws {
    try await with { fixture in
      let bytes = TestPeel.bytes(rank: 64)
      fixture.limits.totalBytes = 2 * bytes.count + 2048
      let registry = fixture.start()
      try await registry.install(bytes, "a", .user(7))
      try await registry.install(bytes, "a", .user(8))
      for registry in [registry, fixture.start()] {
        let error = await #expect(throws: PeelRegistryError.self) {
          try await registry.install(bytes, "a", .user(9))
        }
        #expect(error.map { APIError($0).code } == .notEnoughDiskSpace)
        // In the place of its own there is room.
        try await registry.install(bytes, "a", .user(8))
      }
      #expect(fixture.files("9") == [])
      _ = try await registry.remove("a", of: .user(7), timeout: .zero)
      try await registry.install(bytes, "a", .user(9))
    }
  }

  /// What is being received has its room already, and gives it back however that ends.
  @Test func uploadsCountWhileTheyArrive() async throws {
    try await with { fixture in
      let bytes = TestPeel.bytes(rank: 64)
      let received = 600_000
      fixture.limits.bytes = received + bytes.count / 2
      let registry = fixture.start()
      let (body, sender) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
      let first = Task { try await registry.install(body, as: "a", for: .user(7)) }
      sender.yield(Array(repeating: 0, count: received))
      #expect(
        await eventually {
          fixture.files("7").contains { file in
            let path = fixture.folder("7") + "/" + file
            let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
            return size == received
          }
        })
      let refused = await #expect(throws: PeelRegistryError.self) {
        try await registry.install(
          PeelFixture.chunks(bytes), expectedBytes: bytes.count, as: "b", for: .user(7))
      }
      #expect(refused.map { APIError($0).code } == .quotaExceeded)
      sender.finish(throwing: CancellationError())
      await #expect(throws: PeelRegistryError.uploadBroken) { try await first.value }
      try await registry.install(bytes, "b", .user(7))
      await #expect(throws: PeelRegistryError.tooLarge(maximumBytes: PeelLimits.fileBytes)) {
        try await registry.install(
          PeelFixture.chunks(bytes), expectedBytes: PeelLimits.fileBytes + 1, as: "c",
          for: .user(7))
      }
    }
  }

  /// While one user's peel is checked, for however long, others list, install and draw.
  @Test func nobodyWaitsForAnothersCheck() async throws {
    try await TemporaryFolder.with { folder async throws in
      let shipped = folder + "/shipped"
      try FileManager.default.createDirectory(atPath: shipped, withIntermediateDirectories: true)
      try Data(TestPeel.bytes()).write(to: URL(filePath: shipped + "/common.safetensors"))
      let gate = DispatchSemaphore(value: 0)
      let isChecking = Mutex(false)
      let registry = PeelRegistry(
        stateDirectory: folder + "/state", shippedDirectory: shipped, accounts: .ofStrangers,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels { peel in
          guard peel.file.rank == 3 else { return }
          isChecking.withLock { $0 = true }
          gate.wait()
        })
      let slow = Task { try await registry.install(TestPeel.bytes(rank: 3), "slow", .user(7)) }
      #expect(await eventually { isChecking.withLock { $0 } })
      // Its own work waits its turn.
      let own = Task { try await registry.install(TestPeel.bytes(), "own", .user(7)) }
      #expect(await registry.list(for: .user(8)).map(\.name) == ["common"])
      #expect(await registry.list(for: .user(7)).map(\.name) == ["common"])
      #expect(try await registry.resolve("common", for: 8).name == "common")
      try await registry.install(TestPeel.bytes(), "own", .user(8))
      #expect(try await registry.resolve("own", for: 8).name == "own")
      gate.signal()
      #expect(try await slow.value.name == "slow")
      #expect(try await own.value.name == "own")
    }
  }

  /// While the disk keeps one user waiting, its own files wait, and nobody else's; nor do pictures,
  /// which are decoded on threads of the same kind.
  @Test func aSlowDiskHoldsUpItsUserAlone() async throws {
    try await TemporaryFolder.with { folder async throws in
      let disk = DispatchSemaphore(value: 0)
      let isWaiting = Mutex(false)
      let registry = PeelRegistry(
        stateDirectory: folder, shippedDirectory: nil, accounts: .ofStrangers,
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
      let slow = Task { try await registry.install(TestPeel.bytes(), "slow", .user(7)) }
      #expect(await eventually { isWaiting.withLock { $0 } })
      let own = Task { try await registry.install(TestPeel.bytes(), "own", .user(7)) }
      try await registry.install(TestPeel.bytes(), "a", .user(8))
      #expect(try await registry.resolve("a", for: 8).name == "a")
      #expect(await registry.list(for: .user(7)).isEmpty)
      let pictures = BackgroundWork<Account>(width: 1) { _, _ in }
      for uid in [UInt32(7), 8] {
        #expect(await pictures.run(for: .user(uid)) { uid } == uid)
      }
      disk.signal()
      #expect(try await slow.value.name == "slow")
      #expect(try await own.value.name == "own")
      #expect(await registry.list(for: .user(7)).map(\.name) == ["own", "slow"])
    }
  }

  /// Names are looked up before a file is opened, and files that are open are opened once.
  @Test func filesAreOpenedLastAndOnce() async throws {
    try await TemporaryFolder.with { folder async throws in
      let checks = Mutex(0)
      let registry = PeelRegistry(
        stateDirectory: folder, shippedDirectory: nil, accounts: .ofStrangers,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels { _ in checks.withLock { $0 += 1 } })
      try await registry.install(TestPeel.bytes(), "a", .user(7))
      checks.withLock { $0 = 0 }
      await #expect(throws: APIError.self) {
        try await registry.uses(
          of: [PeelReference(name: "a"), PeelReference(name: "missing")], for: 7)
      }
      #expect(checks.withLock { $0 } == 0)
      let peels = try await withThrowingTaskGroup { group in
        for _ in 0..<8 { group.addTask { try await registry.resolve("a", for: 7) } }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(peels.allSatisfy { $0.peel === peels[0].peel } && checks.withLock { $0 } == 1)
    }
  }

  /// What is checked, hashed and written for an account is paid for by it, and by nobody for all.
  @Test func checkingIsCharged() async throws {
    try await TemporaryFolder.with { folder async throws in
      let spent = Mutex<[Account: Double]>([:])
      let registry = PeelRegistry(
        stateDirectory: folder, shippedDirectory: nil, accounts: .ofStrangers,
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        models: PeelModels { _ in },
        charge: { account, seconds in spent.withLock { $0[account, default: 0] += seconds } })
      try await registry.install(TestPeel.bytes(), "shared", .everyone)
      #expect(spent.withLock { $0 }.isEmpty)
      try await registry.install(TestPeel.bytes(), "own", .user(7))
      await #expect(throws: PeelRegistryError.self) {
        try await registry.install([1, 2, 3], "broken", .user(8))
      }
      let charged = spent.withLock { $0 }
      #expect(charged.count == 2 && charged.values.allSatisfy { $0 > 0 && $0 < 10 })
    }
  }

  /// Jobs that wait with peels hold no more than a share of memory.
  @Test func openFilesHaveARoom() async throws {
    try await with { fixture in
      let bytes = TestPeel.bytes()
      fixture.limits.openBytes = 2 * bytes.count
      let registry = fixture.start()
      for name in ["a", "b", "c"] {
        try await registry.install(TestPeel.bytes(value: Float(name.utf8.first!)), name, .user(7))
      }
      var held = [
        try await registry.resolve("a", for: 7), try await registry.resolve("b", for: 7),
      ]
      let error = await #expect(throws: APIError.self) {
        _ = try await registry.resolve("c", for: 7)
      }
      #expect(error?.code == .insufficientMemory)
      withExtendedLifetime(held) {}
      held = []
      // What is only kept for the next job makes room.
      #expect(try await registry.resolve("c", for: 7).name == "c")
    }
  }
}
