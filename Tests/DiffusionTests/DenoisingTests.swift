import CPUBackend
import Execution
import Foundation
import Imaging
import Models
import TensorTypes
import Testing
import Weights

@testable import Diffusion

/// Pictures in one pass are those drawn alone; sources are kept where they are to be.
@Suite struct DenoisingTests {
  private let model: LoadedModel

  init() throws { model = try Goldens.tiny().model }

  private func pipeline(
    _ model: LoadedModel? = nil, _ activations: ActivationFormat = .int8
  ) -> Pipeline {
    Pipeline(
      model ?? self.model, backend: CPUBackend(threadCount: 1), activations: activations)
  }

  /// The tiny model with another line in its model.json.
  private func tiny(replacing original: String, with changed: String) throws -> LoadedModel {
    let files = FileManager.default
    let folder = files.temporaryDirectory.appending(path: "banana-\(UUID().uuidString)")
    defer { try? files.removeItem(at: folder) }
    try files.copyItem(
      at: Goldens.root.appending(path: "Tests/Fixtures/goldens/tiny"), to: folder)
    let path = folder.appending(path: "model.json")
    let text = try String(contentsOf: path, encoding: .utf8)
    let range = try #require(text.range(of: original))
    try text.replacingCharacters(in: range, with: changed)
      .write(to: path, atomically: true, encoding: .utf8)
    return try LoadedModel(path: folder.path)
  }

  private func consistencyModel() throws -> LoadedModel {
    let guidance = "\"guidance\": \(model.facts.sampling.guidance)"
    return try tiny(
      replacing: guidance, with: "\"guidance\": 1, \"sampler\": \"consistency\"")
  }

  @Test(arguments: [1, 2, 3, 4], [false, true])
  func picturesOfAPassAreThoseDrawnAlone(count: Int, isConsistency: Bool) throws {
    let model = isConsistency ? try consistencyModel() : self.model
    let pipeline = pipeline(model)
    let settings = PassSettings(size: .square(64), steps: 3)
    let prompts = ["a red apple", "green frog", "x", "grinning face"]
    let alone = try (0..<count).map {
      try pipeline.draw(Drawing(prompt: prompts[$0]), seeds: [UInt64($0)], settings)[0]
    }
    let conditionings = try (0..<count).map {
      try pipeline.prepare(Drawing(prompt: prompts[$0]), settings)
    }
    let denoising = try pipeline.begin(settings)
    let pictures = try conditionings.enumerated().map { try denoising.begin($1, seed: UInt64($0)) }
    while !denoising.isDone { try denoising.advance() }
    for index in 0..<count {
      let picture = try pipeline.decode(
        pictures[index].latents, of: conditionings[index], settings
      ).whole()
      #expect(picture == alone[index], "picture \(index)")
    }
    if count > 1 { #expect(alone[0] != alone[1]) }
  }

  @Test func onePictureLeavesAndTheOthersGoOn() throws {
    let pipeline = pipeline()
    let settings = PassSettings(size: .square(64), steps: 4)
    let conditioning = try pipeline.prepare(Drawing(prompt: "a red apple"), settings)
    let (whole, partial) = (try pipeline.begin(settings), try pipeline.begin(settings))
    let expected = try (1...3 as ClosedRange<UInt64>).map {
      try whole.begin(conditioning, seed: $0)
    }
    let pictures = try (1...3 as ClosedRange<UInt64>).map {
      try partial.begin(conditioning, seed: $0)
    }
    while !whole.isDone { try whole.advance() }
    for step in 0..<4 {
      if step == 2 { partial.remove(pictures[1]) }
      if step == 3 { partial.remove(pictures[0]) }
      try partial.advance()
    }
    #expect(pictures[2].latents == expected[2].latents)
    #expect(pictures.map(\.step) == [3, 2, 4])
  }

  /// Pictures that leave a pass, go on later, and beside others that are at other steps.
  @Test(arguments: [false, true])
  func picturesGoOnWhereTheyLeft(isConsistency: Bool) throws {
    let pipeline = pipeline(isConsistency ? try consistencyModel() : model)
    let settings = PassSettings(size: .square(64), steps: 6)
    let conditionings = try ["a red apple", "green frog", "x"].map {
      try pipeline.prepare(Drawing(prompt: $0), settings)
    }
    let expected = try conditionings.map { conditioning in
      let denoising = try pipeline.begin(settings)
      let picture = try denoising.begin(conditioning, seed: 5)
      while !denoising.isDone { try denoising.advance() }
      return picture.latents
    }
    let first = try pipeline.begin(settings)
    var pictures = [try first.begin(conditionings[0], seed: 5)]
    for _ in 0..<3 { try first.advance() }
    // In between the network is used by others.
    let second = try pipeline.begin(settings)
    pictures.append(try second.begin(conditionings[1], seed: 5))
    try second.advance()
    try second.add(pictures[0])
    try second.advance()
    second.remove(pictures[1])
    pictures.append(try second.begin(conditionings[2], seed: 5))
    while !second.isDone { try second.advance() }
    #expect(pictures.map(\.step) == [6, 2, 6])
    first.remove(pictures[0])
    try first.add(pictures[1])
    while !first.isDone { try first.advance() }
    #expect(pictures.map(\.latents) == expected)
  }

  @Test func theLastEstimateIsThePicture() throws {
    for model in [model, try consistencyModel()] {
      let pipeline = pipeline(model, .float32)
      let settings = PassSettings(size: .square(64), steps: 3)
      let conditioning = try pipeline.prepare(Drawing(prompt: "a red apple"), settings)
      let denoising = try pipeline.begin(settings)
      let picture = try denoising.begin(conditioning, seed: 1)
      while !denoising.isDone { try denoising.advance() }
      #expect(denoising.cleanEstimate(of: picture) == picture.latents)
    }
  }

  @Test func distilledModelsHaveTheirOwnGuidance() throws {
    let pipeline = pipeline(try consistencyModel())
    let settings = PassSettings(size: .square(64), steps: 1)
    #expect(try pipeline.prepare(Drawing(prompt: "x", guidance: 1), settings).copies == 1)
    do throws(GenerationError) {
      _ = try pipeline.prepare(Drawing(prompt: "x", guidance: 2), settings)
      Issue.record("guidance was taken")
    } catch { #expect("\(error)".contains("distilled")) }
    let guidance = "\"guidance\": \(model.facts.sampling.guidance)"
    #expect(throws: ModelLoadingError.self) {
      try tiny(replacing: guidance, with: "\(guidance), \"sampler\": \"consistency\"")
    }
    #expect(throws: ModelLoadingError.self) {
      try tiny(replacing: guidance, with: "\(guidance), \"sampler\": \"heun\"")
    }
  }

  private func picture(_ side: Int) -> PremultipliedImage {
    var pixels = Pixels(width: side, height: side, filledWith: .white)
    for index in pixels.bytes.indices {
      pixels.bytes[index] = UInt8(truncatingIfNeeded: index &* 37 &+ index / 97)
    }
    return PremultipliedImage(pixels)
  }

  /// Clear in the left half.
  private func mask(_ side: Int) -> PremultipliedImage {
    var pixels = Pixels(width: side, height: side, filledWith: .white)
    for index in pixels.bytes.indices where index / 4 % side < side / 2 { pixels.bytes[index] = 0 }
    return PremultipliedImage(pixels)
  }

  @Test(arguments: [false, true], [64, 32])
  func whatAMaskKeepsIsExact(isConsistency: Bool, size: Int) throws {
    let pipeline = pipeline(isConsistency ? try consistencyModel() : model)
    let source = picture(size)
    let drawing = Drawing(
      prompt: "a red apple", source: SourcePicture(image: source, mask: mask(size)))
    let settings = PassSettings(size: .square(size), steps: 4, strength: 1)
    let edited = try pipeline.draw(drawing, seeds: [3], settings)[0]
    var changed = 0
    for index in edited.values.indices {
      if index / 4 % size >= size / 2 {
        try #require(edited.values[index] == source.values[index])
      } else if edited.values[index] != source.values[index] {
        changed += 1
      }
    }
    #expect(changed > 100)
    #expect(edited.pixels().bytes[size * 2 + 3] == source.pixels().bytes[size * 2 + 3])
  }

  @Test func lessStrengthStaysCloserToTheSource() throws {
    let pipeline = pipeline(try Goldens.sticker().model)
    let settings = PassSettings(size: .square(512), steps: 8)
    let source = try pipeline.draw(Drawing(prompt: "a red apple"), seeds: [1], settings)[0]
    func distance(_ strength: Float) throws -> Float {
      let drawing = Drawing(
        prompt: "a green frog", source: SourcePicture(image: source, mask: nil))
      let picture = try pipeline.draw(
        drawing, seeds: [2], PassSettings(size: .square(512), steps: 8, strength: strength))[0]
      return zip(picture.values, source.values).reduce(0) {
        $0 + ($1.0 - $1.1) * ($1.0 - $1.1)
      }
    }
    let (little, all) = (try distance(0.1), try distance(1))
    #expect(little < all / 2)
  }

  /// With all strength nothing of the source is left: it is what the prompt alone gives.
  @Test func allStrengthKeepsNothing() throws {
    let pipeline = pipeline()
    let settings = PassSettings(size: .square(64), steps: 3)
    let source = SourcePicture(image: picture(64), mask: nil)
    let edited = try pipeline.draw(
      Drawing(prompt: "a red apple", source: source), seeds: [1], settings)
    #expect(
      try pipeline.draw(Drawing(prompt: "a red apple"), seeds: [1], settings) == edited)
  }

  /// To the byte: what is told before anything is compiled is what is held after everything ran.
  @Test func peaksAreKnownWithoutCompiling() throws {
    for model in [model, try Goldens.sticker().model] {
      let networks = BoundModel(
        family: model.family, stores: model.stores, backend: CPUBackend(threadCount: 2),
        activations: .int8)
      let names = model.family.networks.map(\.name)
      for batch in [1, 4, 2, 4] {
        let extents = Extents(batch: batch, tokens: 16)
        let keys = names.map { networks.plans.key($0, extents) }
        let before = networks.residency
        let told = networks.plans.peakBytes(of: keys, beside: before)
        for name in names { try networks.session(name, extents).run() }
        #expect(networks.residency.byteCount == before.byteCount + told, "\(batch)")
        #expect(networks.plans.peakBytes(of: keys, beside: networks.residency) == 0)
      }
      networks.releaseUnused()
      #expect(networks.residency.arenaBytes == 0)
    }
  }

  /// What is admitted is what is held: the same, over a whole drawing.
  @Test(arguments: [1, 3], [Float(1), 3]) func aPassHoldsWhatWasTold(
    pictures: Int, guidance: Float
  ) throws {
    let pipeline = pipeline()
    let source = SourcePicture(image: picture(64), mask: nil)
    let drawing = Drawing(prompt: "a red apple", guidance: guidance, source: source)
    func told(_ resident: Residency) -> Int {
      pipeline.plans.passPeakBytes(
        pictures: pictures, of: OfferedSize(.square(64)), isGuided: guidance != 1,
        tokens: model.textTokens(of: "a red apple", style: nil), peels: nil, hasSource: true,
        resident: resident)
    }
    let cold = told(Residency())
    _ = try pipeline.draw(
      drawing, seeds: (0..<pictures).map { UInt64($0) }, PassSettings(size: .square(64), steps: 1))
    #expect(cold - told(pipeline.residency) == pipeline.residency.byteCount)
  }

  @Test func memoryIsGivenBack() throws {
    let pipeline = pipeline()
    let settings = PassSettings(size: .square(64), steps: 1)
    let first = try pipeline.draw(Drawing(prompt: "x"), seeds: [1], settings)
    let full = pipeline.residency.byteCount
    pipeline.mark()
    _ = try pipeline.draw(Drawing(prompt: "x", guidance: 1), seeds: [1], settings)
    let networks = pipeline.residency.networks.count
    pipeline.releaseUnused()
    #expect(pipeline.residency.networks.count < networks)
    pipeline.releaseAll()
    #expect(pipeline.residency.byteCount == 0 && full > 0)
    #expect(try pipeline.draw(Drawing(prompt: "x"), seeds: [1], settings) == first)
  }
}
