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

  private func request(
    _ prompt: String, side: Int = 64, steps: Int, seed: UInt64 = 1
  ) -> PictureRequest {
    PictureRequest(prompt: prompt, size: .square(side), steps: steps, seed: seed)
  }

  @Test(arguments: [1, 2, 3, 4], [false, true])
  func picturesOfAPassAreThoseDrawnAlone(count: Int, isConsistency: Bool) throws {
    let model = isConsistency ? try consistencyModel() : self.model
    let pipeline = pipeline(model)
    let requests = ["a red apple", "green frog", "x", "grinning face"].prefix(count).enumerated()
      .map { request($1, steps: 3, seed: UInt64($0)) }
    let alone = try requests.map { try pipeline.draw($0)[0] }
    let conditionings = try requests.map { try pipeline.prepare($0) }
    let denoising = try pipeline.begin(requests[0])
    let pictures = try conditionings.enumerated().map { try denoising.begin($1, seed: UInt64($0)) }
    while !denoising.isDone { try denoising.advance() }
    for index in 0..<count {
      let picture = try pipeline.decode(pictures[index].latents, of: conditionings[index]).whole()
      #expect(picture == alone[index], "picture \(index)")
    }
    if count > 1 { #expect(alone[0] != alone[1]) }
  }

  @Test func onePictureLeavesAndTheOthersGoOn() throws {
    let pipeline = pipeline()
    let request = request("a red apple", steps: 4)
    let conditioning = try pipeline.prepare(request)
    let (whole, partial) = (try pipeline.begin(request), try pipeline.begin(request))
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
    let requests = ["a red apple", "green frog", "x"].map { request($0, steps: 6) }
    let conditionings = try requests.map { try pipeline.prepare($0) }
    let expected = try conditionings.map { conditioning in
      let denoising = try pipeline.begin(requests[0])
      let picture = try denoising.begin(conditioning, seed: 5)
      while !denoising.isDone { try denoising.advance() }
      return picture.latents
    }
    let first = try pipeline.begin(requests[0])
    var pictures = [try first.begin(conditionings[0], seed: 5)]
    for _ in 0..<3 { try first.advance() }
    // In between the network is used by others.
    let second = try pipeline.begin(requests[1])
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
      let request = request("a red apple", steps: 3)
      let conditioning = try pipeline.prepare(request)
      let denoising = try pipeline.begin(request)
      let picture = try denoising.begin(conditioning, seed: 1)
      while !denoising.isDone { try denoising.advance() }
      #expect(denoising.cleanEstimate(of: picture) == picture.latents)
    }
  }

  @Test func distilledModelsHaveTheirOwnGuidance() throws {
    let pipeline = pipeline(try consistencyModel())
    var request = request("x", steps: 1)
    request.guidance = 1
    #expect(try pipeline.prepare(request).copies == 1)
    request.guidance = 2
    do throws(GenerationError) {
      _ = try pipeline.prepare(request)
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

  @Test func eachSamplerDrawsItsOwnPicture() throws {
    let pipeline = pipeline()
    var request = request("a red apple", steps: 4)
    let usual = try pipeline.draw(request)
    var pictures: [[PremultipliedImage]] = []
    for sampler in [Sampler.euler, .eulerAncestral, .consistency, .dpmSolver] {
      request.sampler = sampler
      let drawn = try pipeline.draw(request)
      #expect(!pictures.contains(drawn))
      #expect(try pipeline.draw(request) == drawn)
      pictures.append(drawn)
    }
    #expect(model.facts.sampling.sampler == .euler && pictures[0] == usual)
    request.sampler = .ddim
    #expect(try pipeline.draw(request) == usual)
    request.sampler = .trajectoryConsistency
    #expect(throws: GenerationError.self) { try pipeline.prepare(request) }
    (request.sampler, request.spacing) = (.euler, .trailing)
    #expect(throws: GenerationError.unknownSpacing(.trailing, known: [])) {
      try pipeline.prepare(request)
    }
    request.spacing = nil
    // One step goes to the clean latents at once, with whatever sampler.
    request.steps = 1
    let once = try [Sampler.euler, .eulerAncestral, .consistency, .dpmSolver].map {
      request.sampler = $0
      return try pipeline.draw(request)[0].pixels()
    }
    #expect(once.allSatisfy { $0 == once[0] })
  }

  /// Guidance leads away from the negative prompt, also beside pictures that have another one, and
  /// where it is longer than the prompt.
  @Test func negativePromptsAreLedAwayFrom() throws {
    let pipeline = pipeline()
    let long = "frog apple face x y z frog apple face x y z frog apple face x y z frog"
    var requests = ["", "green frog", "x", long].map { negative in
      var request = request("a red apple", steps: 2)
      (request.guidance, request.negativePrompt) = (3, negative)
      return request
    }
    let alone = try requests.map { try pipeline.draw($0)[0] }
    #expect(Set(alone.map { $0.pixels().bytes }).count == requests.count)
    #expect(model.textTokens(of: requests[3]) > model.textTokens(of: requests[0]))
    let denoising = try pipeline.begin(requests[0])
    let together = try requests.prefix(3).map {
      let conditioning = try pipeline.prepare($0)
      return (conditioning, try denoising.begin(conditioning, seed: $0.seed))
    }
    while !denoising.isDone { try denoising.advance() }
    for ((conditioning, picture), expected) in zip(together, alone) {
      #expect(try pipeline.decode(picture.latents, of: conditioning).whole() == expected)
    }
    // Without guidance there is nothing to lead away.
    for index in requests.indices { requests[index].guidance = 1 }
    let unguided = try requests.map { try pipeline.draw($0)[0] }
    #expect(unguided.allSatisfy { $0 == unguided[0] })
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
    var request = request("a red apple", side: size, steps: 4, seed: 3)
    request.images = [
      ImageInput(source, role: .source), ImageInput(mask(size), role: .mask),
    ]
    let edited = try pipeline.draw(request)[0]
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
    let source = try pipeline.draw(request("a red apple", side: 512, steps: 8))[0]
    var edit = request("a green frog", side: 512, steps: 8, seed: 2)
    edit.images = [ImageInput(source, role: .source)]
    func distance(_ strength: Float) throws -> Float {
      edit.strength = strength
      let picture = try pipeline.draw(edit)[0]
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
    let plain = request("a red apple", steps: 3)
    var edit = plain
    edit.images = [ImageInput(picture(64), role: .source)]
    #expect(try pipeline.draw(edit) == pipeline.draw(plain))
  }

  /// What is fitted before it waits draws as what came, and takes no more than it needs.
  @Test(arguments: [false, true]) func fittedImagesDrawTheSame(hasMask: Bool) throws {
    let pipeline = pipeline()
    let size = try #require(model.facts.offered(.square(32)))
    var whole = request("a red apple", side: 32, steps: 2)
    whole.strength = 0.5
    whole.images = [ImageInput(picture(150), role: .source)]
    if hasMask { whole.images.append(ImageInput(mask(150), role: .mask)) }
    let fitted = whole.fitted(to: size)
    #expect(try pipeline.draw(fitted) == pipeline.draw(whole))
    #expect(fitted.fitted(to: size) == fitted && fitted != whole)
    let pixels = hasMask ? 2 * (64 * 64 + 32 * 32) : 64 * 64
    #expect(fitted.images.reduce(0) { $0 + $1.byteCount } == 16 * pixels)
  }

  @Test(arguments: [ImageInput.Role.reference, .control])
  func imagesThatTheModelCannotReadAreRefused(role: ImageInput.Role) throws {
    var request = request("x", steps: 1)
    request.images = [ImageInput(picture(64), role: role)]
    #expect(throws: GenerationError.imageRole(role)) { try pipeline().prepare(request) }
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
    var request = request("a red apple", steps: 1)
    request.images = [ImageInput(picture(64), role: .source)]
    (request.guidance, request.count) = (guidance, pictures)
    func told(_ resident: Residency) -> Int {
      pipeline.plans.passPeakBytes(
        pictures: pictures, of: OfferedSize(.square(64)), isGuided: guidance != 1,
        tokens: model.textTokens(of: request), peels: nil, hasSource: true,
        resident: resident)
    }
    let cold = told(Residency())
    _ = try pipeline.draw(request)
    #expect(cold - told(pipeline.residency) == pipeline.residency.byteCount)
  }

  @Test func memoryIsGivenBack() throws {
    let pipeline = pipeline()
    let request = request("x", steps: 1)
    let first = try pipeline.draw(request)
    let full = pipeline.residency.byteCount
    pipeline.mark()
    var other = request
    other.guidance = 1
    _ = try pipeline.draw(other)
    let networks = pipeline.residency.networks.count
    pipeline.releaseUnused()
    #expect(pipeline.residency.networks.count < networks)
    pipeline.releaseAll()
    #expect(pipeline.residency.byteCount == 0 && full > 0)
    #expect(try pipeline.draw(request) == first)
  }
}
