import Glibc
import TensorTypes

/// A LoRA in one .safetensors file, or a change in another algebra of LyCORIS, mapped and checked
/// from end to end.
package struct PeelFile: Sendable {
  /// An SD 1.5 LoRA of rank 128 has 150 to 300 MB, and with convolutions up to 700 MB.
  package static let maximumBytes = 1 << 30
  package static let maximumRank = 256
  /// Of changes of a weight: trained ones stay below 10.
  private static let plausibleMagnitude: Float = 1e6
  private static let bundle = "bundle_emb."
  /// Real files have some thousand tensors, and some hundred KiB of metadata.
  private static let headerLimits = SafetensorsFile.HeaderLimits(bytes: 8 << 20, tensors: 16_384)

  /// Sorted by network and target; empty where the file is an embedding, and only there.
  package let updates: [Update]
  /// The vectors that a word stands for, where the file is a textual inversion.
  package let embedding: PeelEmbedding?
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
    } catch { throw Self.isPickle(contents) ? .pickle : .safetensors(error) }
    embedding = try PeelEmbedding(in: file)
    updates = try embedding == nil ? Self.updates(in: file) : []
    // Textual inversions that a LoRA was bundled with.
    let bundled = file.names.filter { $0.hasPrefix(Self.bundle) }
    texts = PeelTexts(file.metadata)
    byteCount = contents.bytes.count
    isMapped = contents.isMapped
    sha256 = ModelPackage.checksum(of: contents.bytes)
    var warnings = texts.warnings
    if let first = bundled.first {
      warnings.append(
        "Its \(bundled.count) tensors of embeddings (\"\(first.excerpt)\") are not used: words "
          + "that they stand for are read as plain text.")
    }
    if let largest = updates.max(by: { $0.largest < $1.largest }),
      !(largest.largest <= Self.plausibleMagnitude)
    {
      warnings.append(
        "Its numbers for \"\(largest.target.excerpt)\" are so large that pictures may come out as "
          + "noise or nothing: draw with a small strength, or train it with a lower rate.")
    }
    self.warnings = warnings
  }

  /// Whether it begins as PyTorch's files do: a zip, or a pickle of version 2 or later.
  private static func isPickle(_ contents: MappedFile) -> Bool {
    let first = Array(contents.bytes.prefix(4))
    return first == [0x50, 0x4B, 3, 4] || (first.count > 1 && first[0] == 0x80 && 2...5 ~= first[1])
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

  private static func updates(in file: SafetensorsFile) throws(PeelError) -> [Update] {
    var layers: [Layer: PeelParts] = [:]
    var nameBytes = 0
    var unknown: [String] = []
    for tensor in file.names where !tensor.hasPrefix(bundle) {
      let name: PeelName
      do throws(PeelName.Problem) { name = try PeelName(tensor) } catch {
        switch error {
        case .unsupported(let form): throw .unsupportedForm(form, tensor: tensor)
        case .unknown: unknown.append(tensor)
        }
        continue
      }
      nameBytes += name.target.utf8.count
      let layer = Layer(network: name.network, target: name.target)
      try layers[layer, default: PeelParts(name, file)].add(tensor, name)
    }
    for (_, parts) in layers { unknown += parts.strayNames }
    if !unknown.isEmpty {
      let first = Array(unknown.sorted().prefix(3))
      throw .unknownTensors(first: first, count: unknown.count, of: file.names.count)
    }
    let scales = try PeelScales(file.metadata)
    // Each expression is compared with each name.
    if scales.expressionCount * nameBytes > 8 << 20 { throw .unsupportedPattern("…") }
    var updates: [Update] = []
    for (_, parts) in layers.sorted(by: { $0.key < $1.key }) {
      updates.append(try parts.update(scales))
    }
    guard let first = updates.first else { throw .empty }
    if scales.isDecomposed, !updates.contains(where: \.isDecomposed) {
      throw .missingPart(target: first.target, part: "dora_scale, the lengths of a DoRA,")
    }
    return updates
  }
}
