import BananaTesting
import FoundationEssentials
import Serving
import Testing

@Suite struct UserNamespaceTests {
  @Test(arguments: [
    ("         0          0 4294967295\n", false), ("0 1000 1\n", true),
    ("0 1000 1\n1 100000 65536\n", true), ("0 0 65536\n65536 65536 4294901759\n", false),
    ("", true), ("rubbish\n", true),
  ])
  func readsWhatIsMapped(_ map: String, isPartial: Bool) async throws {
    try await TemporaryFolder.with { folder in
      for directory in ["/self", "/sys/kernel"] {
        try FileManager.default.createDirectory(
          atPath: folder + directory, withIntermediateDirectories: true)
      }
      try Data(map.utf8).write(to: URL(filePath: folder + "/self/uid_map"))
      try Data("65533\n".utf8).write(to: URL(filePath: folder + "/sys/kernel/overflowuid"))
      let namespace = UserNamespace(procRoot: folder)
      #expect(namespace == UserNamespace(overflowUID: 65_533, isPartial: isPartial))
    }
    #expect(
      UserNamespace(procRoot: "/nonexistent")
        == UserNamespace(overflowUID: 65_534, isPartial: false))
  }
}
