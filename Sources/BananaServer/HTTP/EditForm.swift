package import BananaAPI
import Diffusion
import FoundationEssentials
import Imaging
import NIOCore

/// The form of `POST /v1/images/edits`: files, and the fields of a generation as text.
package struct EditForm {
  package var request: ImageGenerationRequest
  /// PNG files.
  package var image: [UInt8]
  package var mask: [UInt8]?
  package var strength: Float

  /// OpenAI's fields that mean nothing here; `markup` is a file.
  private static let ignoredFields = ForeignNames.ignoredFields.union(["markup"])

  /// - Throws: `APIError` that names the field that is wrong.
  package init(_ parts: [FormPart]) throws {
    var fields: [String: String] = [:]
    var peels: [String] = []
    var files: [String: [UInt8]] = [:]
    var ignored: [String] = []
    let known = ImageGenerationRequest.fieldNames + ["strength"]
    for part in parts {
      // OpenAI's clients write lists as name[].
      let name = part.name.hasSuffix("[]") ? String(part.name.dropLast(2)) : part.name
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
      if name == "peels", part.name != name {
        peels.append(text)
      } else if fields.updateValue(text, forKey: name) != nil {
        throw APIError(.invalidRequest, "Send \(name) only once.", param: name)
      }
    }
    guard let image = files["image"] else {
      throw APIError(.invalidRequest, "image is missing. Send a PNG file.", param: "image")
    }
    self.image = image
    mask = files["mask"]
    strength = try Self.strength(fields.removeValue(forKey: "strength"), hasMask: mask != nil)
    request = try WireJSON.decode(
      ImageGenerationRequest.self, from: try Self.json(fields, peels: peels))
    for name in ignored where !request.ignored.contains(name) { request.ignored.append(name) }
    try request.validate()
  }

  /// Whether a field was left out by whoever filled in the form: HTML sends it empty, JavaScript
  /// and Python as their word for nothing.
  private static func isAbsent(_ text: String, _ name: String) -> Bool {
    if text.isEmpty { return name != "prompt" }
    return ImageGenerationRequest.kind(of: name) != .text
      && ["null", "undefined", "None"].contains(text)
  }

  private static func strength(_ text: String?, hasMask: Bool) throws(APIError) -> Float {
    // What a mask marks is drawn anew; without one the picture should stay recognisable.
    guard let text else { return hasMask ? 1 : 0.6 }
    guard WireJSON.isNumber(text), let strength = Float(text),
      PassSettings.strengths.contains(strength)
    else {
      let range = PassSettings.strengths
      throw APIError(
        .invalidRequest,
        "strength is \"\(text.prefix(32))\"; it must be a number between \(range.lowerBound) "
          + "and \(range.upperBound).",
        param: "strength")
    }
    return strength
  }

  /// The JSON body that would say the same; what is not written as its field is stays a string, so
  /// that the request's own decoding says what is wrong with it.
  private static func json(_ fields: [String: String], peels: [String]) throws -> ByteBuffer {
    var members: [String] = []
    for (name, text) in fields {
      members.append("\(try quoted(name)):\(try literal(text, name) ?? quoted(text))")
    }
    if !peels.isEmpty {
      members.append("\"peels\":[\(try peels.map(quoted).joined(separator: ","))]")
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

  /// Reads the pictures.
  /// - Throws: `APIError` that names the file that is wrong.
  package func edit(maximumPixels: Int) throws(APIError) -> PictureEdit {
    let image = try Self.picture(image, "image", maximumPixels: maximumPixels)
    guard let bytes = mask else {
      return PictureEdit(image: image, mask: nil, strength: strength)
    }
    let mask = try Self.picture(bytes, "mask", maximumPixels: maximumPixels)
    guard mask.width == image.width, mask.height == image.height else {
      throw APIError(
        .invalidRequest,
        "The mask has \(mask.width)x\(mask.height) pixels and the image \(image.width)x"
          + "\(image.height). Send a mask of the image's size.", param: "mask")
    }
    guard mask.rgba.contains(where: { $0.w < 1 }) else {
      throw APIError(
        .invalidRequest,
        "The mask is opaque everywhere, so that nothing would be drawn. Make it transparent where "
          + "the picture shall change.", param: "mask")
    }
    return PictureEdit(image: image, mask: mask, strength: strength)
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
