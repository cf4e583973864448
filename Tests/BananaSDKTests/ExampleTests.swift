import BananaTesting
import FoundationEssentials
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The example app, as it is built.
@Suite(.timeLimit(.minutes(5))) struct ExampleTests {
  @Test func drawsIntoAFile() async throws {
    let products = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let example = URL(filePath: products).deletingLastPathComponent().path + "/Draw"
    try await TestDaemon.serving { daemon async throws in
      let file = daemon.socketPath + ".png"
      let environment = ["BANANA_SOCKET=\(daemon.socketPath)"]
      var pid = pid_t()
      let arguments: [UnsafeMutablePointer<CChar>?] =
        [example, "a rocket", file].map { (text: String) in strdup(text) } + [nil]
      let variables: [UnsafeMutablePointer<CChar>?] =
        environment.map { (text: String) in strdup(text) } + [nil]
      defer { for text in arguments + variables { free(text) } }
      try #require(posix_spawn(&pid, example, nil, nil, arguments, variables) == 0)
      var status: Int32 = -1
      #expect(await eventually { waitpid(pid, &status, WNOHANG) == pid })
      #expect(status == 0)
      let picture = try #require(FileManager.default.contents(atPath: file))
      #expect(Array(picture.prefix(8)) == TestPattern.signature)
    }
  }
}
