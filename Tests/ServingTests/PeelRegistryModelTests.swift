import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
import Testing
import Weights

/// `PeelRegistry` against a table of who has which peel, over random histories that a seed repeats:
/// installs, refusals, removals, jobs that hold what they began with, and restarts among what a
/// crash may leave.
@Suite(.timeLimit(.minutes(5))) struct PeelRegistryModelTests {
  private static let maximumPeels = 3
  private static let owners: [PeelOwner] = [.user(7), .user(8), .everyone]
  private static let names = ["a", "b", "c", "d", "e"]

  private struct History {
    let fixture: PeelFixture
    var registry: PeelRegistry
    var random: SeededGenerator
    /// What everybody has installed, by the number that its weights are full of.
    var installed: [PeelOwner: [String: Float]] = [:]
    /// What jobs hold, and the number that was meant.
    var held: [(peel: PeelUse, value: Float)] = []
    var lastValue: Float = 0

    mutating func step() async throws {
      let owner = PeelRegistryModelTests.owners.randomElement(using: &random)!
      let name = PeelRegistryModelTests.names.randomElement(using: &random)!
      switch Int.random(in: 0..<12, using: &random) {
      case 0..<5: try await install(name, owner)
      case 5: await refuse(name, owner)
      case 6..<8: await remove(name, owner)
      case 8..<10: await hold(name, Bool.random(using: &random) ? 7 : 8)
      case 10: held.removeAll()
      default: try restart()
      }
      try await compare()
    }

    private mutating func install(_ name: String, _ owner: PeelOwner) async throws {
      lastValue += 1
      let bytes = TestPeel.bytes(value: lastValue)
      let own = installed[owner, default: [:]]
      if own[name] == nil, own.count == maximumPeels {
        await #expect(throws: PeelRegistryError.tooMany(maximumPeels: maximumPeels)) {
          try await registry.install(bytes, name, owner)
        }
      } else {
        try await registry.install(bytes, name, owner)
        installed[owner, default: [:]][name] = lastValue
      }
    }

    /// What is no peel, or for another model, leaves what was there.
    private mutating func refuse(_ name: String, _ owner: PeelOwner) async {
      let whole = TestPeel.bytes(metadata: ["banana.base_sha256": "other"])
      let bytes = Bool.random(using: &random) ? whole : Array(whole.dropLast(5))
      await #expect(throws: PeelRegistryError.self) {
        try await registry.install(bytes, name, owner)
      }
    }

    private mutating func remove(_ name: String, _ owner: PeelOwner) async {
      let value = installed[owner]?[name]
      do throws(PeelRegistryError) {
        let removal = try await registry.remove(name, of: owner, timeout: .zero)
        #expect(value != nil && removal.name == name)
        // Only the very same peel, not one of its name.
        if held.contains(where: { $0.value == value }) { #expect(removal.inUse) }
      } catch {
        let isVisible = installed[.everyone]?[name] != nil
        #expect(value == nil)
        switch error {
        case .notYours: #expect(isVisible && owner != .everyone)
        case .notFound: #expect(!isVisible || owner == .everyone)
        default: Issue.record("\(error)")
        }
      }
      installed[owner]?[name] = nil
    }

    private mutating func hold(_ name: String, _ uid: UInt32) async {
      let value = installed[.user(uid)]?[name] ?? installed[.everyone]?[name]
      do {
        let peel = try await registry.resolve(name, for: uid)
        #expect(value != nil)
        held.append((peel, value ?? 0))
      } catch { #expect(value == nil, "\(error)") }
    }

    /// Another registry finds what the first left, and files of one that died.
    private mutating func restart() throws {
      held.removeAll()
      for owner in installed.keys {
        let folder = fixture.folder(owner == .everyone ? "all" : owner == .user(7) ? "7" : "8")
        if Bool.random(using: &random) {
          try Data("half a pe".utf8).write(to: URL(filePath: folder + "/.1-2.part"))
        }
        let unused = PeelRegistryModelTests.names.first { installed[owner]?[$0] == nil }
        if let unused, Bool.random(using: &random) {
          try Data("{}".utf8).write(to: URL(filePath: "\(folder)/\(unused).json"))
        }
        // A record that did not reach the disk is made anew.
        if let name = installed[owner]?.keys.sorted().first, Bool.random(using: &random) {
          try Data("{".utf8).write(to: URL(filePath: "\(folder)/\(name).json"))
        }
      }
      registry = fixture.start()
    }

    private func compare() async throws {
      for uid in [7, 8] as [UInt32] {
        let all = (installed[.everyone] ?? [:]).merging(installed[.user(uid)] ?? [:]) { $1 }
        let list = await registry.list(for: .user(uid))
        #expect(list.map(\.name) == all.keys.sorted())
        for info in list {
          let isOwn = installed[.user(uid)]?[info.name] != nil
          #expect(info.scope == (isOwn ? .private : .shared))
        }
        guard let (name, value) = all.first else { continue }
        let peel = try await registry.resolve(name, for: uid)
        #expect(peel.peel.file.updates.first?.down.first == value)
      }
      for (peel, value) in held {
        #expect(peel.peel.file.updates.first?.down.first == value, "a held peel changed")
      }
      for (owner, peels) in installed {
        let files = fixture.files(owner == .everyone ? "all" : owner == .user(7) ? "7" : "8")
        let expected = peels.keys.flatMap { [$0 + ".json", $0 + ".safetensors"] }.sorted()
        #expect(files == expected)
      }
    }
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>) func everybodyHasWhatWasInstalled(
    _ seed: UInt64
  ) async throws {
    try await TemporaryFolder.with { folder async throws in
      var fixture = PeelFixture(state: folder + "/state")
      fixture.limits.peels = Self.maximumPeels
      var history = History(
        fixture: fixture, registry: fixture.start(), random: SeededGenerator(seed: seed))
      for _ in 0..<60 { try await history.step() }
    }
  }
}
