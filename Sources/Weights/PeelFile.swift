import Glibc
import TensorTypes

/// A LoRA in one .safetensors file, mapped and checked from end to end.
///
/// Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", section 4.1: a layer's
/// `W x` becomes `W x + alpha / rank * up (down x)`.
package struct PeelFile: Sendable {
  /// The change to one layer.
  package struct Update: Sendable {
    package let network: PeelNetwork
    /// The layer's name as the file gives it, without the network's root: `layers.0.qkv`, or in
    /// kohya's style `layers_0_qkv`.
    package let target: String
    package let rank: Int
    package let inWidth: Int
    package let outWidth: Int
    /// What the product of the two factors is multiplied by: `alpha / rank`.
    package let scale: Float
    private let downTensor: PeelTensor
    private let upTensor: PeelTensor

    fileprivate init(
      _ name: PeelName, down: PeelTensor, up: PeelTensor, scale: Float
    ) {
      network = name.network
      target = name.target
      rank = down.shape[0]
      inWidth = down.shape[1]
      outWidth = up.shape[0]
      self.scale = scale
      downTensor = down
      upTensor = up
    }

    /// `[rank, in]`; read from the file's bytes each time.
    package var down: [Float] { downTensor.numbers() }
    /// `[out, rank]`, times the scale; read from the file's bytes each time.
    package var up: [Float] { upTensor.numbers(times: scale) }

    /// Lays `down` into a matrix in blocks of 16 rows (`BlockLayout`), from row `first` on.
    package func layDown(into blocks: UnsafeMutableBufferPointer<Float>, first: Int) {
      downTensor.lay(into: blocks, width: inWidth, row: first, column: 0, times: 1, 1)
    }

    /// Lays `up` times `strength` into a matrix in blocks of 16 rows, from column `first` on.
    /// - Parameter room: Columns of the matrix.
    package func layUp(
      into blocks: UnsafeMutableBufferPointer<Float>, first: Int, room: Int, strength: Float
    ) {
      upTensor.lay(into: blocks, width: room, row: 0, column: first, times: scale, strength)
    }

    /// No number of the change of the layer's weight is larger.
    fileprivate var magnitude: Float {
      Float(rank) * downTensor.magnitude * upTensor.magnitude * scale
    }
  }

  /// An SD 1.5 LoRA of rank 128 has 150 to 300 MB.
  package static let maximumBytes = 320 << 20
  package static let maximumRank = 256
  /// Of changes of a weight: trained ones stay below 10.
  private static let plausibleMagnitude: Float = 1e6
  /// Real files have some thousand tensors, and some hundred KiB of metadata.
  private static let headerLimits = SafetensorsFile.HeaderLimits(bytes: 8 << 20, tensors: 16_384)

  /// Sorted by network and target; never empty.
  package let updates: [Update]
  /// What the file says of itself.
  package let texts: PeelTexts
  package let byteCount: Int
  /// Whether the numbers are the file's own pages.
  let isMapped: Bool
  /// Of the whole file, in lower case.
  package let sha256: String
  /// What its user should know, in sentences.
  package let warnings: [String]

  /// Maps and checks the file at `path`: its numbers stay on the disk until they are used. A file
  /// that others may change is copied into memory first, so that what was checked is what is used.
  /// - Throws: `PeelError`.
  package init(path: String) throws(PeelError) {
    let file: MappedFile
    do throws(FileError) {
      file = try MappedFile(path: path, maximumBytes: Self.maximumBytes)
    } catch {
      throw error.code == EFBIG ? .tooLarge(maximumBytes: Self.maximumBytes) : .file(error)
    }
    try self.init(file)
  }

  /// Checks the contents of a file that is, or is to be, called `path`.
  /// - Throws: `PeelError`.
  package init(contents: [UInt8], path: String) throws(PeelError) {
    guard contents.count <= Self.maximumBytes else {
      throw .tooLarge(maximumBytes: Self.maximumBytes)
    }
    try self.init(MappedFile(contents: contents, path: path))
  }

  private init(_ contents: MappedFile) throws(PeelError) {
    let file: SafetensorsFile
    do throws(SafetensorsError) {
      file = try SafetensorsFile(file: contents, limits: Self.headerLimits)
    } catch { throw .safetensors(error) }
    updates = try Self.updates(in: file)
    texts = PeelTexts(file.metadata)
    byteCount = contents.bytes.count
    isMapped = contents.isMapped
    sha256 = ModelPackage.checksum(of: contents.bytes)
    var warnings = texts.warnings
    if let largest = updates.max(by: { $0.magnitude < $1.magnitude }),
      !(largest.magnitude <= Self.plausibleMagnitude)
    {
      warnings.append(
        "Its numbers for \"\(largest.target.excerpt)\" are so large that pictures may come out as "
          + "noise or nothing: draw with a small strength, or train it with a lower rate.")
    }
    self.warnings = warnings
  }

  /// The largest rank of an update.
  package var rank: Int { updates.reduce(0) { max($0, $1.rank) } }

  /// Two names of the same layer may differ in how they give its network.
  private struct Layer: Hashable, Comparable {
    let network: PeelNetwork
    let target: String

    static func < (a: Layer, b: Layer) -> Bool {
      (a.network, a.target) < (b.network, b.target)
    }
  }

  private typealias Parts = [PeelName.Part: (tensor: String, name: PeelName)]

  private static func updates(in file: SafetensorsFile) throws(PeelError) -> [Update] {
    var layers: [Layer: Parts] = [:]
    var nameBytes = 0
    for tensor in file.names {
      let name: PeelName
      do throws(PeelName.Problem) { name = try PeelName(tensor) } catch {
        switch error {
        case .unsupported(let form): throw .unsupportedForm(form, tensor: tensor)
        case .unknown: throw .unknownTensor(name: tensor)
        }
      }
      nameBytes += name.target.utf8.count
      let layer = Layer(network: name.network, target: name.target)
      if layers[layer, default: [:]].updateValue((tensor, name), forKey: name.part) != nil {
        throw .duplicate(target: name.target, part: name.part.rawValue)
      }
    }
    let scales = try PeelScales(file.metadata)
    // Each expression is compared with each name.
    if scales.expressionCount * nameBytes > 8 << 20 { throw .unsupportedPattern("…") }
    var updates: [Update] = []
    for (_, parts) in layers.sorted(by: { $0.key < $1.key }) {
      updates.append(try update(parts, in: file, scales))
    }
    if updates.isEmpty { throw .empty }
    return updates
  }

  private static func update(
    _ parts: Parts, in file: SafetensorsFile, _ scales: PeelScales
  ) throws(PeelError) -> Update {
    guard let down = parts[.down], let up = parts[.up] else {
      let target = parts.first?.value.name.target ?? ""
      throw .missingPart(
        target: target, part: parts[.down] == nil ? PeelName.Part.down.rawValue : "up")
    }
    let (downTensor, upTensor) = (
      try PeelTensor(down.tensor, in: file), try PeelTensor(up.tensor, in: file)
    )
    let rank = downTensor.shape[0]
    guard upTensor.shape[1] == rank else {
      throw .unequalRanks(target: down.name.target, down: rank, up: upTensor.shape[1])
    }
    guard rank <= maximumRank else {
      throw .wrongRank(target: down.name.target, rank: rank, maximum: maximumRank)
    }
    let scale: Float
    if let own = parts[.alpha], let alpha = try alpha(own.tensor, in: file) {
      scale = alpha / Float(rank)
    } else {
      scale = try scales.scale(of: down.name, rank: rank)
    }
    guard (upTensor.magnitude * scale).isFinite else { throw .tooLargeNumbers(tensor: up.tensor) }
    return Update(down.name, down: downTensor, up: upTensor, scale: scale)
  }

  /// A layer's own alpha; nil if it is 0, by which sd-scripts mean the rank.
  private static func alpha(
    _ name: String, in file: SafetensorsFile
  ) throws(PeelError) -> Float? {
    let tensor = file.tensor(named: name)!
    guard let value = PeelTensor.scalar(tensor) else {
      throw tensor.shape.count == 1
        ? .wrongType(tensor: name, type: tensor.type)
        : .wrongShape(tensor: name, shape: tensor.shape)
    }
    if value == 0 { return nil }
    let alpha = Float(value)
    guard alpha > 0, alpha.isFinite else { throw .invalidAlpha(where: "\"\(name.excerpt)\"") }
    return alpha
  }
}

extension PeelFile.Update: Equatable {
  package static func == (a: Self, b: Self) -> Bool {
    (a.network, a.target, a.rank, a.inWidth, a.outWidth)
      == (b.network, b.target, b.rank, b.inWidth, b.outWidth) && a.down == b.down && a.up == b.up
  }
}
