import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Logging
import Serving
import Testing
import Weights

/// A registry in a folder, and the ways to put peels into it.
struct PeelFixture {
  let state: String
  var shipped: String?
  var limits = PeelRegistry.Limits()
  var accounts = AccountBook.ofStrangers

  /// A registry as a daemon that starts finds it.
  func start() -> PeelRegistry {
    PeelRegistry(
      stateDirectory: state, shippedDirectory: shipped, limits: limits, accounts: accounts,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
      models: PeelModels { try FakeEngine().check($0) })
  }

  func folder(_ owner: String) -> String { "\(state)/peels/\(owner)" }

  /// What lies in the folder of `owner`.
  func files(_ owner: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder(owner))) ?? []).sorted()
  }

  static func chunks(_ bytes: [UInt8], of size: Int = 100) -> AsyncStream<[UInt8]> {
    AsyncStream { continuation in
      for start in stride(from: 0, to: bytes.count, by: size) {
        continuation.yield(Array(bytes[start..<min(start + size, bytes.count)]))
      }
      continuation.finish()
    }
  }
}

extension PeelRegistry {
  @discardableResult
  func install(_ bytes: [UInt8], _ name: String, _ owner: PeelOwner) async throws -> PeelInfo {
    try await install(PeelFixture.chunks(bytes), as: name, for: owner)
  }

  func resolve(_ name: String, for uid: UInt32) async throws -> PeelUse {
    try await uses(of: [PeelReference(name: name)], for: uid)[0]
  }
}

@Suite(.timeLimit(.minutes(5))) struct PeelRegistryTests {
  private func with(_ body: (PeelFixture) async throws -> Void) async throws {
    try await TemporaryFolder.with { folder async throws in
      try await body(PeelFixture(state: folder + "/state"))
    }
  }

  @Test func installsAndOpens() async throws {
    try await with { fixture in
      let registry = fixture.start()
      let bytes = TestPeel.bytes(
        rank: 4,
        metadata: [
          "modelspec.title": "Pixels", "modelspec.trigger_phrase": "pixel art",
          "modelspec.license": "MIT", "modelspec.architecture": "fake/lora",
          "banana.base_sha256": "fake", "big": String(repeating: "x", count: 5000),
        ])
      let info = try await registry.install(bytes, "pixel-art", .user(7))
      #expect(info.name == "pixel-art" && info.scope == .private)
      #expect(info.bytes == bytes.count && info.rank == 4 && info.targets == 1)
      #expect(info.title == "Pixels" && info.triggerWords == ["pixel art"])
      #expect(info.license == "MIT" && info.baseModel == "fake")
      #expect(info.metadata?["modelspec.title"] == "Pixels")
      #expect(info.metadata?["big"] == nil)
      #expect(abs(Double(info.installedAt ?? 0) - Date().timeIntervalSince1970) < 60)
      #expect(try await registry.show("pixel-art", for: .user(7)) == info)
      #expect(await registry.list(for: .user(7)).map(\.metadata) == [nil])
      let peel = try await registry.resolve("pixel-art", for: 7)
      #expect(peel.name == "pixel-art" && peel.sha256 == info.sha256)
      #expect(peel.peel.file.byteCount == bytes.count)
      #expect(fixture.files("7") == ["pixel-art.json", "pixel-art.safetensors"])
      let mode = try FileManager.default.attributesOfItem(
        atPath: fixture.folder("7") + "/pixel-art.safetensors")[.posixPermissions]
      #expect("\(mode ?? 0)" == "\(0o600)")
    }
  }

  @Test func keepsThemOverARestart() async throws {
    try await with { fixture in
      let before = try await fixture.start().install(TestPeel.bytes(), "a", .user(7))
      try await fixture.start().install(TestPeel.bytes(value: 2), "b", .everyone)
      let registry = fixture.start()
      #expect(await registry.list(for: .user(7)).map(\.name) == ["a", "b"])
      #expect(try await registry.show("a", for: .user(7)) == before)
      #expect(try await registry.resolve("a", for: 7).sha256 == before.sha256)
      #expect(try await registry.resolve("b", for: 8).name == "b")
    }
  }

  @Test func nobodySeesAnothersOwn() async throws {
    try await with { fixture in
      let registry = fixture.start()
      try await registry.install(TestPeel.bytes(), "mine", .user(7))
      for viewer in [PeelOwner.user(8), .everyone] {
        #expect(await registry.list(for: viewer) == [])
        await #expect(throws: PeelRegistryError.notFound(name: "mine", known: [])) {
          try await registry.show("mine", for: viewer)
        }
        await #expect(throws: PeelRegistryError.notFound(name: "mine", known: [])) {
          try await registry.remove("mine", of: viewer, timeout: .zero)
        }
      }
      let error = await #expect(throws: APIError.self) {
        _ = try await registry.resolve("mine", for: 8)
      }
      #expect(error?.code == .peelNotFound)
    }
  }

  @Test func theNearestPeelOfANameIsMeant() async throws {
    try await with { fixture in
      var fixture = fixture
      fixture.shipped = fixture.state + "-shipped"
      try FileManager.default.createDirectory(
        atPath: fixture.shipped!, withIntermediateDirectories: true)
      try Data(TestPeel.bytes(value: 1)).write(
        to: URL(filePath: fixture.shipped! + "/a.safetensors"))
      try Data([1, 2]).write(to: URL(filePath: fixture.shipped! + "/broken.safetensors"))
      let registry = fixture.start()
      let shipped = try await registry.show("a", for: .user(7))
      #expect(shipped.scope == .shipped && shipped.installedAt == nil)
      #expect(await registry.list(for: .user(7)).map(\.name) == ["a"])
      await #expect(throws: PeelRegistryError.shipped(name: "a")) {
        try await registry.remove("a", of: .everyone, timeout: .zero)
      }
      let shared = try await registry.install(TestPeel.bytes(value: 2), "a", .everyone)
      #expect(shared.scope == .shared)
      #expect(try await registry.resolve("a", for: 7).sha256 == shared.sha256)
      await #expect(throws: PeelRegistryError.notYours(name: "a")) {
        try await registry.remove("a", of: .user(7), timeout: .zero)
      }
      let own = try await registry.install(TestPeel.bytes(value: 3), "a", .user(7))
      #expect(try await registry.resolve("a", for: 7).sha256 == own.sha256)
      #expect(try await registry.resolve("a", for: 8).sha256 == shared.sha256)
      _ = try await registry.remove("a", of: .user(7), timeout: .zero)
      _ = try await registry.remove("a", of: .everyone, timeout: .zero)
      #expect(try await registry.resolve("a", for: 7).sha256 == shipped.sha256)
    }
  }

  @Test func jobsKeepThePeelThatTheyBeganWith() async throws {
    try await with { fixture in
      let registry = fixture.start()
      let first = try await registry.install(TestPeel.bytes(value: 1), "a", .user(7))
      let held = try await registry.resolve("a", for: 7)
      #expect(try await registry.resolve("a", for: 7).peel === held.peel)
      let second = try await registry.install(TestPeel.bytes(value: 2), "a", .user(7))
      #expect(held.sha256 == first.sha256 && held.peel.file.updates[0].down[0] == 1)
      let next = try await registry.resolve("a", for: 7)
      #expect(next.sha256 == second.sha256 && next != held)
    }
  }

  @Test func removingWaitsForTheLastJob() async throws {
    try await with { fixture in
      let registry = fixture.start()
      try await registry.install(TestPeel.bytes(), "a", .user(7))
      var held: PeelUse? = try await registry.resolve("a", for: 7)
      let late = try await registry.remove("a", of: .user(7), timeout: .milliseconds(20))
      #expect(late == PeelRemoval(name: "a", inUse: true))
      #expect(fixture.files("7") == [])
      #expect(await registry.list(for: .user(7)) == [])
      #expect(held?.peel.file.updates.count == 1)
      // The next peel of that name has holders of its own.
      try await registry.install(TestPeel.bytes(), "a", .user(7))
      #expect(try await registry.remove("a", of: .user(7), timeout: .zero).inUse == false)

      try await registry.install(TestPeel.bytes(), "a", .user(7))
      held = try await registry.resolve("a", for: 7)
      let removal = Task { try await registry.remove("a", of: .user(7), timeout: .seconds(30)) }
      #expect(await eventually { await registry.list(for: .user(7)) == [] })
      #expect(fixture.files("7") == [])
      withExtendedLifetime(held) {}
      held = nil
      #expect(try await removal.value.inUse == false)
    }
  }

  @Test func neverTrustsAFileTwice() async throws {
    try await with { fixture in
      let bytes = TestPeel.bytes(value: 1)
      let path = fixture.folder("7") + "/a.safetensors"
      try await fixture.start().install(bytes, "a", .user(7))
      for other in [TestPeel.bytes(value: 2), Array(bytes.dropLast(4)), []] {
        try Data(other).write(to: URL(filePath: path))
        let registry = fixture.start()
        let error = await #expect(throws: APIError.self) {
          _ = try await registry.resolve("a", for: 7)
        }
        #expect(error?.code == .peelInvalid)
      }
      try Data(bytes).write(to: URL(filePath: path))
      #expect(try await fixture.start().resolve("a", for: 7).name == "a")
    }
  }

  @Test func holdsOwnersToTheirLimits() async throws {
    try await with { fixture in
      var fixture = fixture
      let bytes = TestPeel.bytes()
      fixture.limits = .init(peels: 2, bytes: 10 * bytes.count, uploads: 1)
      let registry = fixture.start()
      for name in ["a", "b", "b"] { try await registry.install(bytes, name, .user(7)) }
      await #expect(throws: PeelRegistryError.tooMany(maximumPeels: 2)) {
        try await registry.install(bytes, "c", .user(7))
      }
      try await registry.install(bytes, "c", .user(8))
      // A reload of the settings counts from the next installation on.
      registry.apply(.init(peels: 3, bytes: 10 * bytes.count))
      try await registry.install(bytes, "c", .user(7))
      registry.apply(.init(peels: 0, bytes: 10 * bytes.count))
      await #expect(throws: PeelRegistryError.tooMany(maximumPeels: 0)) {
        try await registry.install(bytes, "d", .user(7))
      }
      _ = try await registry.remove("c", of: .user(7), timeout: .seconds(9))

      fixture.limits = .init(peels: 9, bytes: 3 * bytes.count)
      let error = await #expect(throws: PeelRegistryError.self) {
        try await fixture.start().install(bytes, "c", .user(7))
      }
      // The records beside the files count too.
      var usedBytes = 0
      if case .tooManyBytes(let used, _, 3 * bytes.count) = error { usedBytes = used }
      #expect(usedBytes > 2 * bytes.count)
      #expect(fixture.files("7").count == 4)
      #expect(APIError(PeelRegistryError.tooMany(maximumPeels: 2)).code == .quotaExceeded)
    }
  }

  /// Subordinate uids have their peels for themselves, and a quota with their owner.
  @Test func countsUidsOfOneAccountTogetherAndAllInTotal() async throws {
    try await TemporaryFolder.with { folder async throws in
      try Data("7:100000:10\n".utf8).write(to: URL(filePath: folder + "/subuid"))
      let users = UserDatabase(
        user: { [7, 8].contains($0) ? .user($0) : .nobody }, userNamed: { _ in .nobody })
      var fixture = PeelFixture(state: folder + "/state")
      fixture.accounts = AccountBook(users: users, subordinateFile: folder + "/subuid")
      let bytes = TestPeel.bytes(rank: 64)
      fixture.limits = .init(peels: 2, bytes: 10 * bytes.count)
      try await fixture.start().install(bytes, "a", .user(7))
      // After a restart too.
      let registry = fixture.start()
      try await registry.install(bytes, "b", .user(100_003))
      for uid in [7, 100_003, 100_004] as [UInt32] {
        await #expect(throws: PeelRegistryError.tooMany(maximumPeels: 2)) {
          try await registry.install(bytes, "c", .user(uid))
        }
      }
      #expect(await registry.list(for: .user(7)).map(\.name) == ["a"])
      for uid in [500, 501] as [UInt32] { try await registry.install(bytes, "d", .user(uid)) }
      await #expect(throws: PeelRegistryError.tooMany(maximumPeels: 2)) {
        try await registry.install(bytes, "e", .user(502))
      }
      registry.apply(.init(totalBytes: 5 * bytes.count + 4096))
      try await registry.install(bytes, "e", .user(8))
      for owner in [.user(8), .everyone] as [PeelOwner] {
        let error = await #expect(throws: PeelRegistryError.self) {
          try await registry.install(bytes, "f", owner)
        }
        #expect(error.map { APIError($0).code } == .notEnoughDiskSpace)
      }
    }
  }

  @Test func boundsInstallationsAtATime() async throws {
    try await with { fixture in
      var fixture = fixture
      fixture.limits.uploads = 1
      let registry = fixture.start()
      let (body, sender) = AsyncStream<[UInt8]>.makeStream()
      let first = Task { try await registry.install(body, as: "a", for: .user(7)) }
      #expect(await eventually { fixture.files("7").count == 1 })
      await #expect(throws: PeelRegistryError.tooManyUploads(maximumUploads: 1)) {
        try await registry.install(TestPeel.bytes(), "b", .user(7))
      }
      sender.yield(TestPeel.bytes())
      sender.finish()
      #expect(try await first.value.name == "a")
      try await registry.install(TestPeel.bytes(), "b", .user(7))
    }
  }

  @Test func refusesWhatIsNoPeelAndLeavesNothing() async throws {
    try await with { fixture in
      var fixture = fixture
      fixture.limits.fileBytes = 1 << 20
      let registry = fixture.start()
      func code(_ bytes: [UInt8], _ name: String = "a") async -> ErrorCode? {
        do throws(PeelRegistryError) {
          _ = try await registry.install(
            PeelFixture.chunks(bytes, of: 1 << 16), as: name, for: .user(7))
          return nil
        } catch { return APIError(error).code }
      }
      let whole = TestPeel.bytes()
      #expect(await code([]) == .peelInvalid)
      #expect(await code(Array("hello".utf8)) == .peelInvalid)
      #expect(await code(Array(whole.dropLast())) == .peelInvalid)
      #expect(await code(TestPeel.bytes(value: .nan)) == .peelInvalid)
      #expect(await code(TestPeel.bytes(metadata: ["banana.base_sha256": "no"])) == .peelInvalid)
      #expect(await code(Array(repeating: 0, count: 2 << 20)) == .requestTooLarge)
      for name in ["", "A", ".a", "a/b", "../a", "a b", String(repeating: "a", count: 65)] {
        #expect(await code(whole, name) == .invalidRequest)
      }
      #expect(fixture.files("7") == [])
      #expect(await code(whole, String(repeating: "a", count: 64)) == nil)
    }
  }

  @Test func aBrokenUploadLeavesNothing() async throws {
    struct Broken: Error {}
    try await with { fixture in
      let registry = fixture.start()
      let (body, sender) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
      sender.yield(Array(TestPeel.bytes().prefix(100)))
      sender.finish(throwing: Broken())
      await #expect(throws: PeelRegistryError.uploadBroken) {
        try await registry.install(body, as: "a", for: .user(7))
      }
      #expect(fixture.files("7") == [])
    }
  }

  @Test func saysThatTheDiskIsFull() {
    let full = APIError(PeelRegistryError.system(call: "write", errno: 28, path: "/s"))
    #expect(full.code == .notEnoughDiskSpace && full.message.contains("/s"))
    let other = APIError(PeelRegistryError.system(call: "write", errno: 5, path: "/s"))
    #expect(other.code == .internalError)
  }

  @Test func saysThatTheStateFolderCannotBeMade() async throws {
    try await TemporaryFolder.with { folder async throws in
      try Data().write(to: URL(filePath: folder + "/state"))
      let error = await #expect(throws: PeelRegistryError.self) {
        try await PeelFixture(state: folder + "/state").start()
          .install(TestPeel.bytes(), "a", .user(7))
      }
      #expect(error.map { APIError($0).message.contains(folder) } == true)
    }
  }
}
