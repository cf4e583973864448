import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Peels on disks that are full, read-only or gone.
@Suite(.timeLimit(.minutes(5))) struct DiskTests {
  /// A daemon whose state folder is `state`.
  private func serving(
    state: String, _ body: (TestDaemon) async throws -> Void
  ) async throws {
    try await TemporaryFolder.with { folder async throws in
      let daemon = try TestDaemon(socketPath: folder + "/b.sock", stateDirectory: state) { _, _ in
        FakeEngine()
      }
      do { try await body(daemon) } catch {
        try await daemon.stop()
        throw error
      }
      try await daemon.stop()
    }
  }

  private func install(
    _ name: String, _ bytes: [UInt8], through daemon: TestDaemon
  ) async throws -> RawConnection.Answer {
    try await RawConnection(daemon.socketPath)
      .exchange("POST", "\(Route.peels)?name=\(name)", body: bytes)
  }

  private func draw(
    with peel: String, through daemon: TestDaemon
  ) async throws -> RawConnection.Answer {
    let body = #"{"prompt": "p", "peels": ["\#(peel)"]}"#
    return try await RawConnection(daemon.socketPath)
      .exchange("POST", Route.imageGenerations, body: Array(body.utf8))
  }

  private func refusal(_ answer: RawConnection.Answer) throws -> APIError {
    try JSONDecoder().decode(ErrorBody.self, from: Data(answer.body.utf8)).error
  }

  private func files(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  @Test(.enabled(if: SmallDisk.isAvailable))
  func aFullDiskRefusesAPeelAndLosesNothing() async throws {
    let disk = try SmallDisk(bytes: 256 << 10)
    let bytes = TestPeel.bytes(rank: 128)
    let owner = "\(disk.path)/peels/\(geteuid())"
    try await serving(state: disk.path) { daemon async throws in
      #expect(try await install("first", bytes, through: daemon).status == 201)
      // No room at all, for half of the peel, and for the peel without its record.
      for room in [0, 24 << 10, (bytes.count + 4095) & ~4095] {
        try disk.fill(butFor: room)
        let refused = try await install("second", bytes, through: daemon)
        #expect(refused.status == 507)
        let error = try refusal(refused)
        #expect(error.code == .notEnoughDiskSpace && error.message.contains("no room"))
        #expect(try files(owner) == ["first.json", "first.safetensors"])
        #expect(try await daemon.isAlive)
        #expect(try await draw(with: "first", through: daemon).status == 200)
        disk.makeRoom()
      }
      #expect(try await install("second", bytes, through: daemon).status == 201)
      #expect(try await draw(with: "second", through: daemon).status == 200)
    }
  }

  @Test func aStateFolderThatGoesWhileTheDaemonRuns() async throws {
    try await TemporaryFolder.with { state async throws in
      try await serving(state: state) { daemon async throws in
        let bytes = TestPeel.bytes()
        for name in ["a", "b"] {
          #expect(try await install(name, bytes, through: daemon).status == 201)
        }
        try FileManager.default.removeItem(atPath: state + "/peels")
        let refused = try await draw(with: "a", through: daemon)
        #expect(refused.status == 422)
        #expect(try refusal(refused).message.contains("is gone from the disk"))
        let removed = try await RawConnection(daemon.socketPath)
          .exchange("DELETE", Route.peel("b") + "?timeout_seconds=1")
        #expect(removed.status == 200)
        #expect(try await install("a", bytes, through: daemon).status == 201)
        #expect(try await draw(with: "a", through: daemon).status == 200)
        #expect(try files("\(state)/peels/\(geteuid())") == ["a.json", "a.safetensors"])
      }
    }
  }

  @Test func aStateFolderThatCannotBeMade() async throws {
    try await TemporaryFolder.with { folder async throws in
      try Data().write(to: URL(filePath: folder + "/file"))
      try await serving(state: folder + "/file/state") { daemon async throws in
        let refused = try await install("a", TestPeel.bytes(), through: daemon)
        #expect(refused.status == 500)
        let message = try refusal(refused).message
        #expect(message.contains("Not a directory") && message.contains("bananad's user"))
        #expect(try await daemon.isAlive)
        let body = Array(#"{"prompt": "p"}"#.utf8)
        let drawn = try await RawConnection(daemon.socketPath)
          .exchange("POST", Route.imageGenerations, body: body)
        #expect(drawn.status == 200)
      }
    }
  }
}
