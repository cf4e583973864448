import BananaAPI
import BananaServer
import Diffusion
import FoundationEssentials
import HummingbirdCore
import Imaging
import Models
import NIOCore
import Serving

/// What the daemon reads from its socket, and both sides from the environment.
extension FuzzTarget {
  private static let model = ModelDescription(
    name: "sticker", family: "sticker", version: "1", description: "Draws stickers.",
    styles: ["3d", "flat"], defaultStyle: "3d",
    sizes: [
      OfferedSize(PictureSize(width: 256, height: 256)),
      OfferedSize(PictureSize(width: 512, height: 512)),
    ],
    nativeSize: OfferedSize(PictureSize(width: 512, height: 512)), peakBytes: 40, defaultSteps: 4,
    defaultGuidance: 1,
    parameterCount: 1, weightBytes: 1, backend: "none")

  static func generation(_ input: [UInt8]) throws(Violation) {
    let wire: ImageGenerationRequest
    do {
      wire = try WireJSON.decode(ImageGenerationRequest.self, from: ByteBuffer(bytes: input))
      try wire.validate()
    } catch { return try expectRefusal(error, input) }
    try expect(!wire.prompt.isEmpty, "an empty prompt")
    let again = try? WireJSON.decode(ImageGenerationRequest.self, from: WireJSON.encode(wire))
    var written = wire
    written.ignored = []
    try expect(again == written, "a request is not read as it was written")
    try complete(wire, input)
  }

  /// Completes a request that is valid for every model with a model's facts.
  private static func complete(
    _ wire: ImageGenerationRequest, _ input: [UInt8]
  ) throws(Violation) {
    let request: PictureRequest
    do throws(APIError) {
      request = try PictureRequest(wire, model: model, randomSeed: 1)
    } catch { return try expectRefusal(error, input) }
    try expect((1...10).contains(request.count), "the number of pictures")
    try expect(model.sizes.contains { $0.size == request.size }, "a size")
    try expect(
      !request.prompt.unicodeScalars.contains { $0.properties.generalCategory == .control },
      "a control character in a prompt")
  }

  /// Whatever is refused is refused with an error of the API.
  private static func expectRefusal(_ error: any Error, _ input: [UInt8]) throws(Violation) {
    guard let error = error as? APIError else {
      throw Violation(description: "an error that is none of the API: \(error)")
    }
    try expect((400..<500).contains(error.code.httpStatus), "\(error.code) for a bad request")
    try expectText(error, maximumBytes: 4096 + input.count)
  }

  static func form(_ input: [UInt8]) throws(Violation) {
    guard let seed = input.first else { return }
    let lines = input.dropFirst().split(
      separator: UInt8(ascii: "\n"), maxSplits: 1, omittingEmptySubsequences: false)
    let contentType = String(decoding: lines[0], as: UTF8.self)
    let body = lines.count > 1 ? Array(lines[1]) : []
    let whole = parts(contentType, [body[...]])
    try expect(whole == parts(contentType, body.pieces(seed)), "pieces give another form")
    switch whole {
    case .failure(let error): try expectText(error)
    case .success(let parts):
      try expect(parts.count <= MultipartParser.maximumParts, "too many parts")
      try expect(parts.reduce(0) { $0 + $1.bytes.count } <= body.count, "more parts than bytes")
      try edit(parts, input)
    }
  }

  private static func parts(
    _ contentType: String, _ pieces: [ArraySlice<UInt8>]
  ) -> Result<[FormPart], MultipartError> {
    Result { () throws(MultipartError) in
      var parser = try MultipartParser(contentType: contentType)
      for piece in pieces { try parser.append(piece) }
      return try parser.finish()
    }
  }

  private static func edit(_ parts: [FormPart], _ input: [UInt8]) throws(Violation) {
    let form: EditForm
    do { form = try EditForm(parts) } catch {
      // A form has fields: an error that names none cannot be acted on.
      try expect((error as? APIError)?.param != nil, "no field is named: \(error)")
      return try expectRefusal(error, input)
    }
    var request = PictureRequest(prompt: "x", size: PictureSize(width: 64, height: 64))
    do throws(APIError) { try form.addImages(to: &request, maximumPixels: 4096) } catch {
      return try expectRefusal(error, input)
    }
    try expect((0.001...1).contains(request.strength), "a strength of \(request.strength)")
    for input in request.images {
      try expect(input.image.width * input.image.height <= 4096, "too many pixels")
    }
  }

  static func path(_ input: [UInt8]) throws(Violation) {
    let target = String(decoding: input, as: UTF8.self)
    let uri = URI(target)
    let served = Route.served.filter { $0.matches(uri.path) }
    try expect(served.count <= 1, "\(served.count) routes for one path")
    for (name, value) in uri.queryParameters {
      try expect(name.utf8.count + value.utf8.count <= 3 * input.count, "a query's length")
      guard PeelLimits.isName(String(value)) else { continue }
      try expect(!value.hasPrefix(".") && !value.contains("/"), "a name that is a path")
      try expect(value.utf8.count <= PeelLimits.nameCharacters, "a name that is too long")
    }
  }

  static func environment(_ input: [UInt8]) throws(Violation) {
    var environment: [String: String] = [:]
    for line in String(decoding: input, as: UTF8.self).split(separator: "\n") {
      let halves = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      environment[String(halves[0])] = halves.count > 1 ? String(halves[1]) : ""
    }
    let path = SocketPath.forClient(environment: environment) { _ in true }
    try expect(!path.isEmpty, "no socket")
  }
}
