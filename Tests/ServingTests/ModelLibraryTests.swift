import BananaAPI
import BananaTesting
import FoundationEssentials
import Models
import Synchronization
import Testing

@testable import Serving

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Several models: which are known, open and closed, and who waits for what.
@Suite(.timeLimit(.minutes(5))) struct ModelLibraryTests {
  /// Models on a disk that can change, and engines for them.
  private final class Disk: Sendable {
    struct State {
      var models: [InstalledModel] = []
      var openings: [String] = []
      var failure: (any Error)?
      var available: Int?
      /// Openings wait while it is set.
      var isHeld = false
      var released: [String: Int] = [:]
    }

    let state: Mutex<State>

    init(_ models: [InstalledModel], available: Int? = nil) {
      state = Mutex(State(models: models, available: available))
    }

    var openings: [String] { state.withLock { $0.openings } }

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    func makeLibrary(
      defaultModel: String? = nil, retryInterval: Duration = .zero,
      charge: @escaping @Sendable (Account, Double) async -> Void = { _, _ in }
    ) -> ModelLibrary {
      ModelLibrary(
        settings: .init(
          folders: ModelFolders(others: ["/models"]), retryInterval: retryInterval,
          defaultModel: defaultModel),
        logger: silentLogger, list: { self.state.withLock { $0.models } },
        availableBytes: { self.state.withLock { $0.available } }, charge: charge,
        opener: { model, progress in
          self.state.withLock { $0.openings.append(model.name) }
          progress(0.5)
          while self.state.withLock({ $0.isHeld }) { Thread.sleep() }
          if let failure = self.state.withLock({ $0.failure }) { throw failure }
          return FakeEngine(name: model.name)
        })
    }
  }

  private enum Thread {
    static func sleep() { usleep(1000) }
  }

  private struct Broken: Error, CustomStringConvertible { let description = "It is broken." }

  private static func model(_ name: String, bytes: Int = 0, version: String = "1") -> InstalledModel
  {
    InstalledModel(name: name, path: "/models/\(name)", version: version, weightBytes: bytes)
  }

  private func states(_ library: ModelLibrary) -> [String: ModelState] {
    Dictionary(uniqueKeysWithValues: library.reports.map { ($0.model.name, $0.state) })
  }

  private func failure(
    _ library: ModelLibrary, _ name: String?
  ) async -> ModelLibraryError? {
    do throws(ModelLibraryError) {
      _ = try await library.lease(name)
      return nil
    } catch { return error }
  }

  @Test func opensWhatIsAskedForOnce() async throws {
    let disk = Disk([Self.model("a"), Self.model("b")])
    let library = disk.makeLibrary()
    #expect(library.reports.isEmpty && library.defaultStatus.reason?.contains("looked for") == true)
    async let one = library.lease("a")
    async let other = library.lease("a")
    let leases = [try await one, try await other]
    #expect(disk.openings == ["a"])
    #expect(leases[0].engine as? FakeEngine === leases[1].engine as? FakeEngine)
    #expect(states(library) == ["a": .open, "b": .closed])
    _ = try await library.lease("b")
    #expect(disk.openings == ["a", "b"])
    #expect(library.reports.allSatisfy { $0.description != nil && !$0.isDefault })
  }

  @Test func theDefaultIsTheOnlyOneOrTheStickerOrAsSet() async throws {
    func name(_ models: [String], _ set: String? = nil) async -> String? {
      let library = Disk(models.map { Self.model($0) }).makeLibrary(defaultModel: set)
      return (try? await library.lease(nil))?.engine.model.name
    }
    #expect(await name(["a"]) == "a")
    #expect(await name(["a", "sticker", "z"]) == "sticker")
    #expect(await name(["a", "z"]) == nil)
    #expect(await name(["a", "sticker"], "a") == "a")
    let several = await failure(Disk([Self.model("a"), Self.model("z")]).makeLibrary(), nil)
    guard case .noDefault(["a", "z"]) = several else {
      Issue.record("\(String(describing: several))")
      return
    }
    #expect(APIError(several!).code == .modelNotFound && APIError(several!).param == "model")
    let none = await failure(Disk([]).makeLibrary(), nil)
    #expect(none.map { APIError($0).code } == .modelUnavailable)
    #expect("\(none!)".contains("--models"))
    let missing = await failure(Disk([Self.model("a")]).makeLibrary(), "b")
    #expect(missing.map { APIError($0).code } == .modelNotFound)
  }

  @Test func aBadPackageHarmsNoOther() async throws {
    var bad = Self.model("bad")
    bad.fault = .sameName("x", path: "/models/bad", other: "/models/x")
    let disk = Disk([bad, Self.model("good")])
    let library = disk.makeLibrary()
    #expect(try await library.lease(nil).engine.model.name == "good")
    #expect(states(library) == ["bad": .failed, "good": .open])
    let error = try #require(await failure(library, "bad"))
    #expect(APIError(error).code == .modelUnavailable && "\(error)".contains("both called"))
    // Mending it is enough.
    disk.change { $0.models[0].fault = nil }
    #expect(try await library.lease("bad").engine.model.name == "bad")
  }

  @Test func whatFailsIsTriedAgain() async throws {
    let disk = Disk([Self.model("a")])
    disk.change { $0.failure = Broken() }
    let library = disk.makeLibrary()
    async let one = failure(library, "a")
    async let other = failure(library, "a")
    for error in [await one, await other] { #expect(error.map { "\($0)" } == "It is broken.") }
    #expect(states(library) == ["a": .failed])
    #expect(library.reports[0].failure is Broken)
    disk.change { $0.failure = nil }
    #expect(try await library.lease("a").engine.model.name == "a")
    // Not at once, where that is set.
    let patient = disk.makeLibrary(retryInterval: .seconds(1000))
    disk.change { $0.failure = Broken() }
    #expect(await failure(patient, "a") != nil)
    let count = disk.openings.count
    #expect(await failure(patient, "a") != nil && disk.openings.count == count)
    // But when somebody says so.
    disk.change { $0.failure = nil }
    await patient.rescan()
    #expect(await failure(patient, "a") == nil)
  }

  @Test func theLeastUsedIsClosedForAnother() async throws {
    let disk = Disk(
      [Self.model("a"), Self.model("b"), Self.model("c", bytes: 100)], available: 99)
    let library = disk.makeLibrary()
    _ = try await library.lease("a")
    _ = try await library.lease("b")
    _ = try await library.lease("a")
    let refused = try #require(await failure(library, "c"))
    guard case .noRoom("c", 100, 99) = refused else {
      Issue.record("\(refused)")
      return
    }
    #expect(APIError(refused).code == .insufficientMemory)
    #expect(states(library) == ["a": .closed, "b": .closed, "c": .closed])
    disk.change { $0.available = 100 }
    _ = try await library.lease("c")
    #expect(states(library) == ["a": .closed, "b": .closed, "c": .open])
    #expect(library.reports[0].description?.name == "a")
  }

  /// Nothing is closed that a job needs; whoever asks for it later waits behind the model that
  /// needs its room.
  @Test func jobsKeepTheirModelOpenAndNobodyForEver() async throws {
    let disk = Disk([Self.model("a"), Self.model("b", bytes: 100)], available: 200)
    let library = disk.makeLibrary()
    var lease: ModelLease? = try await library.lease("a")
    // The engine of "a" takes all there is.
    disk.change { $0.available = 50 }
    async let waiting = library.lease("b")
    #expect(await eventually { states(library)["b"] == .opening })
    async let later = library.lease("a")
    #expect(await eventually { library.shelf.withLock { $0.entries["a"]?.interest == 1 } })
    #expect(states(library)["a"] == .open && disk.openings == ["a"])
    #expect(lease?.engine.model.name == "a")
    disk.change { $0.available = 200 }
    lease = nil
    #expect(try await waiting.engine.model.name == "b")
    #expect(try await later.engine.model.name == "a")
    #expect(disk.openings.prefix(2) == ["a", "b"])
  }

  @Test func whoHasGoneKeepsNobodyWaiting() async throws {
    let disk = Disk([Self.model("a"), Self.model("b", bytes: 100)], available: 100)
    let library = disk.makeLibrary()
    let lease = try await library.lease("a")
    disk.change { $0.available = 50 }
    let gone = Task { await failure(library, "b") }
    #expect(await eventually { states(library)["b"] == .opening })
    async let later = library.lease("a")
    #expect(await eventually { library.shelf.withLock { $0.entries["a"]?.interest == 1 } })
    gone.cancel()
    guard case .cancelled = await gone.value else {
      Issue.record("it was not cancelled")
      return
    }
    #expect(try await later.engine as? FakeEngine === lease.engine as? FakeEngine)
    #expect(await eventually { states(library) == ["a": .open, "b": .closed] })
    #expect(disk.openings == ["a"])
  }

  /// A model that was gone for a moment while jobs drew with it is what it was before.
  @Test func whatIsBackIsUsedAgain() async throws {
    let models = [Self.model("a"), Self.model("b")]
    let disk = Disk(models)
    let library = disk.makeLibrary()
    let lease = try await library.lease("a")
    for other in [[models[1]], [Self.model("a", version: "2"), models[1]]] {
      disk.change { $0.models = other }
      await library.rescan()
      disk.change { $0.models = models }
      await library.rescan()
      let again = try await library.lease("a")
      #expect(again.engine as? FakeEngine === lease.engine as? FakeEngine)
    }
    #expect(states(library) == ["a": .open, "b": .closed] && disk.openings == ["a"])
  }

  /// Who makes an opening necessary pays for it, and for closing what has to go; not who waits for
  /// the same one, who finds it open, nor for the time until others' jobs are done.
  @Test func openingIsPaidForByWhoMakesItNecessary() async throws {
    let disk = Disk([Self.model("a"), Self.model("b", bytes: 100)], available: 200)
    let spent = Mutex<[Account: [Double]]>([:])
    let library = disk.makeLibrary { account, seconds in
      spent.withLock { $0[account, default: []].append(seconds) }
    }
    disk.change { $0.isHeld = true }
    async let first = library.lease("a", for: .user(7))
    #expect(await eventually { disk.openings == ["a"] })
    async let second = library.lease("a", for: .user(8))
    #expect(await eventually { library.shelf.withLock { $0.entries["a"]?.interest == 2 } })
    disk.change { $0.isHeld = false }
    let leases = [try await first, try await second]
    #expect(leases[0].engine as? FakeEngine === leases[1].engine as? FakeEngine)
    _ = try await library.lease("a", for: .user(9))
    #expect(await eventually { spent.withLock { $0[.user(7)]?.count == 1 } })
    #expect(spent.withLock { $0.keys.map { $0 } } == [.user(7)])
    disk.change { $0.available = 50 }
    async let other = library.lease("b", for: .user(8))
    #expect(await eventually { library.shelf.withLock { $0.entries["b"]?.interest == 1 } })
    disk.change { $0.available = 200 }
    await library.rescan()
    #expect(try await other.engine.model.name == "b")
    #expect(await eventually { spent.withLock { $0[.user(8)]?.count == 1 } })
    #expect(spent.withLock { $0.count } == 2)
    withExtendedLifetime(leases) {}
  }

  @Test func whatIsOnTheDiskIsFollowed() async throws {
    let disk = Disk([Self.model("a"), Self.model("b")])
    let library = disk.makeLibrary()
    var lease: ModelLease? = try await library.lease("a")
    _ = try await library.lease("b")
    disk.change { $0.models = [Self.model("a", version: "2"), Self.model("c")] }
    await library.rescan()
    #expect(states(library) == ["a": .open, "c": .closed])
    // Jobs end as they began; the next ones get what is there now.
    let next = Task { try await library.lease("a").engine as? FakeEngine }
    #expect(await eventually { library.shelf.withLock { $0.entries["a"]?.interest == 1 } })
    #expect(disk.openings == ["a", "b"])
    let old = lease?.engine as? FakeEngine
    lease = nil
    #expect(try await next.value !== old)
    #expect(library.reports[0].model.version == "2")
    disk.change { $0.models = [] }
    await library.rescan()
    #expect(await eventually { library.reports.isEmpty })
  }

  @Test func stoppingRefusesWhoWaits() async throws {
    let disk = Disk([Self.model("a")])
    disk.change { $0.isHeld = true }
    let library = disk.makeLibrary()
    async let waiting = failure(library, "a")
    #expect(await eventually { library.reports.first?.progress == 0.5 })
    library.stop()
    let error = await waiting
    #expect(error.map { APIError($0).code } == .shuttingDown)
    disk.change { $0.isHeld = false }
  }

  @Test func memoryIsGivenBackByAll() async throws {
    let disk = Disk([Self.model("a"), Self.model("b")])
    let library = disk.makeLibrary()
    let lease = try await library.lease("a")
    _ = try await library.lease("b")
    #expect(await library.residentBytes == 2 << 20)
    await library.release(.idlePlans)
    #expect((lease.engine as? FakeEngine)?.record.released == [.idlePlans])
    await library.release(.everything)
    #expect((lease.engine as? FakeEngine)?.record.released == [.idlePlans, .everything])
    #expect(states(library) == ["a": .open, "b": .closed])
  }
}
