import Foundation
import Imaging
import TensorTypes
import Weights

/// The files that hostile clients send; made once a run.
struct HostileFiles: Sendable {
  let folder: String

  init(_ space: Workspace) {
    folder = space.folder + "/hostile"
  }

  /// The largest that an edit may have.
  static let bombSide = 2048

  /// 2048x2048 pixels in 20 KB.
  var bomb: [UInt8] { read("bomb.png") }
  /// The same, transparent in one half.
  var bombMask: [UInt8] { read("mask.png") }
  /// A picture of 64x64.
  var small: [UInt8] { read("small.png") }
  /// Whole, and as large as one for this model can be.
  var largePeel: [UInt8] { read("large.safetensors") }
  /// 60 MiB, and not a number at its end.
  var poisonedPeel: [UInt8] { read("poisoned.safetensors") }
  /// Whole, with 20 MiB of words.
  var wordyPeel: [UInt8] { read("wordy.safetensors") }
  /// Its header names 200,000 tensors.
  var tablePeel: [UInt8] { read("table.safetensors") }
  /// The header is one text of texts in texts.
  var nestedPeel: [UInt8] { read("nested.safetensors") }

  private func read(_ name: String) -> [UInt8] {
    FileManager.default.contents(atPath: "\(folder)/\(name)").map { [UInt8]($0) } ?? []
  }

  /// - Throws: what cannot be written.
  func make(from shippedPeel: String) throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    let side = Self.bombSide
    try write(PNG.encode(Pixels(width: side, height: side, filledWith: .white)), "bomb.png")
    var mask = Pixels(width: side, height: side, filledWith: .white)
    for pixel in 0..<side * side / 2 { mask.bytes[pixel * 4 + 3] = 0 }
    try write(PNG.encode(mask), "mask.png")
    try write(PNG.encode(Pixels(width: 64, height: 64, filledWith: .white)), "small.png")
    try makePeels(from: try SafetensorsFile(path: shippedPeel))
    chmod(folder, 0o755)
  }

  private func makePeels(from shipped: SafetensorsFile) throws {
    var metadata = shipped.metadata
    let large = Self.tensors(like: shipped, rank: PeelFile.maximumRank)
    try write(SafetensorsWriter.bytes(large, metadata: metadata), "large.safetensors")
    // Sorted last, so that everything before it has been read in vain.
    let floats = (60 << 20 - large.reduce(0) { $0 + $1.bytes.count }) / 4
    let poison = SafetensorsWriter.Tensor(
      name: "base_model.model.denoiser.layers.9.zz.lora_A.weight", type: .float32,
      shape: [1, floats], bytes: [UInt8](repeating: 0xFF, count: floats * 4))
    try write(SafetensorsWriter.bytes(large + [poison], metadata: metadata), "poisoned.safetensors")
    let small = Self.tensors(like: shipped, rank: 1)
    metadata["modelspec.trigger_phrase"] = String(repeating: "ab,", count: 20 << 20 / 3)
    metadata["modelspec.title"] = String(repeating: "long ", count: 100_000)
    try write(SafetensorsWriter.bytes(small, metadata: metadata), "wordy.safetensors")
    let table = (0..<200_000).map {
      SafetensorsWriter.Tensor(
        name: "transformer.layers.\($0).qkv.lora_A.weight", type: .float16, shape: [1, 1],
        bytes: [0, 0])
    }
    try write(SafetensorsWriter.bytes(table), "table.safetensors")
    let header = Array(
      (#"{"__metadata__":"# + String(repeating: #"{"a":"#, count: 1_000_000)).utf8)
    try write(
      withUnsafeBytes(of: UInt64(header.count).littleEndian, Array.init) + header,
      "nested.safetensors")
  }

  /// Updates of the same layers, all of one rank, in f32.
  private static func tensors(
    like shipped: SafetensorsFile, rank: Int
  ) -> [SafetensorsWriter.Tensor] {
    shipped.names.map { name in
      let shape = shipped.tensor(named: name)!.shape
      let isDown = name.contains("lora_A")
      let size = isDown ? [rank, shape[1]] : [shape[0], rank]
      let number = Float(0.0001).bitPattern.littleEndian
      let bytes = [UInt8](unsafeUninitializedCapacity: size[0] * size[1] * 4) { buffer, count in
        count = buffer.count
        for index in 0..<size[0] * size[1] {
          UnsafeMutableRawPointer(buffer.baseAddress!)
            .storeBytes(of: number, toByteOffset: index * 4, as: UInt32.self)
        }
      }
      return .init(name: name, type: .float32, shape: size, bytes: bytes)
    }
  }

  private func write(_ bytes: [UInt8], _ name: String) throws {
    let path = "\(folder)/\(name)"
    try Data(bytes).write(to: URL(filePath: path))
    chmod(path, 0o644)
  }
}
