public import BananaAPI
import NIOCore
import NIOHTTP1

#if canImport(FoundationEssentials)
  public import FoundationEssentials
#else
  public import Foundation
#endif

/// A picture to change, and into what.
public struct ImageEdit: Sendable, Equatable {
  /// What to draw, and how.
  public var request: ImageGenerationRequest
  /// A PNG file of any size.
  public var image: Data
  /// A PNG file of the image's size: what is clear in it is drawn anew, the rest is kept. Nil
  /// changes the whole image.
  public var mask: Data?
  /// How much is drawn anew, 0.001 to 1; 1 keeps nothing. Nil is the daemon's default.
  public var strength: Double?

  /// A change of `image` as `request` describes it; a nil mask changes all of it.
  public init(
    _ request: ImageGenerationRequest, image: Data, mask: Data? = nil, strength: Double? = nil
  ) {
    self.request = request
    self.image = image
    self.mask = mask
    self.strength = strength
  }
}

extension BananaClient {
  /// Changes a picture and returns when the new ones are done.
  public func edit(_ edit: ImageEdit) async throws(BananaError) -> ImageGenerationResponse {
    var edit = edit
    edit.request.stream = nil
    edit.request.partialImages = nil
    return try await call(.POST, Route.imageEdits, body: edit.body())
  }

  /// Changes a picture and tells what happens on the way, as `events(for:)` does.
  public func events(editing edit: ImageEdit) -> AsyncThrowingStream<GenerationEvent, any Error> {
    var edit = edit
    edit.request.stream = true
    return events(pictures: edit.request.count ?? 1, path: Route.imageEdits) {
      [edit] () throws(BananaError) in try edit.body()
    }
  }
}

extension ImageEdit {
  /// The form that OpenAI's clients send.
  func body() throws(BananaError) -> HTTPBody {
    var form = MultipartForm()
    form.add("prompt", request.prompt)
    form.add("negative_prompt", request.negativePrompt)
    form.add("model", request.model)
    form.add("n", request.count)
    form.add("size", request.size)
    form.add("strict_size", request.strictSize)
    form.add("background", request.background?.rawValue)
    form.add("style", request.style)
    form.add("seed", request.seed)
    form.add("steps", request.steps)
    form.add("guidance", request.guidance)
    form.add("sampler", request.sampler?.rawValue)
    form.add("spacing", request.spacing?.rawValue)
    form.add("clip_skip", request.clipSkip)
    form.add("stream", request.stream)
    form.add("partial_images", request.partialImages)
    form.add("response_format", request.responseFormat)
    form.add("output_format", request.outputFormat)
    form.add("quality", request.quality)
    form.add("output_compression", request.outputCompression)
    form.add("moderation", request.moderation)
    form.add("user", request.user)
    form.add("priority", request.priority?.rawValue)
    form.add("deadline_seconds", request.deadlineSeconds)
    form.add("store", request.store)
    form.add("provenance", request.provenance)
    form.add("strength", strength)
    if let peels = request.peels {
      form.add("peels", String(buffer: try BananaClient.json(peels).bytes))
    }
    form.addFile("image", image)
    if let mask { form.addFile("mask", mask) }
    return form.body
  }
}

/// A `multipart/form-data` body (RFC 7578).
struct MultipartForm {
  // As many random bits as make it impossible that a file has it in it.
  private let boundary =
    "banana-\(UInt64.random(in: 0...UInt64.max))\(UInt64.random(in: 0...UInt64.max))"
  private var bytes = ByteBuffer()

  mutating func add(_ name: String, _ value: (some CustomStringConvertible)?) {
    guard let value else { return }
    bytes.writeString(
      "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n")
  }

  mutating func addFile(_ name: String, _ content: Data) {
    bytes.writeString(
      "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"; "
        + "filename=\"\(name).png\"\r\nContent-Type: image/png\r\n\r\n")
    bytes.writeBytes(content)
    bytes.writeString("\r\n")
  }

  /// The whole form.
  var body: HTTPBody {
    var whole = bytes
    whole.writeString("--\(boundary)--\r\n")
    return HTTPBody(contentType: "multipart/form-data; boundary=\(boundary)", bytes: whole)
  }
}
