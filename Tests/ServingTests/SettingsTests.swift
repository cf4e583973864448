import BananaTesting
import FoundationEssentials
import Logging
import Serving
import Testing

@Suite struct SettingsTests {
  private static func read(_ text: String) async throws -> Settings {
    try await TemporaryFolder.with { folder async throws in
      let path = folder + "/c.json"
      try Data(text.utf8).write(to: URL(filePath: path))
      return try Settings(contentsOf: path)
    }
  }

  @Test func readsEverySetting() async throws {
    let settings = try await Self.read(
      #"""
      {"socket": "/a", "admin_socket": "/b", "state": "/c", "models": "/d",
       "threads": 3, "batch": 2, "log_level": "debug", "queue_capacity": 7, "ageing_seconds": 1.5,
       "requests_per_minute": 8, "concurrent_jobs": 9, "queue_share": 0.25, "pixels_per_day": 0,
       "result_seconds": 11, "result_bytes": 12, "edit_pixels": 13,
       "pace": 0.5, "peels_per_user": 15, "peel_bytes_per_user": 16, "peel_bytes_total": 17,
       "model_aliases": {"dall-e-3": "sticker"},
       "turn_seconds": 0.25, "waiting_image_bytes": 2000000,
       "idle_timeout_seconds": 14, "default_model": "sticker"}
      """#)
    #expect(settings.socket == "/a" && settings.adminSocket == "/b")
    #expect(settings.stateDirectory == "/c" && settings.modelsDirectory == "/d")
    #expect(settings.daemon.defaultModel == "sticker" && settings.threads == 3)
    #expect(settings.daemon.limits.batch == 2 && settings.logLevel == .debug)
    #expect(settings.daemon.waitingJobs == 7 && settings.daemon.ageing == .milliseconds(1500))
    #expect(
      settings.daemon.quotas
        == Quotas(requestsPerMinute: 8, concurrentJobs: 9, queueShare: 0.25, pixelsPerDay: 0))
    #expect(settings.daemon.resultSeconds == 11 && settings.daemon.resultBytes == 12)
    #expect(settings.daemon.editBodyBytes == 52 + 65536 && settings.daemon.editPixels == 13)
    #expect(settings.daemon.idleTimeout == .seconds(14))
    #expect(settings.daemon.limits.pace == 0.5)
    #expect(settings.daemon.turn == .milliseconds(250))
    #expect(settings.daemon.waitingImageBytes == 2_000_000)
    #expect(settings.daemon.modelAliases == ModelAliases(["dall-e-3": "sticker"]))
    #expect(settings.daemon.peelLimits == .init(peels: 15, bytes: 16, totalBytes: 17))
    #expect(try await Self.read("{}") == Settings())
  }

  @Test(arguments: [
    ("que_capacity", "queue_capacity"), ("sokcet", "socket"),
    ("LOG_LEVEL", "log_level"), ("requests_per_hour", "requests_per_minute"),
  ])
  func refusesUnknownNamesWithTheNearest(_ name: String, _ nearest: String) async throws {
    let error = await #expect(throws: SettingsError.self) {
      try await Self.read(#"{"\#(name)": 1}"#)
    }
    guard case .unknown(_, name, let found) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(found == nearest)
    #expect("\(error!)".contains("Did you mean"))
  }

  @Test(arguments: [
    ("socket", "1"), ("socket", "\"\""), ("queue_capacity", "0"), ("queue_capacity", "1.5"),
    ("queue_capacity", "\"8\""), ("queue_share", "1.1"), ("queue_share", "true"),
    ("log_level", "\"loud\""), ("ageing_seconds", "0"), ("threads", "null"),
    ("peels_per_user", "10001"), ("peel_bytes_per_user", "-1"), ("pace", "0"), ("pace", "1.5"),
    ("pixels_per_day", "-1"), ("default_model", "[]"),
    ("model_aliases", "[]"), ("model_aliases", "{\"a\": 1}"), ("model_aliases", "{\"\": \"b\"}"),
    ("queue_capacity", "1e999"), ("threads", "99999999999999999999"), ("pace", "-1e999"),
  ])
  func saysWhatAValueMustBe(_ name: String, _ value: String) async throws {
    let error = await #expect(throws: SettingsError.self) {
      try await Self.read(#"{"\#(name)": \#(value)}"#)
    }
    guard case .wrong(_, name, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect("\(error!)".contains("\(name) must be "))
  }

  @Test func refusesAnAliasOfNothing() async throws {
    let settings = try await Self.read(
      #"{"model_aliases": {"dall-e-3": "sticker", "gpt-image-1": "stiker"}}"#)
    let error = #expect(throws: SettingsError.self) {
      try settings.checkModels(installed: ["sticker"], path: "/c.json")
    }
    #expect(
      error
        == .alias(
          path: "/c.json",
          .standsForNothing(alias: "gpt-image-1", model: "stiker", installed: ["sticker"])))
    #expect("\(error!)".contains("Installed: sticker."))
    try settings.checkModels(installed: ["sticker", "stiker"], path: "/c.json")
    try settings.checkModels(installed: [], path: "/c.json")
    #expect(throws: SettingsError.alias(path: "/c.json", .hidesModel(alias: "dall-e-3"))) {
      try settings.checkModels(installed: ["dall-e-3", "sticker"], path: "/c.json")
    }
  }

  @Test func refusesADefaultThatIsNotThere() async throws {
    let settings = try await Self.read(#"{"default_model": "stiker"}"#)
    let error = #expect(throws: SettingsError.self) {
      try settings.checkModels(installed: ["sticker"], path: "/c.json")
    }
    #expect(
      error == .defaultModel(path: "/c.json", model: "stiker", installed: ["sticker"]))
    #expect("\(error!)".contains("Installed: sticker."))
    try settings.checkModels(installed: ["sticker", "stiker"], path: "/c.json")
    try settings.checkModels(installed: [], path: "/c.json")
  }

  @Test(arguments: Setting.removed.keys) func saysWhatIsGone(_ name: String) async throws {
    #expect(!Setting.all.contains { $0.name == name })
    let error = await #expect(throws: SettingsError.self) {
      try await Self.read(#"{"\#(name)": 1}"#)
    }
    guard case .removed(_, name, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect("\(error!)".contains("is gone") && "\(error!)".contains("Remove it."))
  }

  @Test func refusesFilesThatAreNone() async throws {
    #expect(throws: SettingsError.unreadable(path: "/nowhere/c.json")) {
      try Settings(contentsOf: "/nowhere/c.json")
    }
    for text in ["", "[]", "{", "socket: x"] {
      await #expect(throws: SettingsError.self) { try await Self.read(text) }
    }
  }

  @Test func knowsWhatNeedsARestart() async throws {
    let new = try await Self.read(
      #"{"socket": "/x", "queue_capacity": 3, "log_level": "error", "threads": 9}"#)
    #expect(Settings().needingRestart(to: new) == ["socket", "threads"])
  }

  @Test func isDocumented() throws {
    let text = try Documents.read("configuration.md")
    for setting in Setting.all {
      #expect(text.contains("`\(setting.name)`"), "docs/configuration.md lacks \(setting.name)")
      #expect(
        text.contains(setting.help), "docs/configuration.md explains \(setting.name) otherwise")
    }
  }
}
