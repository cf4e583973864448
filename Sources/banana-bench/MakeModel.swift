import ArgumentParser
import Foundation
import Graph
import Models
import TensorTypes
import Weights

/// Writes a package of the sticker family whose denoiser is as large as those of public models,
/// with random numbers: what speed, memory and heat are measured on at full size.
struct MakeModel: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "make-model", abstract: "Write a model of full size with random weights.")

  enum Size: String, CaseIterable, ExpressibleByArgument {
    /// 1.8 billion parameters.
    case large = "1.8b"
  }

  @Argument(help: "The model: 1.8b.")
  var size: Size

  @Argument(help: "The folder to write; it must not exist.")
  var directory: String

  @Option(help: "The sticker package whose text encoder and autoencoder are taken.")
  var base = "models/sticker"

  @Option(help: "Seed of the random numbers.")
  var seed: UInt64 = 1

  func run() throws {
    let files = FileManager.default
    guard !files.fileExists(atPath: directory) else {
      throw ValidationError("\(directory) exists already. Name another folder, or remove it.")
    }
    let package = try ModelPackage(path: base)
    var configuration = try package.configuration(as: StickerConfiguration.self)
    grow(&configuration.denoiser)
    // It is a model once its folder has its name.
    let part = "\(directory).\(ProcessInfo.processInfo.processIdentifier).partial"
    try files.createDirectory(atPath: part, withIntermediateDirectories: true)
    do {
      let denoiser = part + "/denoiser.safetensors"
      for name in package.manifest.files.keys where !denoiser.hasSuffix("/" + name) {
        try files.copyItem(atPath: "\(base)/\(name)", toPath: "\(part)/\(name)")
      }
      let count = try RandomWeights(seed: seed).write(try Sticker(configuration), to: denoiser)
      try writeManifest(configuration.denoiser, denoiser: denoiser, to: part)
      try files.moveItem(atPath: part, toPath: directory)
      print("\(directory): a denoiser of \(count) parameters")
    } catch {
      try? files.removeItem(atPath: part)
      throw error
    }
  }

  private func grow(_ denoiser: inout StickerConfiguration.Denoiser) {
    (denoiser.width, denoiser.layers, denoiser.hiddenWidth) = (2048, 32, 7168)
    (denoiser.heads, denoiser.keyValueHeads) = (32, 8)
  }

  /// The base's manifest with another name and denoiser.
  private func writeManifest(
    _ denoiser: StickerConfiguration.Denoiser, denoiser path: String, to folder: String
  ) throws {
    let json = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(filePath: base + "/model.json")))
    guard var manifest = json as? [String: Any],
      var configuration = manifest["configuration"] as? [String: Any],
      var extents = configuration["denoiser"] as? [String: Any],
      var files = manifest["files"] as? [String: Any]
    else { throw ValidationError("\(base)/model.json is none of a sticker model.") }
    extents["width"] = denoiser.width
    extents["layers"] = denoiser.layers
    extents["hiddenWidth"] = denoiser.hiddenWidth
    extents["heads"] = denoiser.heads
    extents["keyValueHeads"] = denoiser.keyValueHeads
    configuration["denoiser"] = extents
    let file = try MappedFile(path: path)
    files["denoiser.safetensors"] = [
      "sha256": ModelPackage.checksum(of: file.bytes), "bytes": file.bytes.count,
    ]
    manifest["name"] = "\(manifest["name"] as? String ?? "")-\(size.rawValue)"
    manifest["description"] = "Random numbers at full size, to measure with. It draws noise."
    manifest["configuration"] = configuration
    manifest["files"] = files
    manifest["quality"] = nil
    manifest["training"] = nil
    try JSONSerialization.data(withJSONObject: manifest, options: [.prettyPrinted, .sortedKeys])
      .write(to: URL(filePath: folder + "/model.json"))
  }
}

/// Numbers that keep the scale of what they multiply.
private struct RandomWeights {
  private static let group = 64
  /// Matrices from this size on are int4.
  private static let quantizedCount = 1 << 19

  private var state: UInt64

  init(seed: UInt64) { state = seed }

  /// Writes the denoiser's file, tensor by tensor.
  /// - Returns: How many numbers it has.
  consuming func write(_ family: Sticker, to path: String) throws(FileError) -> Int {
    let networks: [NetworkName] = ["context", "denoiser"]
    let graphs = networks.map { family.graph(of: $0, Extents(tokens: 1)) }
    let weights = Set(graphs.flatMap(\.weights)).sorted { $0.name < $1.name }
    let entries = weights.map(entry)
    let shapes = Dictionary(uniqueKeysWithValues: zip(entries.map(\.name), weights.map(\.shape)))
    try SafetensorsWriter.write(entries, to: path) { (entry, file) throws(FileError) in
      let shape = shapes[entry.name]!
      if entry.type == .uint8 {
        for _ in 0..<entry.shape[0] { try file.append(blocks(entry.shape, inputs: shape.last)) }
      } else {
        try file.append(halves(shape))
      }
    }
    return weights.reduce(0) { $0 + $1.shape.count }
  }

  private func entry(_ weight: WeightReference) -> SafetensorsWriter.Entry {
    let shape = weight.shape
    guard shape.rank == 2, shape.count >= Self.quantizedCount, shape.last % Self.group == 0 else {
      return .init(name: weight.name, type: .float16, shape: shape.dimensions)
    }
    return .init(
      name: weight.name + ".int4g\(Self.group)", type: .uint8,
      shape: [
        BlockLayout.blocks(of: shape[0]), shape.last / Self.group,
        BlockLayout.int4RecordByteCount(group: Self.group),
      ])
  }

  /// 16 outputs of an int4 matrix: their scales before the nibbles of each group.
  private mutating func blocks(_ shape: [Int], inputs: Int) -> [UInt8] {
    // Nibbles of 0...15 that stand for -8...7 have a deviation of 4.6.
    let scale = Float16(1 / (4.6 * Float(inputs).squareRoot()))
    let record = shape[2]
    return [UInt8](unsafeUninitializedCapacity: shape[1] * record) { bytes, count in
      for offset in stride(from: 0, to: shape[1] * record, by: 8) {
        bytes.baseAddress!.advanced(by: offset).withMemoryRebound(to: UInt64.self, capacity: 1) {
          $0.pointee = next()
        }
      }
      for start in stride(from: 0, to: shape[1] * record, by: record) {
        for lane in 0..<BlockLayout.outputs {
          let low = start + 2 * lane
          bytes[low] = UInt8(truncatingIfNeeded: scale.bitPattern)
          bytes[low + 1] = UInt8(truncatingIfNeeded: scale.bitPattern >> 8)
        }
      }
      count = shape[1] * record
    }
  }

  /// Ones with a little noise for vectors, which are norms' weights and tables; what keeps the
  /// scale for matrices.
  private mutating func halves(_ shape: Shape) -> [UInt8] {
    let scale = shape.rank < 2 ? 0.01 : (3 / Float(shape.last)).squareRoot()
    return (0..<shape.count).flatMap { _ in
      let noise = Float(next() >> 40) / 0x1p23 - 1
      let number = Float16(scale * noise + (shape.rank < 2 ? 1 : 0)).bitPattern
      return [UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8)]
    }
  }

  /// SplitMix64.
  private mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var z = state
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
