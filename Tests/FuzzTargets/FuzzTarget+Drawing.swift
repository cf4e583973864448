import BananaAPI
import BananaServer
import CPUBackend
import Diffusion
import Dispatch
import Imaging
import Models
import Serving
import Synchronization
import TensorTypes
import Weights

/// What reaches the engine: the numbers of requests, and who shares their batch.
extension FuzzTarget {
  /// With guidance and a sampler that is free in its steps: all that distilled models lack.
  private static let engine: DiffusionEngine = {
    // The fixture is whole, or its own tests fail.
    // swift-format-ignore: NeverUseForceTry
    let model = try! LoadedModel(
      path: Corpus.folder.replacing("/fuzz", with: "/goldens/tiny"))
    return DiffusionEngine(model, backend: CPUBackend(threadCount: 1), activations: .int8)
  }()

  /// An ordinary peel, two whose sum has too high a rank, and one with the largest numbers.
  private static let peels: [OpenPeel] = [
    peel(rank: 1, 0.5), peel(rank: 140, 0.01), peel(rank: 200, 0.01),
    peel(rank: 1, .greatestFiniteMagnitude),
  ]

  private static func peel(rank: Int, _ number: Float) -> OpenPeel {
    let numbers = [Float](repeating: number, count: 64 * rank)
    let tensors = [("A", [rank, 64]), ("B", [64, rank])].map { part, shape in
      SafetensorsWriter.Tensor(
        name: "layers.0.out.lora_\(part).weight", type: .float32, shape: shape,
        bytes: numbers.withUnsafeBytes { Array($0) })
    }
    // swift-format-ignore: NeverUseForceTry
    return OpenPeel(try! PeelFile(contents: SafetensorsWriter.bytes(tensors), path: "peel"))
  }

  static func drawing(_ input: [UInt8]) throws(Violation) {
    var numbers = DrawnNumbers(input)
    engine.apply(EngineLimits(batch: 1 + numbers.below(4), threads: 1, pace: 1))
    let isAltogether = numbers.below(4) == 0
    var requests: [PictureRequest] = []
    for _ in 0...numbers.below(3) {
      if let request = try request(&numbers) { requests.append(request) }
    }
    // As the scheduler puts them together, or against all its rules.
    let batches =
      isAltogether
      ? [requests] : Dictionary(grouping: requests, by: engine.batchKey).values.map { $0 }
    for batch in batches where !batch.isEmpty { try draw(batch) }
  }

  private static func draw(_ batch: [PictureRequest]) throws(Violation) {
    let together = generate(batch)
    for (request, ends) in zip(batch, together) {
      try expect(ends.count == 1, "a job ended \(ends.count) times")
      guard case .success(let result) = ends[0] else { continue }
      try expect(result.pictures.count == request.count, "\(result.pictures.count) pictures")
      for picture in result.pictures {
        let pixels = try? PNG.decode(picture.png)
        try expect(pixels?.width == request.size.width, "a picture of another size")
      }
    }
    guard batch.count > 1 else { return }
    let alone = generate([batch[0]])[0]
    switch (alone[0], together[0][0]) {
    case (.success(let one), .success(let other)):
      try expect(
        one.pictures.map(\.png) == other.pictures.map(\.png), "a picture depends on its batch")
    case (.failure(let one), .failure(let other)):
      try expect(one == other, "a failure depends on its batch")
    default: throw Violation(description: "a job's end depends on its batch")
    }
  }

  /// A request as it comes out of the daemon's own checks; nil if they refuse it.
  private static func request(_ numbers: inout DrawnNumbers) throws(Violation) -> PictureRequest? {
    var wire = ImageGenerationRequest(prompt: numbers.text())
    wire.count = 1 + numbers.below(2)
    wire.size = numbers.below(2) == 0 ? "64x64" : "32x32"
    wire.steps = numbers.below(32) == 0 ? 50 : 1 + numbers.below(3)
    wire.seed = numbers.word()
    wire.background = numbers.below(2) == 0 ? .opaque : nil
    wire.stream = true
    wire.partialImages = numbers.below(4)
    if numbers.below(2) == 0 { wire.guidance = numbers.real(in: 0...30) }
    wire.peels = (0..<numbers.below(3)).map { _ in
      PeelReference(
        name: "\(numbers.below(peels.count))", strength: numbers.real(in: -4...4))
    }
    do {
      try wire.validate()
      let form = numbers.below(2) == 0 ? try self.form(&numbers) : nil
      var request = try PictureRequest(
        wire, model: engine.model, randomSeed: 1,
        peels: (wire.peels ?? []).map { use in
          PeelUse(
            peels[Int(use.name)!], name: use.name, strength: Float(use.strength), heldBy: nil)
        })
      try form?.addImages(to: &request, maximumPixels: 4096)
      return request
    } catch {
      try expect(error is APIError, "an error that is none of the API: \(error)")
      return nil
    }
  }

  private static func form(_ numbers: inout DrawnNumbers) throws -> EditForm {
    let (width, height) = (1 + numbers.below(8), 1 + numbers.below(8))
    var body = part("name=\"prompt\"", [0x78])
    body += part("name=\"strength\"", Array("\(numbers.real(in: 0...1))".utf8))
    body += part(#"name="image"; filename="i.png""#, try png(&numbers, width, height))
    if numbers.below(2) == 0 {
      body += part(#"name="mask"; filename="m.png""#, try png(&numbers, width, height))
    }
    var parser = try MultipartParser(contentType: "multipart/form-data; boundary=\(boundary)")
    try parser.append(body + Array("--\(boundary)--\r\n".utf8))
    return try EditForm(parser.finish())
  }

  private static let boundary = "7MA4YWxkTrZu0gW"

  private static func part(_ head: String, _ bytes: [UInt8]) -> [UInt8] {
    let head = "--\(boundary)\r\nContent-Disposition: form-data; \(head)\r\n\r\n"
    return Array(head.utf8) + bytes + [13, 10]
  }

  private static func png(
    _ numbers: inout DrawnNumbers, _ width: Int, _ height: Int
  ) throws -> [UInt8] {
    let bytes = (0..<width * height * 4).map { _ in numbers.byte() }
    return try PNG.encode(Pixels(width: width, height: height, bytes: bytes))
  }

  /// What each of the jobs ended with.
  private static func generate(
    _ requests: [PictureRequest]
  ) -> [[Result<PictureResult, EngineError>]] {
    let ends = DrawnEnds(requests.count)
    let jobs = requests.enumerated().map { index, request in
      PictureJob(
        request: request, isCancelled: { false }, progress: { _ in }, preview: { _ in },
        finish: { end in ends.value.withLock { $0[index].append(end) } })
    }
    let isDone = DispatchSemaphore(value: 0)
    Task.detached {
      // As if others wanted a turn after every piece of work.
      var left = jobs
      for _ in 0..<1000 where !left.isEmpty {
        _ = await engine.generate(left, yields: { true })
        let isOver = ends.value.withLock { $0.map { !$0.isEmpty } }
        left = zip(jobs, isOver).filter { !$1 }.map(\.0)
      }
      isDone.signal()
    }
    isDone.wait()
    return ends.value.withLock { $0 }
  }
}

private final class DrawnEnds: Sendable {
  let value: Mutex<[[Result<PictureResult, EngineError>]]>

  init(_ count: Int) {
    value = Mutex(Array(repeating: [], count: count))
  }
}

/// An input as a source of numbers; zeros when it is used up.
private struct DrawnNumbers {
  private var rest: ArraySlice<UInt8>

  init(_ input: [UInt8]) {
    rest = input[...]
  }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  mutating func below(_ count: Int) -> Int { Int(byte()) % count }

  mutating func word() -> UInt64 {
    (0..<8).reduce(0) { word, _ in word << 8 | UInt64(byte()) }
  }

  /// A number as it comes in JSON: any bits, or an end of the range and what is next to it.
  mutating func real(in range: ClosedRange<Double>) -> Double {
    switch below(8) {
    case 0: range.lowerBound
    case 1: range.lowerBound.nextUp
    case 2: range.upperBound
    case 3: 1 + (Double(byte()) - 128) * 1e-9
    case 4: range.lowerBound + (range.upperBound - range.lowerBound) * Double(byte()) / 255
    case 5: Double(sign: .plus, exponent: -Int(byte()), significand: 1)
    default: Double(bitPattern: word())
    }
  }

  mutating func text() -> String {
    String(decoding: (0..<below(24)).map { _ in byte() }, as: UTF8.self)
  }
}
