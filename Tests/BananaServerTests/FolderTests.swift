import BananaServer
import BananaTesting
import FoundationEssentials
import Serving
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Folders in which others could put something in the daemon's way are refused with words.
@Suite struct FolderTests {
  private func mode(_ path: String) throws -> Int {
    let facts = try FileManager.default.attributesOfItem(atPath: path)
    return try #require(facts[.posixPermissions] as? Int)
  }

  @Test func aSocketHasItsMode() async throws {
    try await TemporaryFolder.with { folder in
      for mode in [Listener.groupMode, Listener.ownerMode] {
        let path = "\(folder)/\(mode).sock"
        let listener = try Listener.bind(path: path, mode: mode)
        defer { close(listener.descriptor) }
        #expect(try self.mode(path) == Int(mode))
      }
    }
  }

  @Test func aLinkInTheSocketsPlaceIsNotFollowed() async throws {
    try await TemporaryFolder.with { folder in
      let other = folder + "/other"
      try Data().write(to: URL(filePath: other))
      #expect(chmod(other, 0o600) == 0)
      #expect(symlink(other, folder + "/b.sock") == 0)
      #expect(throws: ListenerError.notASocket(path: folder + "/b.sock")) {
        try Listener.bind(path: folder + "/b.sock")
      }
      #expect(try mode(other) == 0o600)
    }
  }

  @Test func aSocketsFolderMustNotBeOpenToOthers() async throws {
    try await TemporaryFolder.with { folder in
      let path = folder + "/b.sock"
      for mode in [0o777, 0o775, 0o757] as [mode_t] {
        #expect(chmod(folder, mode) == 0)
        let error = #expect(throws: ListenerError.openFolder(path: path, folder: folder)) {
          try Listener.bind(path: path)
        }
        #expect(error?.description.contains("chmod go-w \(folder)") == true)
      }
      for mode in [0o1777, 0o755, 0o700] as [mode_t] {
        #expect(chmod(folder, mode) == 0)
        let listener = try Listener.bind(path: path)
        close(listener.descriptor)
        listener.removeFile()
      }
    }
  }

  @Test(.enabled(if: Impersonation.isPossible))
  func aSocketsFolderMustNotBeAnothers() async throws {
    try await TemporaryFolder.with { folder in
      #expect(chown(folder, 61_001, 61_001) == 0)
      let path = folder + "/b.sock"
      #expect(throws: ListenerError.foreignFolder(path: path, folder: folder, owner: 61_001)) {
        try Listener.bind(path: path)
      }
    }
  }

  @Test func aStateFolderMustBeARealFolderOfOnesOwn() async throws {
    try await TemporaryFolder.with { folder in
      let (state, link) = (folder + "/state", folder + "/link")
      try StateFolder.check(state)
      try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: false)
      // Sockets that other tests bind meanwhile change what is taken from a new folder's rights.
      #expect(chmod(state, 0o700) == 0)
      try StateFolder.check(state)
      #expect(symlink(state, link) == 0)
      for path in [link, link + "/", link + "//"] {
        #expect(throws: StateFolderError.link(path: link)) { try StateFolder.check(path) }
      }
      for mode in [0o775, 0o777, 0o1777] as [mode_t] {
        #expect(chmod(state, mode) == 0)
        #expect(throws: StateFolderError.open(path: state)) { try StateFolder.check(state) }
      }
      #expect(chmod(state, 0o700) == 0)
      #expect(symlink(folder, state + "/peels") == 0)
      #expect(throws: StateFolderError.link(path: state + "/peels")) {
        try StateFolder.check(state)
      }
      let file = folder + "/file"
      try Data().write(to: URL(filePath: file))
      #expect(throws: StateFolderError.notAFolder(path: file)) { try StateFolder.check(file) }
    }
  }

  @Test(.enabled(if: Impersonation.isPossible))
  func aStateFolderMustNotBeAnothers() async throws {
    try await TemporaryFolder.with { folder in
      #expect(chown(folder, 61_001, 61_001) == 0)
      let error = #expect(throws: StateFolderError.foreign(path: folder, owner: 61_001)) {
        try StateFolder.check(folder)
      }
      #expect(error?.description.contains("chown -R") == true)
    }
  }

  /// Nothing is served on a state folder that is not the daemon's own.
  @Test func aDaemonDoesNotStartOnALink() async throws {
    try await TemporaryFolder.with { folder in
      let path = folder + "/b.sock"
      #expect(symlink("/tmp", path + ".state") == 0)
      let daemon = try TestDaemon(socketPath: path, opener: { _, _ in FakeEngine() })
      await #expect(throws: StateFolderError.link(path: path + ".state")) {
        try await daemon.stop()
      }
      #expect(!FileManager.default.fileExists(atPath: path))
    }
  }
}
