import ArgumentParser
import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Serving
import Testing

@testable import BananaCommands

@Suite(.timeLimit(.minutes(5))) struct PeelCommandTests {
  private func run(_ arguments: [String]) async throws {
    var command = try BananaCommand.parseAsRoot(arguments)
    if var command = command as? any AsyncParsableCommand {
      try await command.run()
    } else {
      try command.run()
    }
  }

  @Test func installsUsesAndRemoves() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      let file = daemon.socketPath + " Pixel_Art.safetensors"
      try Data(TestPeel.bytes()).write(to: URL(filePath: file))
      let socket = ["--socket", daemon.socketPath]
      try await run(["peel", "install", file, "--name", "pixel-art"] + socket)
      try await run(["peel", "install", file, "--name", "other", "--json"] + socket)
      for arguments in [["list"], ["list", "--json"], ["show", "pixel-art"]] {
        try await run(["peel"] + arguments + socket)
      }
      let output = daemon.socketPath + ".png"
      try await run(
        [
          "generate", "p", "--peel", "pixel-art:0.5", "--peel", "other", "-o", output,
          "--priority", "background", "--no-provenance",
        ] + socket)
      let request = try #require(engine.record.requests.first)
      #expect(request.peels.map(\.name) == ["pixel-art", "other"])
      #expect(request.peels.map(\.strength) == [0.5, 1])
      #expect(!request.marksProvenance)
      try await run(["peel", "remove", "pixel-art", "--wait", "0"] + socket)
      await #expect {
        try await run(["peel", "show", "pixel-art"] + socket)
      } throws: { ($0 as? ExitCode)?.rawValue == 64 }
      try await run(["jobs"] + socket)
      try await run(["jobs", "list", "--json"] + socket)
      await #expect {
        try await run(["jobs", "cancel", "none"] + socket)
      } throws: { ($0 as? ExitCode)?.rawValue == 64 }
    }
  }

  @Test func changesAPicture() async throws {
    let engine = FakeEngine(drawsPixels: true)
    try await TestDaemon.serving(engine) { daemon async throws in
      let first = daemon.socketPath + ".png"
      let second = daemon.socketPath + "-2.png"
      let socket = ["--socket", daemon.socketPath, "--size", "256"]
      try await run(["generate", "p", "-o", first] + socket)
      try await run(
        ["generate", "p", "--image", first, "--strength", "0.5", "-o", second] + socket)
      #expect(engine.record.requests.last?.strength == 0.5)
      #expect(FileManager.default.fileExists(atPath: second))
    }
  }

  @Test(arguments: [
    ["generate", "p", "--peel", "a:b"], ["generate", "p", "--peel", "A"],
    ["generate", "p", "--peel", "a:9"], ["generate", "p", "--peel", "a:1:1"],
    ["generate", "p", "--mask", "m.png"], ["generate", "p", "--strength", "0.5"],
    ["generate", "p", "--image", "i.png", "--strength", "0"],
    ["generate", "p", "--priority", "high"], ["generate", "p", "--peels", "d"],
    ["generate", "p", "--image", "/nowhere.png"], ["peel", "install"],
    ["peel", "install", "/nowhere.safetensors", "--socket", "/tmp/no-banana-here.sock"],
  ])
  func refusesWhatIsWrong(_ arguments: [String]) async {
    await #expect {
      try await run(arguments)
    } throws: { BananaCommand.exitCode(for: $0).rawValue == 64 }
  }

  @Test func namesAPeelByItsFile() {
    #expect(PeelInstallCommand.name(for: "/a/My Peel v2.safetensors") == "my-peel-v2")
    #expect(PeelInstallCommand.name(for: "_x.SafeTensors") == "x")
    #expect(PeelInstallCommand.name(for: "x.bin") == "x.bin")
  }

  @Test func showsPeelsInLines() {
    let peel = PeelInfo(
      name: "a", scope: .shipped, bytes: 2049, sha256: "ff", rank: 8, targets: 30,
      installedAt: nil, title: "T\u{1B}[31m", triggerWords: ["w"], license: "MIT",
      baseModel: "m", metadata: ["k": String(repeating: "v", count: 101)])
    #expect(PeelText.table([peel]) == "a  shipped  rank 8  3 KiB  T [31m  \"w\"")
    let details = PeelText.details(peel)
    #expect(!details.contains("\u{1B}"))
    #expect(details.contains("changes   30 weights, rank 8"))
    #expect(details.hasSuffix("vvv…"))
  }
}
