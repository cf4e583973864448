import Foundation
import TensorTypes
import Testing

@testable import Weights

func safetensors(_ header: String, dataBytes: Int) -> [UInt8] {
  littleEndianBytes([UInt64(header.utf8.count)]) + Array(header.utf8)
    + [UInt8](repeating: 1, count: dataBytes)
}

func parse(_ bytes: [UInt8]) throws(SafetensorsError) -> SafetensorsFile {
  try SafetensorsFile(file: MappedFile(contents: bytes, path: "f"))
}

/// A folder of its own, removed with the last use.
final class TemporaryFolder: Sendable {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path()
  }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: URL(filePath: path + "/" + name))
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct SafetensorsTests {
  @Test func writtenFilesAreReadBack() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/a.safetensors"
    let tensors: [SafetensorsWriter.Tensor] = [
      .init(name: "odd", type: .uint8, shape: [3], bytes: [1, 2, 3]),
      .init(
        name: "even", type: .float32, shape: [4, 4],
        bytes: littleEndianBytes((0..<16).map { Float($0) })),
      .init(name: "none", type: .float16, shape: [0, 5], bytes: []),
      .init(name: "scalar", type: .int64, shape: [], bytes: [UInt8](repeating: 0, count: 8)),
    ]
    let metadata = ["format": "pt", "quote\"\\\u{1}": "é\n🍌"]
    try SafetensorsWriter.write(tensors, metadata: metadata, to: path)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.safetensors"])
    let file = try SafetensorsFile(path: path)
    #expect(file.metadata == metadata)
    #expect(Set(file.names) == ["odd", "even", "none", "scalar"])
    for tensor in tensors {
      let read = try #require(file.tensor(named: tensor.name))
      #expect(read.type == tensor.type && read.shape == Shape(tensor.shape))
      #expect(Array(read.bytes) == tensor.bytes)
    }
    let even = try #require(file.tensor(named: "even")).bytes.baseAddress
    #expect(Int(bitPattern: even) % 64 == 0)
    #expect(file.tensor(named: "other") == nil)
  }

  @Test func strangeButValidFilesAreRead() throws {
    let spaced = " {\"\\u0061\" : {\"shape\" :[ 2 ],\"data_offsets\":[0 ,2], \"dtype\":\"U8\"} } \n"
    let file = try parse(safetensors(String(spaced.dropFirst()), dataBytes: 2))
    #expect(file.names == ["a"])
    #expect(try parse(safetensors("{}", dataBytes: 0)).names.isEmpty)
    #expect(try parse(safetensors("{\"__metadata__\":{}}   ", dataBytes: 0)).names.isEmpty)
  }

  @Test func filesThatAreNotThereAreReported() throws {
    let folder = try TemporaryFolder()
    for path in [folder.path + "/none", folder.path] {
      do throws(SafetensorsError) {
        _ = try SafetensorsFile(path: path)
        Issue.record("\(path) was opened")
      } catch {
        guard case .file = error else { throw error }
        #expect(error.description.contains(path))
      }
    }
    #expect(throws: FileError.self) {
      try SafetensorsWriter.write([], to: folder.path + "/no/folder")
    }
  }

  @Test func lengthsAreChecked() {
    #expect(throws: SafetensorsError.truncatedHeader(path: "f", expectedBytes: 8, actualBytes: 3)) {
      try parse([1, 2, 3])
    }
    #expect(
      throws: SafetensorsError.truncatedHeader(path: "f", expectedBytes: 108, actualBytes: 10)
    ) { try parse(littleEndianBytes([UInt64(100)]) + [0x7B, 0x7D]) }
    for length in [UInt64.max, 1 << 63, 100_000_001] {
      #expect(
        throws: SafetensorsError.headerTooLong(
          path: "f", bytes: length, maximumBytes: 100_000_000)
      ) { try parse(littleEndianBytes([length]) + [0x7B, 0x7D]) }
    }
    let header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}"
    for actual in [0, 1, 3] {
      #expect(
        throws: SafetensorsError.wrongFileLength(path: "f", expectedBytes: 2, actualBytes: actual)
      ) { try parse(safetensors(header, dataBytes: actual)) }
    }
  }

  static func entry(_ type: String, _ shape: String, _ offsets: String) -> String {
    "{\"a\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":\(offsets)}}"
  }

  @Test func tensorsAreChecked() {
    func error(_ type: String, _ shape: String, _ offsets: String) -> SafetensorsError? {
      do throws(SafetensorsError) {
        _ = try parse(safetensors(Self.entry(type, shape, offsets), dataBytes: 8))
        return nil
      } catch { return error }
    }
    #expect(error("F32", "[2]", "[0,8]") == nil)
    #expect(error("F32", "[2,1,1]", "[0,8]") == nil)
    #expect(error("F4", "[2]", "[0,8]") == .unknownType(path: "f", tensor: "a", type: "F4"))
    #expect(
      error("F32", "[3]", "[0,8]")
        == .wrongLength(path: "f", tensor: "a", expectedBytes: 12, actualBytes: 8))
    #expect(
      error("F32", "[2]", "[8,0]")
        == .notContiguous(path: "f", tensor: "a", expectedOffset: 0, actualOffset: 8))
    #expect(
      error("F32", "[1]", "[4,8]")
        == .notContiguous(path: "f", tensor: "a", expectedOffset: 0, actualOffset: 4))
    #expect(
      error("U8", "[0]", "[0,0]") == .wrongFileLength(path: "f", expectedBytes: 0, actualBytes: 8))
    for shape in [[4_294_967_296, 4_294_967_296], [0, Int.max, 3], [Int.max]] {
      #expect(
        error("F32", "\(shape)", "[0,8]")
          == .shapeTooLarge(path: "f", tensor: "a", shape: shape))
    }
  }

  @Test func overlapsAndGapsAreRefused() {
    func tensor(_ name: String, _ begin: Int, _ end: Int) -> String {
      "\"\(name)\":{\"dtype\":\"U8\",\"shape\":[\(end - begin)],\"data_offsets\":[\(begin),\(end)]}"
    }
    for second in [2, 6] {
      let header = "{\(tensor("a", 0, 4)),\(tensor("b", second, 8))}"
      #expect(
        throws: SafetensorsError.notContiguous(
          path: "f", tensor: "b", expectedOffset: 4, actualOffset: second)
      ) { try parse(safetensors(header, dataBytes: 8)) }
    }
  }

  @Test(arguments: [
    "", "[]", " {}", "{", "{}x", "{\"a\"}", "{\"a\":1}", "{a:{}}", "{\"a\":{}}", "{\"a\":{},}",
    entry("U8", "[1]", "[0]"), entry("U8", "[1]", "[0,1,2]"), entry("U8", "[-1]", "[0,1]"),
    entry("U8", "[01]", "[0,1]"), entry("U8", "[1.0]", "[0,1]"), entry("U8", "[1e0]", "[0,1]"),
    entry("U8", "[99999999999999999999]", "[0,1]"), entry("U8", "[1,]", "[0,1]"),
    entry("U8", "null", "[0,1]"), entry("\\uD800", "[1]", "[0,1]"), entry("\\x", "[1]", "[0,1]"),
    entry("U8\n", "[1]", "[0,1]"), "{\"__metadata__\":{\"a\":1}}",
    "{\"__metadata__\":{},\"__metadata__\":{}}",
    "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}",
    "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
      + entry("U8", "[1]", "[0,1]").dropFirst(),
  ])
  func badHeadersAreRefused(header: String) throws {
    do throws(SafetensorsError) {
      _ = try parse(safetensors(header, dataBytes: 1))
      Issue.record("was read")
    } catch {
      guard case .invalidHeader = error else { throw error }
    }
  }

  /// Neither names nor shapes make messages without end.
  @Test func longNamesAndShapesAreRefused() {
    func error(_ header: String) -> String {
      do throws(SafetensorsError) {
        _ = try parse(safetensors(header, dataBytes: 1))
        return ""
      } catch { return error.description }
    }
    let rest = #","data_offsets":[0,1]}"#
    let ones = Array(repeating: "1", count: 16).joined(separator: ",")
    #expect(error(#"{"x":{"dtype":"U8","shape":[\#(ones)]\#(rest)}"#) == "")
    let name = String(repeating: "n", count: 1024)
    #expect(error(#"{"\#(name)":{"dtype":"U8","shape":[1]\#(rest)}"#) == "")
    for header in [
      #"{"x":{"dtype":"U8","shape":[1,\#(ones)]\#(rest)}"#,
      #"{"\#(name)n":{"dtype":"U8","shape":[1]\#(rest)}"#,
      #"{"x":{"dtype":"\#(name)","shape":[1]\#(rest)}"#,
      #"{"x":{"dtype":"U8","shape":[1],"data_offsets":[\#(ones)]}}"#,
    ] {
      #expect((1..<400).contains(error(header).utf8.count))
    }
  }

  @Test func invalidUTF8IsRefused() {
    var bytes = safetensors(Self.entry("U8", "[1]", "[0,1]"), dataBytes: 1)
    bytes[10] = 0xFF
    #expect(throws: SafetensorsError.self) { try parse(bytes) }
  }
}
