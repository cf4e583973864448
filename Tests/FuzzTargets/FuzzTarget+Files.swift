import FoundationEssentials
import Imaging
import Models
import Serving
import TensorTypes
import Weights

/// What is read from files, and from bodies that are files.
extension FuzzTarget {
  static func safetensors(_ input: [UInt8]) throws(Violation) {
    let file: SafetensorsFile
    do throws(SafetensorsError) {
      file = try SafetensorsFile(file: MappedFile(contents: input, path: "file"))
    } catch { return try expectText(error) }
    let tensors = file.names.map { (name: $0, tensor: file.tensor(named: $0)!) }
    let byteCount = tensors.reduce(0) { $0 + $1.tensor.bytes.count }
    try expect(byteCount <= input.count, "more tensors than bytes")
    for (_, tensor) in tensors {
      try expect(
        tensor.bytes.count == tensor.shape.count * tensor.type.byteCount, "a tensor's length")
    }
    try rewrite(tensors, metadata: file.metadata)
    try readWeights(of: file)
  }

  /// What is written again reads the same.
  private static func rewrite(
    _ tensors: [(name: String, tensor: SafetensorsFile.Tensor)], metadata: [String: String]
  ) throws(Violation) {
    let written = SafetensorsWriter.bytes(
      tensors.map {
        .init(
          name: $0.name, type: $0.tensor.type, shape: $0.tensor.shape.dimensions,
          bytes: Array($0.tensor.bytes))
      }, metadata: metadata)
    let again: SafetensorsFile
    do throws(SafetensorsError) {
      again = try SafetensorsFile(file: MappedFile(contents: written, path: "file"))
    } catch { throw Violation(description: "what was written is refused: \(error)") }
    try expect(again.metadata == metadata, "metadata is not written as it was read")
    try expect(again.names.count == tensors.count, "tensors are lost")
    for (name, tensor) in tensors {
      guard let other = again.tensor(named: name) else {
        throw Violation(description: "the tensor \(name) is lost")
      }
      try expect(
        other.type == tensor.type && other.shape == tensor.shape
          && other.bytes.elementsEqual(tensor.bytes), "the tensor \(name) has changed")
    }
  }

  /// Weights are sound numbers, or refused.
  private static func readWeights(of file: SafetensorsFile) throws(Violation) {
    for name in file.names.prefix(8) {
      let shape = file.tensor(named: name)!.shape
      guard shape.rank > 0, (1...4096).contains(shape.count) else { continue }
      let stem = name.split(separator: ".", omittingEmptySubsequences: false).first ?? ""
      for logicalShape in [shape, [3, 8], [16, 32]] {
        let weight: StoredWeight
        do throws(WeightError) {
          weight = try WeightStore(files: [file])
            .weight(named: String(stem), logicalShape: logicalShape)
        } catch {
          try expectText(error, maximumBytes: 16_384)
          continue
        }
        let numbers = weight.dequantized()
        try expect(numbers.count == logicalShape.count, "the numbers of a weight")
        try expect(!numbers.contains(where: \.isNaN), "NaN in a weight")
      }
    }
  }

  static func peel(_ input: [UInt8]) throws(Violation) {
    let peel: PeelFile
    do throws(PeelError) { peel = try PeelFile(contents: input, path: "peel") } catch {
      return try expectText(error)
    }
    try expect(
      peel.updates.isEmpty == (peel.embedding != nil), "a peel of nothing, or of two kinds")
    for update in peel.updates {
      try expect((0...PeelFile.maximumRank).contains(update.rank), "a rank of \(update.rank)")
      try expect(
        update.rank > 0 || update.shifts || update.scalesInputs || update.scalesOutputs,
        "an update of nothing")
      // A few numbers can stand for many, which are laid out only beside a weight of that size.
      guard update.rank * max(update.inWidth, update.outWidth) <= 1 << 20 else { return }
      try expect(update.down.count == update.rank * update.inWidth, "the length of down")
      try expect(update.up.count == update.rank * update.outWidth, "the length of up")
      let rows = [update.shift, update.inputScale, update.outputScale, update.magnitudes]
      try expect(
        (update.down + update.up + rows.flatMap { $0 ?? [] }).allSatisfy(\.isFinite),
        "a number that is not finite")
    }
    let texts = peel.texts
    for text in [texts.title, texts.license, texts.baseModel, texts.baseModelHash] {
      try expect(text != "", "an empty text")
      try expect(text?.utf8.count ?? 0 <= PeelTexts.lineBytes, "a text that is not cut")
    }
    try expect(!texts.triggerWords.contains(""), "an empty trigger word")
    try expect(texts.triggerWords.count <= PeelTexts.triggerWords, "trigger words without end")
    let metadataBytes = texts.metadata.reduce(0) { $0 + $1.key.utf8.count + $1.value.utf8.count }
    try expect(metadataBytes <= PeelTexts.totalBytes, "metadata without end")
    try expect(peel.warnings.allSatisfy { $0.utf8.count <= 1024 }, "a warning without end")
    if let embedding = peel.embedding { try check(embedding) } else { try rewrite(peel) }
  }

  private static func check(_ embedding: PeelEmbedding) throws(Violation) {
    try expect(1...PeelEmbedding.maximumVectors ~= embedding.count, "vectors without end")
    try expect(!embedding.widths.isEmpty, "an embedding of nothing")
    for (encoder, width) in embedding.widths {
      let numbers = embedding.vectors(of: encoder)
      try expect(numbers.count == embedding.count * width, "the numbers of an embedding")
      try expect(numbers.allSatisfy(\.isFinite), "a number that is not finite")
    }
    try expect(embedding.token?.utf8.count ?? 0 <= 100, "a word without end")
  }

  /// A peel in another key style and with its scale folded in is the same peel.
  private static func rewrite(_ peel: PeelFile) throws(Violation) {
    func tensor(_ name: String, _ shape: [Int], _ numbers: [Float]) -> SafetensorsWriter.Tensor {
      .init(
        name: name, type: .float32, shape: shape,
        bytes: numbers.withUnsafeBytes { Array($0) })
    }
    let tensors = peel.updates.flatMap { update in
      let stem = stem(of: update)
      var tensors: [SafetensorsWriter.Tensor] = []
      if update.rank > 0 {
        let kernel = update.kernel?.dimensions ?? []
        let inputs = update.inWidth / kernel.reduce(1, *)
        tensors = [
          tensor("\(stem).lora_down.weight", [update.rank, inputs] + kernel, update.down),
          tensor("\(stem).lora_up.weight", [update.outWidth, update.rank], update.up),
        ]
      }
      if let scale = update.inputScale ?? update.outputScale {
        tensors.append(tensor("\(stem).weight", [scale.count], scale))
        tensors.append(tensor("\(stem).on_input", [], [update.scalesInputs ? 1 : 0]))
      }
      if let row = update.shift { tensors.append(tensor("\(stem).diff_b", [row.count], row)) }
      if let row = update.magnitudes {
        tensors.append(tensor("\(stem).dora_scale", [row.count, 1], row))
      }
      return tensors
    }
    let again: PeelFile
    do throws(PeelError) {
      again = try PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel")
    } catch { throw Violation(description: "a peel as written is refused: \(error)") }
    try expect(again.updates == peel.updates, "a peel is not read as it was written")
  }

  /// What stands in front of an update's factors in kohya's style: behind such a root nothing more
  /// is cut off, so that a target like another root stays.
  private static func stem(of update: PeelFile.Update) -> String {
    let root =
      switch update.network {
      case .denoiser: "lora_unet_"
      case .textEncoder(let number): "lora_te\(number)_"
      }
    return root + update.target
  }

  static func manifest(_ input: [UInt8]) throws(Violation) {
    let parts: (manifest: ModelManifest, configuration: Data)
    do throws(ModelPackageError) {
      parts = try ModelPackage.manifest(in: MappedFile(contents: input, path: "model.json"))
    } catch { return try expectText(error, maximumBytes: 4096 + input.count) }
    let (manifest, configuration) = parts
    try expect((1...input.count).contains(configuration.count), "the configuration's length")
    try expect(manifest.byteCount >= 0, "the size of all files")
    try expect(
      manifest.weights.values.joined().allSatisfy { manifest.files[$0] != nil }, "unlisted weights")
    guard let known = try? JSONDecoder().decode(StickerConfiguration.self, from: configuration),
      let family = try? Sticker(known)
    else { return }
    let facts = family.facts
    guard (try? facts.validate()) != nil else { return }
    try expect(facts.offered(facts.nativeSize) != nil, "the native size is not offered")
    try expect(facts.latents.standardDeviation.allSatisfy { $0 > 0 }, "a deviation")
  }

  static func png(_ input: [UInt8]) throws(Violation) {
    try decode(input)
    try decode(repaired(input))
  }

  private static func decode(_ file: [UInt8]) throws(Violation) {
    let maximumPixels = 4096
    let texts = PNG.texts(in: file)
    let pixels: Pixels
    do throws(PNGError) { pixels = try PNG.decode(file, maximumPixels: maximumPixels) } catch {
      return try expectText(error)
    }
    try expect(pixels.width > 0 && pixels.height > 0, "a picture without pixels")
    try expect(pixels.width * pixels.height <= maximumPixels, "too many pixels")
    try expect(pixels.bytes.count == pixels.width * pixels.height * 4, "the length of the pixels")
    let values = PremultipliedImage(pixels).values
    try expect(values.allSatisfy { (0...1).contains($0) }, "a value outside of 0...1")
    let written: [UInt8]
    do throws(PNGError) { written = try PNG.encode(pixels, texts: texts) } catch {
      guard case .invalidText = error else {
        throw Violation(description: "a picture cannot be written: \(error)")
      }
      return
    }
    try expect(PNG.texts(in: written) == texts, "texts are not written as they were read")
    try expect((try? PNG.decode(written)) == pixels, "pixels are not written as they were read")
  }

  /// The file with the checksums that its chunks should have: damage behind them is found at once.
  private static func repaired(_ input: [UInt8]) -> [UInt8] {
    var file = input
    var position = 8
    while position + 12 <= file.count {
      let length = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
      let end = position + 8 + length
      if end + 4 > file.count { break }
      let checksum = PNG.checksum(Array(file[position + 4..<end]))
      for byte in 0..<4 {
        file[end + byte] = UInt8(truncatingIfNeeded: checksum >> (24 - 8 * byte))
      }
      position = end + 4
    }
    return file
  }

  static func settings(_ input: [UInt8]) throws(Violation) {
    let settings: Settings
    do throws(SettingsError) { settings = try Settings(json: Data(input), path: "config") } catch {
      return try expectText(error, maximumBytes: 4096 + input.count)
    }
    try expect(settings.needingRestart(to: settings).isEmpty, "settings differ from themselves")
    try expect((1...100_000).contains(settings.daemon.waitingJobs), "queue_capacity")
    try expect((0...1).contains(settings.daemon.quotas.queueShare), "queue_share")
    try expect(settings.daemon.idleTimeout >= .seconds(1), "idle_timeout_seconds")
  }
}
