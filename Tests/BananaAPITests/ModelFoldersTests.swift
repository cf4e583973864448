import BananaAPI
import BananaTesting
import FoundationEssentials
import Testing

@Suite struct ModelFoldersTests {
  private let shipped = ["models", "/usr/share/banana/models"]

  private func standard(
    _ environment: [String: String], home: String?, isSystem: Bool = false,
    executable: String? = nil
  ) -> [String] {
    ModelFolders.standard(
      environment: environment, home: home, isSystem: isSystem, executable: executable
    ).paths
  }

  @Test func whereModelsAreWhenNobodySaysSo() {
    let system = ["/var/lib/banana/models"] + shipped
    #expect(standard([:], home: nil) == system && standard([:], home: "/") == system)
    #expect(standard([:], home: "/home/u") == ["/home/u/.local/share/banana/models"] + system)
    #expect(
      standard(["XDG_DATA_HOME": "/d"], home: "/home/u") == ["/d/banana/models"] + system)
    #expect(
      standard(["XDG_DATA_HOME": "d"], home: "/home/u")
        == ["/home/u/.local/share/banana/models"] + system)
    #expect(
      standard(["XDG_DATA_HOME": "/d"], home: "/root", isSystem: true) == system)
  }

  /// What the variable names takes the place of what came with Banana, for whoever asks.
  @Test func aVariableNamesWhatComesWithBanana() {
    for isSystem in [false, true] {
      let folders = ModelFolders.standard(
        environment: ["BANANA_MODELS": "/x:/y"], home: "/home/u", isSystem: isSystem,
        executable: "/opt/bin/banana")
      #expect(folders.others == ["/x", "/y"])
      #expect(folders.system == "/var/lib/banana/models")
      #expect((folders.user == nil) == isSystem)
    }
    #expect(standard(["BANANA_MODELS": ""], home: nil) == standard([:], home: nil))
    #expect(ModelFolders(named: "/a:/b") == ModelFolders(others: ["/a", "/b"]))
  }

  @Test func whatIsInstalledIsBesideTheProgram() async throws {
    try await TemporaryFolder.with { folder async throws in
      let program = folder + "/bin/banana"
      #expect(InstalledData.folder("models", executable: program) == "models")
      let models = folder + "/share/banana/models"
      try FileManager.default.createDirectory(
        atPath: models, withIntermediateDirectories: true)
      #expect(InstalledData.folder("models", executable: program) == models)
      #expect(InstalledData.folder("peels", executable: program) == "peels")
      #expect(standard([:], home: nil, executable: program).contains(models))
    }
  }

  @Test func packagesAreFoldersWithAManifest() async throws {
    try await TemporaryFolder.with { folder async throws in
      for name in ["/b", "/a", "/.unfinished", "/empty"] {
        try FileManager.default.createDirectory(
          atPath: folder + name, withIntermediateDirectories: true)
        if name == "/empty" { continue }
        try Data("{}".utf8).write(to: URL(filePath: folder + name + "/model.json"))
      }
      #expect(ModelFolders.packages(in: folder) == [folder + "/a", folder + "/b"])
      #expect(ModelFolders.packages(in: folder + "/a") == [folder + "/a"])
      #expect(ModelFolders.packages(in: folder + "/none") == [])
    }
  }

  @Test func aHomeIsNamedOrKnown() {
    #expect(HomeFolder.path(environment: ["HOME": "/home/u"], userID: 0) == "/home/u")
    #expect(HomeFolder.path(environment: ["HOME": ""], userID: 0)?.hasPrefix("/") == true)
    #expect(HomeFolder.path(environment: [:], userID: 4_000_000_007) == nil)
  }
}
