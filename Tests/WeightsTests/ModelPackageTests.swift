import Foundation
import TensorTypes
import Testing

@testable import Weights

/// A small package in a folder, whose parts tests change before it is opened.
struct PackageFixture {
  let folder: TemporaryFolder
  var files: [String: [UInt8]]
  /// The members of model.json as JSON texts.
  var members: [String: String]

  init() throws {
    folder = try TemporaryFolder()
    files = [
      "vocab.txt": Array("[UNK]\n[CLS]\n[SEP]\n".utf8),
      "denoiser.safetensors": SafetensorsWriter.bytes(
        Quantization(rows: 16, columns: 32, seed: 1).int8Tensors("w")),
    ]
    members = [
      "formatVersion": "2", "name": "\"sticker\"", "family": "\"sticker-dit\"",
      "version": "\"0.1.0\"", "description": "\"Draws.\"", "unknownMember": "[null, {}]",
      "licenses": "[{\"what\": \"text\", \"license\": \"MIT\", \"source\": \"here\"}]",
      "weights": "{\"denoiser\": [\"denoiser.safetensors\"]}",
      "configuration": "{\"denoiser\": {\"width\": 384, \"ropeBase\": 1e2}}",
    ]
    members["files"] = filesMember
  }

  /// What model.json has to say of `files`.
  var filesMember: String {
    let entries = files.sorted { $0.key < $1.key }.map { name, bytes in
      let sum = bytes.withUnsafeBytes { ModelPackage.checksum(of: $0) }
      return "\"\(name)\": {\"sha256\": \"\(sum)\", \"bytes\": \(bytes.count)}"
    }
    return "{\(entries.joined(separator: ", "))}"
  }

  var manifestText: String {
    "{\(members.sorted { $0.key < $1.key }.map { "\"\($0)\": \($1)" }.joined(separator: ",\n"))}"
  }

  func write() throws {
    for (name, bytes) in files { try folder.write(bytes, to: name) }
    try folder.write(Array(manifestText.utf8), to: "model.json")
  }

  func open(
    _ verification: ModelPackage.Verification = .checksums
  ) throws(ModelPackageError) -> ModelPackage {
    try ModelPackage(path: folder.path, verification: verification)
  }

  var error: ModelPackageError? {
    do throws(ModelPackageError) {
      _ = try open()
      return nil
    } catch { return error }
  }

  func path(_ name: String) -> String { folder.path + "/" + name }
}

@Suite struct ModelPackageTests {
  private struct Configuration: Decodable {
    struct Denoiser: Decodable {
      let width: Int
      let ropeBase: Float
    }
    let denoiser: Denoiser
  }

  @Test func wholePackagesAreOpened() throws {
    let fixture = try PackageFixture()
    try fixture.write()
    let package = try fixture.open()
    #expect(package.manifest.name == "sticker")
    #expect(package.manifest.weights == ["denoiser": ["denoiser.safetensors"]])
    #expect(package.manifest.byteCount == fixture.files.values.reduce(0) { $0 + $1.count })
    #expect(package.manifest.licenses.first?.license == "MIT")
    #expect(try Array(package.file(named: "vocab.txt").bytes) == fixture.files["vocab.txt"])
    let configuration = try package.configuration(as: Configuration.self)
    #expect(configuration.denoiser.width == 384 && configuration.denoiser.ropeBase == 100)
    #expect(
      String(decoding: package.configurationJSON, as: UTF8.self)
        == fixture.members["configuration"])
    let weights = try package.weights(named: "denoiser")
    #expect(try weights.weight(named: "w", logicalShape: [16, 32]).format == .int8)
    #expect(
      throws: ModelPackageError.unlistedFile(
        path: fixture.path("model.json"), name: "decoder.safetensors")
    ) { try package.weights(in: ["decoder.safetensors"]) }
    #expect(
      throws: ModelPackageError.noWeights(path: fixture.path("model.json"), name: "decoder")
    ) { try package.weights(named: "decoder") }
    #expect(throws: ModelPackageError.self) { try package.weights(in: ["vocab.txt"]) }
    #expect(throws: ModelPackageError.self) { try package.configuration(as: [Int].self) }
  }

  /// FIPS 180-4, the example of one block.
  @Test func checksumMatchesTheStandard() {
    let sum = Array("abc".utf8).withUnsafeBytes { ModelPackage.checksum(of: $0) }
    #expect(sum == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func damagedFilesAreReported() throws {
    let fixture = try PackageFixture()
    try fixture.write()
    let name = "denoiser.safetensors"
    let whole = fixture.files[name]!
    var flipped = whole
    flipped[whole.count - 1] ^= 1
    try fixture.folder.write(flipped, to: name)
    guard case .wrongChecksum(let path, let expected, let actual) = fixture.error else {
      Issue.record("\(String(describing: fixture.error))")
      return
    }
    #expect(path == fixture.path(name) && expected != actual)
    _ = try fixture.open(.lengths)

    try fixture.folder.write(Array(whole.dropLast()), to: name)
    #expect(
      fixture.error
        == .wrongLength(
          path: fixture.path(name), expectedBytes: whole.count, actualBytes: whole.count - 1))
    try FileManager.default.removeItem(atPath: fixture.path(name))
    #expect(fixture.error == .missingFile(path: fixture.path(name)))
    try FileManager.default.createDirectory(
      atPath: fixture.path(name), withIntermediateDirectories: false)
    #expect(
      fixture.error
        == .file(
          FileError(path: fixture.path(name), operation: "read", code: EINVAL)))
    try FileManager.default.removeItem(atPath: fixture.path("model.json"))
    #expect(fixture.error == .missingFile(path: fixture.path("model.json")))
  }

  @Test func otherVersionsAreNamed() throws {
    var fixture = try PackageFixture()
    for version in ["1", "3", "0", "\"2\"", "2.0"] {
      fixture.members["formatVersion"] = version
      fixture.members["weights"] = "\"of another kind\""
      try fixture.write()
      #expect(
        fixture.error
          == .unsupportedVersion(
            path: fixture.path("model.json"), found: version, supported: 2))
      let remedy = version == "1" || version == "0" ? "apt-get install" : "newer Banana"
      #expect(try #require(fixture.error).description.contains(remedy))
    }
  }

  @Test(arguments: [
    "../vocab.txt", "..", ".", "", "/etc/passwd", "a/b", "a\\\\b", ".hidden", "a\\u0000b", "é",
  ])
  func namesThatLeadElsewhereAreRefused(name: String) throws {
    var fixture = try PackageFixture()
    fixture.members["weights"] = "{}"
    fixture.members["files"] = fixture.filesMember.replacing(
      "denoiser.safetensors", with: name)
    try fixture.write()
    guard case .unsafeFileName = fixture.error else {
      Issue.record("\(String(describing: fixture.error))")
      return
    }
  }

  @Test func everyMemberIsNeeded() throws {
    for member in try PackageFixture().members.keys where member != "unknownMember" {
      var fixture = try PackageFixture()
      fixture.members[member] = nil
      try fixture.write()
      guard case .invalidManifest(_, let reason) = fixture.error else {
        Issue.record("\(member): \(String(describing: fixture.error))")
        continue
      }
      #expect(reason.contains(member), "\(reason)")
    }
  }

  @Test(arguments: [
    ("name", "\"\""), ("name", "3"), ("weights", "{\"denoiser\": []}"),
    ("weights", "{\"denoiser\": [\"vocab.text\"]}"), ("weights", "[]"),
    ("files", "{}"), ("files", "{\"vocab.txt\": {\"sha256\": \"00\", \"bytes\": 1}}"),
    ("configuration", "{\"a\": 1, \"a\": 2}"), ("configuration", "nul"), ("description", "\"\n\""),
  ])
  func badValuesAreRefused(member: String, value: String) throws {
    var fixture = try PackageFixture()
    fixture.members[member] = value
    try fixture.write()
    guard case .invalidManifest(let path, let reason) = fixture.error else {
      Issue.record("\(String(describing: fixture.error))")
      return
    }
    #expect(path == fixture.path("model.json") && !reason.isEmpty)
  }

  @Test func deepNestingIsRefused() throws {
    var fixture = try PackageFixture()
    fixture.members["configuration"] = String(repeating: "[", count: 100_000)
    try fixture.write()
    guard case .invalidManifest = fixture.error else {
      Issue.record("\(String(describing: fixture.error))")
      return
    }
  }
}
