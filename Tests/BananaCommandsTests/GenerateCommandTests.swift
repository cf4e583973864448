import ArgumentParser
import BananaAPI
import BananaTesting
import Diffusion
import FoundationEssentials
import Models
import Serving
import Testing

@testable import BananaCommands

@Suite(.timeLimit(.minutes(5))) struct GenerateCommandTests {
  private func run(_ arguments: [String]) async throws {
    var command = try BananaCommand.parseAsRoot(arguments)
    if var command = command as? any AsyncParsableCommand {
      try await command.run()
    } else {
      try command.run()
    }
  }

  @Test func writesOneFile() async throws {
    let engine = FakeEngine()
    try await TestDaemon.serving(engine) { daemon async throws in
      try await TemporaryFolder.with { folder async throws in
        let file = folder + "/apple.png"
        try await run([
          "generate", "a red apple", "--style", "flat", "--size", "256", "--steps", "3", "--seed",
          "9", "--guidance", "2", "--clip-skip", "1", "--background", "opaque", "-o", file,
          "--socket", daemon.socketPath,
        ])
        let bytes = try #require(FileManager.default.contents(atPath: file))
        #expect(Array(bytes.prefix(8)) == TestPattern.signature)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["apple.png"])
        let request = try #require(engine.record.requests.first)
        #expect(request.prompt == "a red apple")
        #expect(request.style == "flat")
        #expect(request.size.description == "256x256")
        #expect(request.steps == 3 && request.seed == 9 && request.guidance == 2)
        #expect(request.clipSkip == 1)
        #expect(request.background == .opaque)
      }
    }
  }

  @Test func writesSeveralFiles() async throws {
    try await TestDaemon.serving { daemon async throws in
      try await TemporaryFolder.with { folder async throws in
        try await run([
          "generate", "p", "--count", "3", "-o", folder + "/out.png", "--json", "--socket",
          daemon.socketPath,
        ])
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(files == ["out-1.png", "out-2.png", "out-3.png"])
      }
    }
  }

  @Test(
    arguments: [
      (["generate", "p", "--socket", "/tmp/no-banana-here.sock"], 69),
      (["status", "--socket", "/tmp/no-banana-here.sock"], 69),
      (["model", "list", "--socket", "/tmp/no-banana-here.sock"], 69),
      (["generate", "p", "--count", "0"], 64), (["generate", "p", "--clip-skip", "13"], 64),
      (["generate", "p", "--background", "red"], 64),
      (["generate"], 64), (["generate", "p", "--local", "--socket", "/x"], 64),
      (["generate", "p", "--models", "m"], 64), (["paint"], 64),
    ] as [([String], Int32)])
  func exitsWithTheRightCode(_ arguments: [String], _ code: Int32) async throws {
    await #expect {
      try await run(arguments)
    } throws: { error in
      BananaCommand.exitCode(for: error).rawValue == code
    }
  }

  @Test func reportsWhatTheDaemonRefuses() async throws {
    try await TestDaemon.serving { daemon async throws in
      let socket = ["--socket", daemon.socketPath]
      for arguments in [
        ["generate", "p", "--style", "cubist"], ["generate", " "],
        ["generate", "p", "--size", "300", "--strict-size"], ["generate", "<lora:a:1>"],
        ["generate", "p", "--model", "not-here"],
      ] {
        await #expect {
          try await run(arguments + socket)
        } throws: { error in
          (error as? ExitCode)?.rawValue == 64
        }
      }
      await #expect {
        try await run(["generate", "p", "-o", "/nowhere/at/all.png"] + socket)
      } throws: { error in
        (error as? ExitCode)?.rawValue == 1
      }
    }
  }

  @Test(.enabled(if: SmallDisk.isAvailable))
  func aFullDiskGetsNoHalfPicture() async throws {
    let disk = try SmallDisk(bytes: 64 << 10)
    try await TestDaemon.serving(FakeEngine(drawsPixels: true)) { daemon async throws in
      let arguments = [
        "generate", "p", "-o", disk.path + "/apple.png", "--socket", daemon.socketPath,
      ]
      for room in [0, 4 << 10] {
        try disk.fill(butFor: room)
        await #expect {
          try await run(arguments)
        } throws: { error in
          (error as? ExitCode)?.rawValue == 1
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == ["filler"])
        disk.makeRoom()
      }
    }
    do {
      try disk.fill(butFor: 0)
      let path = disk.path + "/apple.png"
      try WritableFile.write(Data(count: 9000), to: path, named: path)
      Issue.record("9000 bytes fit on a full disk")
    } catch let failure as Failure {
      #expect(failure.message.contains("there is no space left"))
      #expect(failure.message.contains("choose another file with -o"))
    }
  }

  @Test func showsStatusAndModels() async throws {
    try await TestDaemon.serving { daemon async throws in
      for arguments in [
        ["status"], ["status", "--json"], ["model", "list"], ["model", "list", "--json"],
      ] {
        try await run(arguments + ["--socket", daemon.socketPath])
      }
    }
  }
}
