package import BananaAPI
package import Diffusion
import FoundationEssentials
import Imaging
import NIOCore

/// The form of `POST /v1/images/edits`: files, and the fields of a generation as text.
package struct EditForm {
  package var request: ImageGenerationRequest
  /// PNG files.
  package var image: [UInt8]
  package var mask: [UInt8]?
  /// Nil is the default for what the picture is.
  package var strength: Float?

  /// OpenAI's fields that mean nothing here; `markup` is a file.
  private static let ignoredFields = ForeignNames.ignoredFields.union(["markup"])

  /// - Throws: `APIError` that names the field that is wrong.
  package init(_ parts: [FormPart]) throws {
    var fields: [String: String] = [:]
    var peels = PeelFields()
    var files: [String: [UInt8]] = [:]
    var ignored: [String] = []
    let known = ImageGenerationRequest.fieldNames + ["strength"]
    for part in parts {
      // What a browser sends for a file that nobody chose.
      if part.fileName == "", part.bytes.isEmpty { continue }
      if try peels.take(part) { continue }
      let name = Self.name(of: part)
      if name == "image", files[name] != nil {
        // OpenAI's models take several; the first is the one that its other models change.
        ignored.append("image[] after the first")
        continue
      }
      if name == "image" || name == "mask" {
        guard files.updateValue(part.bytes, forKey: name) == nil else {
          throw APIError(.invalidRequest, "Send only one \(name).", param: name)
        }
        continue
      }
      // Members of an object are name[member].
      let root = String(name.prefix { $0 != "[" })
      if Self.ignoredFields.contains(root) {
        if !part.bytes.isEmpty { ignored.append(root) }
        continue
      }
      guard known.contains(name) else {
        throw ImageGenerationRequest.unknownField(name, known: known + ["image", "mask"])
      }
      guard let text = String(validating: part.bytes, as: UTF8.self) else {
        throw APIError(.invalidRequest, "\(name) is not valid UTF-8.", param: name)
      }
      if Self.isAbsent(text, name) { continue }
      if fields.updateValue(text, forKey: name) != nil {
        throw APIError(.invalidRequest, "Send \(name) only once.", param: name)
      }
    }
    guard let image = files["image"] else {
      throw APIError(.invalidRequest, "image is missing. Send a PNG file.", param: "image")
    }
    self.image = image
    mask = files["mask"]
    strength = try Self.strength(fields.removeValue(forKey: "strength"))
    request = try WireJSON.decode(
      ImageGenerationRequest.self, from: try Self.json(fields))
    if let listed = try peels.references() {
      guard request.peels == nil else {
        throw APIError(.invalidRequest, "Send peels only once.", param: "peels")
      }
      request.peels = listed
    }
    for name in ignored where !request.ignored.contains(name) { request.ignored.append(name) }
    try request.validate()
  }

  /// A part's name without what makes it one of a list: `name[]`, or `name[0]`.
  private static func name(of part: FormPart) -> String {
    let halves = part.name.split(separator: "[", omittingEmptySubsequences: false)
    guard halves.count == 2, halves[1].hasSuffix("]"), halves[1].utf8.count <= 4,
      halves[1].dropLast().utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
    else { return part.name }
    return String(halves[0])
  }

  /// Whether a field was left out by whoever filled in the form: HTML sends it empty, JavaScript
  /// and Python as their word for nothing.
  private static func isAbsent(_ text: String, _ name: String) -> Bool {
    if text.isEmpty { return name != "prompt" }
    return ImageGenerationRequest.kind(of: name) != .text
      && ["null", "undefined", "None"].contains(text)
  }

  private static func strength(_ text: String?) throws(APIError) -> Float? {
    guard let text else { return nil }
    guard WireJSON.isNumber(text), let strength = Float(text),
      PictureRequest.strengths.contains(strength)
    else {
      let range = PictureRequest.strengths
      throw APIError(
        .invalidRequest,
        "strength is \"\(text.cut(32))\"; it must be a number between \(range.lowerBound) "
          + "and \(range.upperBound).",
        param: "strength")
    }
    return strength
  }

  /// The JSON body that would say the same; what is not written as its field is stays a string, so
  /// that the request's own decoding says what is wrong with it.
  private static func json(_ fields: [String: String]) throws -> ByteBuffer {
    var members: [String] = []
    for (name, text) in fields {
      members.append("\(try quoted(name)):\(try literal(text, name) ?? quoted(text))")
    }
    return ByteBuffer(string: "{\(members.joined(separator: ","))}")
  }

  private static let truths = [
    "true": "true", "True": "true", "false": "false", "False": "false",
  ]

  /// What `text` is in JSON, if it is what the field `name` is; Python's clients write truth values
  /// with a capital.
  private static func literal(_ text: String, _ name: String) throws(APIError) -> String? {
    switch ImageGenerationRequest.kind(of: name) {
    case .number: return WireJSON.isNumber(text) ? text : nil
    case .flag: return truths[text]
    case .list:
      guard text.utf8.first == UInt8(ascii: "[") else { return nil }
      try WireJSON.check(Array(text.utf8), as: name)
      return text
    case .text, nil: return nil
    }
  }

  private static func quoted(_ text: String) throws -> String {
    String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
  }

  /// Reads the images, and adds them to what the fields asked for.
  /// - Throws: `APIError` that names the file that is wrong.
  package func addImages(
    to request: inout PictureRequest, maximumPixels: Int
  ) throws(APIError) {
    let source = try Self.picture(image, "image", maximumPixels: maximumPixels)
    let mask = try mask(of: source, maximumPixels: maximumPixels)
    request.images = [ImageInput(source, role: .source)]
    if let mask { request.images.append(ImageInput(mask, role: .mask)) }
    // What a mask marks is drawn anew; without one the picture should stay recognisable.
    request.strength = strength ?? (mask == nil ? 0.6 : 1)
  }

  private func mask(
    of source: PremultipliedImage, maximumPixels: Int
  ) throws(APIError) -> PremultipliedImage? {
    // A hole is the mask, as OpenAI's API has it.
    guard let bytes = mask else { return source.hasHole ? source : nil }
    let mask = try Self.picture(bytes, "mask", maximumPixels: maximumPixels)
    guard mask.size == source.size else {
      throw APIError(
        .invalidRequest,
        "The mask has \(mask.size) pixels and the image \(source.size). Send a mask of the image's "
          + "size.", param: "mask")
    }
    guard mask.rgba.contains(where: { $0.w < 1 }) else {
      throw APIError(
        .invalidRequest,
        "The mask is opaque everywhere, so that nothing would be drawn. Make it transparent where "
          + "the picture shall change.", param: "mask")
    }
    return mask
  }

  private static func picture(
    _ bytes: [UInt8], _ param: String, maximumPixels: Int
  ) throws(APIError) -> PremultipliedImage {
    do throws(PNGError) {
      return PremultipliedImage(try PNG.decode(bytes, maximumPixels: maximumPixels))
    } catch {
      if case .tooLarge = error {
        throw APIError(.requestTooLarge, "\(error)", param: param)
      }
      throw APIError(.invalidRequest, "The \(param) cannot be read. \(error)", param: param)
    }
  }
}
