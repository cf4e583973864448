import BananaAPI
import BananaTesting
import FoundationEssentials
import Serving
import Testing

/// Models come and go on the disk while the daemon runs.
@Suite(.timeLimit(.minutes(5))) struct ModelFolderTests {
  /// A package that is no more than its manifest.
  private static func put(_ name: String, at path: String, version: String = "1") throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    try Data(
      """
      {"formatVersion": 2, "name": "\(name)", "family": "fake", "version": "\(version)",
       "description": "", "licenses": [], "files": {}, "weights": {}, "configuration": {}}
      """.utf8
    ).write(to: URL(filePath: path + "/model.json"))
  }

  private func serving(
    _ folders: [String], in folder: String, _ configuration: DaemonConfiguration = .init(),
    _ body: (TestDaemon) async throws -> Void
  ) async throws {
    var configuration = configuration
    configuration.modelFolders = ModelFolders(others: folders)
    let daemon = try TestDaemon(
      socketPath: folder + "/b.sock", configuration: configuration, looksForModels: true,
      opener: { model, _ in FakeEngine(name: model.name) })
    do { try await body(daemon) } catch {
      try await daemon.stop()
      throw error
    }
    try await daemon.stop()
  }

  private func list(_ daemon: TestDaemon) async throws -> [ModelInfo] {
    let answer = try await RawConnection(daemon.socketPath).exchange("GET", Route.models)
    return try JSONDecoder().decode(ModelList.self, from: Data(answer.body.utf8)).data
  }

  private func draw(_ model: String, _ daemon: TestDaemon) async throws -> RawConnection.Answer {
    try await post(#"{"prompt":"p","model":"\#(model)"}"#, to: daemon)
  }

  /// What is installed can be drawn with at once, asked for by name or listed first; what is being
  /// written is not there, and what is removed is gone.
  @Test func modelsComeAndGo() async throws {
    try await TemporaryFolder.with { folder async throws in
      let (own, system) = (folder + "/own/models", folder + "/system")
      try Self.put("a", at: system + "/a")
      // The user's folder is not there yet.
      try await serving([own, system], in: folder, .init(defaultModel: "a")) {
        daemon async throws in
        #expect(try await list(daemon).map(\.id) == ["a"])
        try Self.put("b", at: own + "/.b-1")
        #expect(try await list(daemon).map(\.id) == ["a"])
        #expect(try await draw("b", daemon).status == 404)
        try FileManager.default.moveItem(atPath: own + "/.b-1", toPath: own + "/b")
        #expect(try await draw("b", daemon).status == 200)
        try Self.put("c", at: own + "/c")
        #expect(try await list(daemon).map(\.id) == ["a", "b", "c"])
        #expect(try await list(daemon).map(\.state) == [.open, .open, .closed])
        #expect(try await list(daemon).map(\.isDefault) == [true, false, false])
        for name in ["b", "c"] {
          try FileManager.default.removeItem(atPath: own + "/" + name)
        }
        // One that is not open is looked for before it is opened.
        let gone = try await draw("c", daemon)
        #expect(gone.status == 404 && gone.code == "model_not_found")
        #expect(try await list(daemon).map(\.id) == ["a"])
        #expect(try await draw("b", daemon).status == 404)
        #expect(try await draw("a", daemon).status == 200)
      }
    }
  }

  /// Clients keep their connections: what one drew with can go all the same.
  @Test func connectionsHoldNoModel() async throws {
    try await TemporaryFolder.with { folder async throws in
      let own = folder + "/own"
      for name in ["a", "b"] { try Self.put(name, at: own + "/" + name) }
      try await serving([own], in: folder, .init(defaultModel: "a")) { daemon async throws in
        let connection = try RawConnection(daemon.socketPath)
        let body = #"{"prompt":"p","model":"b"}"#
        try await connection.send(
          "POST \(Route.imageGenerations) HTTP/1.1\r\nHost: x\r\nContent-Type: application/json"
            + "\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
        var answer = ""
        while !answer.hasSuffix("}") {
          let bytes = try await connection.receive()
          try #require(!bytes.isEmpty, "the connection ended")
          answer += String(decoding: bytes, as: UTF8.self)
        }
        #expect(answer.hasPrefix("HTTP/1.1 200"))
        try FileManager.default.removeItem(atPath: own + "/b")
        #expect(try await eventually { try await list(daemon).map(\.id) == ["a"] })
        connection.hangUp()
      }
    }
  }

  /// A package that cannot be used says why, under a name of its own, and harms nobody.
  @Test func brokenPackagesHarmNobody() async throws {
    try await TemporaryFolder.with { folder async throws in
      let (own, system) = (folder + "/own", folder + "/system")
      try Self.put("a", at: system + "/a")
      try Self.put("x", at: own + "/one")
      try Self.put("x", at: own + "/two")
      for (name, text) in [("a", "[["), ("empty", "")] {
        try FileManager.default.createDirectory(
          atPath: "\(own)/\(name)", withIntermediateDirectories: true)
        try Data(text.utf8).write(to: URL(filePath: "\(own)/\(name)/model.json"))
      }
      try await serving([own, system], in: folder) { daemon async throws in
        let models = try await list(daemon)
        #expect(models.map(\.id) == ["\(own)/a", "a", "empty", "two", "x"])
        #expect(models.map(\.state) == [.failed, .closed, .failed, .failed, .closed])
        #expect(models.allSatisfy { ($0.status == .unavailable) == ($0.reason != nil) })
        #expect(models[0].reason?.contains("\(own)/a/model.json") == true)
        #expect(models[3].reason?.contains("both called") == true)
        for name in ["a", "x"] { #expect(try await draw(name, daemon).status == 200) }
        let refused = try await draw("empty", daemon)
        #expect(refused.status == 503 && refused.code == "model_unavailable")
        // Mending it is enough.
        try Self.put("empty", at: own + "/empty")
        #expect(try await draw("empty", daemon).status == 200)
      }
    }
  }

  /// A user's own model hides the system's of that name, for as long as it is there, and another
  /// package in its place is another model.
  @Test func theFirstFolderWins() async throws {
    try await TemporaryFolder.with { folder async throws in
      let (own, system) = (folder + "/own", folder + "/system")
      try Self.put("a", at: system + "/a", version: "of the system")
      try await serving([own, system], in: folder) { daemon async throws in
        #expect(try await draw("a", daemon).status == 200)
        for version in ["of the user", "of the user, later"] {
          try? FileManager.default.removeItem(atPath: own + "/mine")
          try Self.put("a", at: own + "/mine", version: version)
          #expect(try await list(daemon).map(\.version) == [version])
          #expect(try await list(daemon).map(\.state) == [.closed])
          #expect(try await draw("a", daemon).status == 200)
        }
        try FileManager.default.removeItem(atPath: own)
        #expect(try await list(daemon).map(\.version) == ["of the system"])
      }
    }
  }

  /// While nothing changes, nothing is read again; whatever changes shows.
  @Test func aStampTellsOfChanges() async throws {
    try await TemporaryFolder.with { folder async throws in
      let folders = ModelFolders(others: [folder + "/none", folder])
      let nothing = try #require(folders.stamp())
      try Self.put("a", at: folder + "/a")
      // It is new: what is written now could leave the same times.
      #expect(folders.stamp() == nil)
      #expect(await eventually { folders.stamp() != nil })
      let settled = folders.stamp()
      #expect(settled != nothing && settled == folders.stamp())
      try Self.put("a", at: folder + "/a", version: "2")
      #expect(folders.stamp() == nil)
      try FileManager.default.removeItem(atPath: folder + "/a")
      #expect(folders.stamp() == nothing)
    }
  }
}
