import BananaTesting
import Foundation
import Glibc
import Imaging
import Testing

/// The programs themselves, on systems that lack something: one line says what to do, and the exit
/// code is that of README.md.
@Suite(.serialized, .timeLimit(.minutes(10))) struct ProgramTests {
  private struct Outcome {
    var status: Int32
    var output: Data
    var errors: String

    var lines: Int { errors.split(separator: "\n").count }
  }

  private static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  /// Where the tests' own program is, and with it what they depend on.
  private static let folder = URL(
    filePath: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
  ).deletingLastPathComponent().path

  /// Runs a line of bash; `banana` and `bananad` are the built ones, `$TINY` is a model.
  private func run(
    _ script: String, _ environment: [String: String] = [:]
  ) async throws -> Outcome {
    // On a thread of its own: the tests' threads serve other tests meanwhile.
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(with: Result { try Self.finished(script, environment) })
      }
    }
  }

  private static func finished(
    _ script: String, _ environment: [String: String]
  ) throws -> Outcome {
    let errors = FileManager.default.temporaryDirectory.appending(
      path: "banana-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: errors) }
    _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
    let process = Process()
    let output = Pipe()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = ["-c", script]
    process.environment = [
      "PATH": "\(folder):/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8",
      "TINY": root.appending(path: "Tests/Fixtures/goldens/tiny").path,
    ].merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    let bytes = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: bytes,
      errors: String(decoding: try Data(contentsOf: errors), as: UTF8.self))
  }

  private static let draw = "banana generate 'red apple' --local --models $TINY"

  @Test func standardStreamsCarryPicturesAndPrompts() async throws {
    let drawn = try await run(Self.draw + " --seed 3 --no-provenance -o -")
    #expect(drawn.status == 0, "\(drawn.errors)")
    #expect(drawn.output.starts(with: TestPattern.signature))
    #expect(drawn.errors.contains("seed 3"))
    let same = try await run(
      "echo 'red apple' | banana generate - --local --models $TINY --seed 3 --no-provenance "
        + "--json -o /dev/stdout")
    #expect(same.output == drawn.output && same.errors.contains("\"seed\" : 3"), "\(same.errors)")
    let changed = try await run(
      Self.draw + " -o - 2>/dev/null | " + Self.draw + " --image - --strength 0.5 -o - | cat")
    #expect(changed.output.starts(with: TestPattern.signature), "\(changed.errors)")
    let substituted = try await run(Self.draw + " -o >(head -c 4 | tail -c 3)")
    #expect(String(decoding: substituted.output, as: UTF8.self).contains("PNG"))
    for script in [
      "echo p | banana generate - --image - --local", "echo | banana generate - --local",
      "echo 'no picture' | banana generate p --image - --local",
      "printf '\\xff' | banana generate - --local",
    ] { #expect(try await run(script).status == 64, "\(script)") }
  }

  @Test(arguments: [
    "--seed 18446744073709551616", "--seed x", "--guidance nan", "--guidance inf",
    "--guidance 1e999", "--guidance=-1", "--steps 99999999999999999999", "--steps 0", "--count 11",
    "--count 0x1", "--image a.png --strength nan", "--image a.png --strength 0", "--peel a:nan",
    "--peel a:1e999",
  ])
  func numbersAreOfTheirRange(option: String) async throws {
    let outcome = try await run(Self.draw + " " + option)
    #expect(outcome.status == 64 && outcome.errors.contains("between"), "\(outcome.errors)")
  }

  @Test func theDaemonsNumbersAreOfTheirRange() async throws {
    for option in ["--queue 99999999999999999999", "--threads 0", "--thermal-clock-rate nan"] {
      let outcome = try await run("bananad " + option)
      #expect(outcome.status == 64 && outcome.errors.contains("between"), "\(outcome.errors)")
    }
  }

  @Test(arguments: ["banana", "bananad", "banana generate"], ["--help", "-h"])
  func helpIsForAsking(program: String, option: String) async throws {
    let outcome = try await run(program + " " + option)
    #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    #expect(String(decoding: outcome.output, as: UTF8.self).contains("USAGE: \(program)"))
  }

  @Test func fewDescriptorsAreEnoughOrSaid() async throws {
    let client = try await run("ulimit -n 16; banana status --socket /tmp/no-banana-here.sock")
    #expect(client.status == 69 && client.errors.contains("No bananad is serving"))
    let none = try await run("ulimit -n 10; banana status")
    #expect(none.status == 1 && none.lines == 1 && none.errors.contains("ulimit -n 14"))
    let daemon = try await run("ulimit -n 16; bananad --socket /tmp/never-made.sock")
    #expect(daemon.status == 1 && daemon.lines == 1 && daemon.errors.contains("ulimit -n"))
    let local = try await run("ulimit -n 16; " + Self.draw + " -o -")
    #expect(local.status == 69 && local.errors.contains("ulimit -n"), "\(local.errors)")
  }

  /// Root may start as many as it likes, so this is somebody else.
  @Test(.enabled(if: geteuid() == 0)) func fewThreadsAreSaid() async throws {
    let other = "ulimit -u 1; exec setpriv --reuid=61234 --regid=61234 --clear-groups"
    for (name, command) in [("banana", "status"), ("bananad", "")] {
      let outcome = try await run("cd /; \(other) $(command -v \(name)) \(command)")
      #expect(outcome.status == 1 && outcome.lines == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains("\(name): Only ") && outcome.errors.contains("ulimit -u"))
    }
  }

  @Test(.enabled(if: geteuid() == 0)) func aUserWithoutAHomeIsToldWhatToGive() async throws {
    let other = "env -i setpriv --reuid=61234 --regid=61234 --clear-groups $(command -v bananad)"
    let homeless = try await run(other + " --socket /tmp/never-made.sock")
    #expect(homeless.status == 64 && homeless.lines == 1, "\(homeless.errors)")
    #expect(homeless.errors.contains("Give --state DIR"))
    let placeless = try await run(other + " --state /tmp/never-made")
    #expect(placeless.status == 64 && placeless.lines == 1, "\(placeless.errors)")
    #expect(placeless.errors.contains("Give --socket PATH"))
  }

  @Test func drawsWithoutAHomeAndRuntimeFolder() async throws {
    let outcome = try await run(
      "env -i TINY=$TINY $(command -v banana) generate p --local --models $TINY -o -")
    #expect(outcome.status == 0 && outcome.output.starts(with: TestPattern.signature))
  }

  @Test func socketPathsThatAreTooLongAreSaid() async throws {
    let long = "/tmp/" + String(repeating: "x", count: 120)
    for script in [
      "banana status --socket \(long)", "bananad --socket \(long)",
      "BANANA_SOCKET=\(long) banana generate p -o -",
    ] {
      let outcome = try await run(script)
      #expect(outcome.status == 64 && outcome.lines == 1, "\(outcome.errors)")
      #expect(outcome.errors.contains("has 125 bytes and Linux takes at most 107"))
    }
    #expect(try await run("banana status --socket ''").status == 64)
    // A private daemon finds a shorter place.
    let folder = "/tmp/" + String(repeating: "y", count: 120)
    let local = try await run(
      "mkdir -p \(folder); TMPDIR=\(folder) \(Self.draw) -o -; rmdir \(folder)")
    #expect(local.output.starts(with: TestPattern.signature), "\(local.errors)")
    for place in ["/nonexistent", "/proc"] {
      let outcome = try await run("TMPDIR=\(place) \(Self.draw) -o -")
      #expect(outcome.status == 1 && outcome.errors.contains("Set TMPDIR"), "\(outcome.errors)")
      #expect(outcome.lines == 1)
    }
  }

  @Test func outputThatGoesNowhereIsSaid() async throws {
    try await TestDaemon.serving { daemon async throws in
      let status = "banana status --socket \(daemon.socketPath)"
      let cases = [
        (status + " > /dev/full", "no space left"), (status + " >&-", "it is closed"),
        ("exec 3> >(true); sleep 0.3; \(status) >&3", "whoever read it has gone"),
      ]
      for (script, words) in cases {
        let outcome = try await run(script)
        #expect(outcome.status == 1 && outcome.lines == 1, "\(script): \(outcome.errors)")
        #expect(outcome.errors.contains(words), "\(script): \(outcome.errors)")
      }
      // No socket and no file gets the number of what is closed.
      #expect(try await run(status + " <&- 2>&-").status == 0)
    }
  }

  @Test func aSimpleTerminalGetsPlainText() async throws {
    let script = "script -qec \"\(Self.draw) --preview -o /dev/null\" /dev/null"
    let dumb = try await run(script, ["TERM": "dumb"])
    let text = String(decoding: dumb.output, as: UTF8.self)
    #expect(dumb.status == 0 && !text.contains("\u{1B}"), "\(text)")
    #expect(text.contains("--preview is left out") && text.contains("seed"))
    let able = String(decoding: try await run(script, ["TERM": "xterm"]).output, as: UTF8.self)
    #expect(able.contains("\u{1B}[K"))
    let refused = try await run(
      "script -qec \"\(Self.draw) -o -\" /dev/null", ["TERM": "dumb"])
    #expect(refused.status == 64)
  }

  @Test func namesThatAreNoUTF8AreSaid() async throws {
    let outcome = try await run(Self.draw + " -o /tmp/$'caf\\xe9'.png")
    #expect(outcome.status == 64 && outcome.lines == 1, "\(outcome.errors)")
    #expect(outcome.errors.contains("is not valid UTF-8"))
  }

  /// Of 50 MB of f32, and more on the way, no more than bands are ever in memory; debug builds are
  /// too slow for the 8192x8192 pixels that `banana-bench rows` makes by itself.
  @Test func aLargePictureIsNeverWhole() async throws {
    let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).png")
    defer { try? FileManager.default.removeItem(at: file) }
    let outcome = try await run(
      "banana-bench rows --width 512 --height 8192 --output \(file.path)")
    let text = String(decoding: outcome.output, as: UTF8.self)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let words = text.split(whereSeparator: \.isWhitespace)
    let growth = try #require(
      words.firstIndex(of: "by").flatMap { Int(words[$0 + 1]) }, "\(text)")
    #expect(0..<20_000 ~= growth, "\(text)")
    let pixels = try PNG.decode([UInt8](Data(contentsOf: file)))
    #expect(pixels.width == 512 && pixels.height == 8192 && pixels.isOpaque)
    #expect(pixels[0, 8191] == pixels[3, 8188] && pixels[0, 0] != pixels[511, 8191])
  }
}
