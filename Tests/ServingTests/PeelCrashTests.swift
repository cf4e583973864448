import BananaAPI
import BananaTesting
import Diffusion
import Dispatch
import FoundationEssentials
import Serving
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Installing in the face of kill -9.
@Suite(.serialized, .timeLimit(.minutes(5))) struct PeelCrashTests {
  static let rounds = 100

  /// The folder of the parent and the children that it kills.
  static func folder(of pid: pid_t) -> String { "/tmp/banana-peel-crash-\(pid)" }

  /// Large enough that a kill hits every part of an installation.
  static func bytes(_ version: Int) -> [UInt8] {
    TestPeel.bytes(value: Float(version), rank: 128, metadata: ["version": "\(version)"])
  }

  @Test func killedAtAnyMomentNoPeelIsHalfInstalled() async throws {
    let state = Self.folder(of: getpid())
    try? FileManager.default.removeItem(atPath: state)
    defer { try? FileManager.default.removeItem(atPath: state) }
    let fixture = PeelFixture(state: state)
    let first = try await fixture.start().install(Self.bytes(0), "kept", .user(7))
    var shas: Set<String> = [first.sha256]
    for version in 1...3 {
      shas.insert(try await fixture.start().install(Self.bytes(version), "v", .user(8)).sha256)
    }
    for _ in 0..<Self.rounds {
      await #expect(processExitsWith: .signal(SIGKILL)) {
        let registry = PeelFixture(state: Self.folder(of: getppid())).start()
        // One is installed however busy the machine is; the next ones are what is cut off.
        try await registry.install(Self.bytes(2), "kept", .user(7))
        let delay = Double.random(in: 0...0.05)
        DispatchQueue.global().asyncAfter(deadline: .now() + delay) { kill(getpid(), SIGKILL) }
        var version = 1
        while true {
          version = version % 3 + 1
          try await registry.install(Self.bytes(version), "kept", .user(7))
          try await registry.install(Self.bytes(version), "fleeting", .user(7))
          _ = try await registry.remove("fleeting", of: .user(7), timeout: .zero)
        }
      }
      let registry = fixture.start()
      let names = await registry.list(for: .user(7)).map(\.name)
      #expect(names == ["kept"] || names == ["fleeting", "kept"])
      for name in names {
        #expect(shas.contains(try await registry.resolve(name, for: 7).sha256))
      }
      #expect(fixture.files("7") == names.flatMap { ["\($0).json", "\($0).safetensors"] })
    }
    // Otherwise the children did nothing.
    #expect(try await fixture.start().show("kept", for: .user(7)).sha256 != first.sha256)
  }

  /// Both moments between the renames of a replacement.
  @Test(arguments: [false, true])
  func aHalfDoneReplacementIsOneOfTheTwo(_ isRenamed: Bool) async throws {
    try await TemporaryFolder.with { folder async throws in
      let fixture = PeelFixture(state: folder)
      let path = fixture.folder("7") + "/a"
      func read(_ suffix: String) throws -> String {
        String(decoding: try Data(contentsOf: URL(filePath: path + suffix)), as: UTF8.self)
      }
      let old = try await fixture.start().install(Self.bytes(1), "a", .user(7))
      let oldRecord = try read(".json")
      let new = try await fixture.start().install(Self.bytes(2), "a", .user(7))
      let both =
        try read(".json").dropLast("]}".count) + "," + oldRecord.dropFirst("{\"versions\":[".count)
      try Data(both.utf8).write(to: URL(filePath: path + ".json"))
      if !isRenamed {
        try Data(Self.bytes(1)).write(to: URL(filePath: path + ".safetensors"))
      }
      try Data([1]).write(to: URL(filePath: fixture.folder("7") + "/.1-2.part"))
      try Data(oldRecord.utf8).write(to: URL(filePath: fixture.folder("7") + "/gone.json"))
      for _ in 0..<2 {
        let registry = fixture.start()
        let expected = isRenamed ? new : old
        #expect(await registry.list(for: .user(7)).map(\.sha256) == [expected.sha256])
        #expect(try await registry.resolve("a", for: 7).sha256 == expected.sha256)
        #expect(fixture.files("7") == ["a.json", "a.safetensors"])
      }
    }
  }

  /// At every amount of room: the old peel or the new one, as the answer says.
  @Test(.enabled(if: SmallDisk.isAvailable))
  func aReplacementOnAFullDiskIsDoneOrNot() async throws {
    let disk = try SmallDisk(bytes: 512 << 10)
    // The new one's record is so much larger that there may be room for it once and not twice.
    let story = (0..<12).map { ("story\($0)", String(repeating: "x", count: 4000)) }
    let old = TestPeel.bytes(value: 1)
    let new = TestPeel.bytes(value: 2, metadata: Dictionary(uniqueKeysWithValues: story))
    var outcomes: Set<Bool> = []
    for pages in 0..<44 {
      let fixture = PeelFixture(state: "\(disk.path)/\(pages)")
      let registry = fixture.start()
      var expected = try await registry.install(old, "a", .user(7)).sha256
      try disk.fill(butFor: pages << 12)
      var isDone = true
      do {
        expected = try await registry.install(new, "a", .user(7)).sha256
      } catch let error as PeelRegistryError {
        #expect(APIError(error).code == .notEnoughDiskSpace)
        isDone = false
      }
      outcomes.insert(isDone)
      for later in [registry, fixture.start()] {
        #expect(await later.list(for: .user(7)).map(\.sha256) == [expected], "\(pages) pages")
        #expect(try await later.resolve("a", for: 7).sha256 == expected, "\(pages) pages")
      }
      #expect(fixture.files("7") == ["a.json", "a.safetensors"])
      disk.makeRoom()
      try FileManager.default.removeItem(atPath: fixture.state)
    }
    #expect(outcomes == [false, true])
  }
}
