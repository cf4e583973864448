private import CPNG

/// Why a PNG cannot be written or read.
package enum PNGError: Error, Equatable, CustomStringConvertible {
  /// The format is nil where it is not recognized.
  case notPNG(FileFormat?)
  case cutOff
  case damaged(reason: String)
  case tooLarge(width: Int, height: Int, maximumPixels: Int)
  /// Keywords are 1 to 79 printable ASCII characters without outer spaces; texts have no NUL.
  case invalidText(keyword: String)

  package var description: String {
    switch self {
    case .notPNG(nil): "This is not a PNG file. Give a PNG picture."
    case .notPNG(let format?): "This is \(format.rawValue); PNG is needed. \(format.remedy)"
    case .cutOff: "The PNG file is cut off: its end is missing. Get the whole of it again."
    case .damaged(let reason): "The PNG file is damaged (\(reason)). Give an undamaged picture."
    case .tooLarge(let width, let height, let maximumPixels):
      "The picture has \(width)x\(height) pixels and at most \(maximumPixels) are allowed. "
        + "Make it smaller."
    case .invalidText(let keyword):
      "The PNG text \"\(keyword)\" cannot be stored: a keyword is 1 to 79 printable ASCII "
        + "characters without spaces around it, and a text has no NUL. Change it."
    }
  }
}

/// Pictures as PNG files (W3C Portable Network Graphics, third edition).
///
/// Files of any kind are read through libpng's simplified interface only: it catches its own
/// longjmp, which must never cross a Swift frame. Files are written by `PNGWriter`.
package enum PNG {
  /// A line of text in a file, stored as an uncompressed iTXt chunk.
  package struct Text: Equatable, Sendable {
    package let keyword: String
    package let text: String

    package init(keyword: String, text: String) {
      self.keyword = keyword
      self.text = text
    }
  }

  // libpng composes these by macros that Swift does not import.
  private static let version: UInt32 = 1
  private static let formatRGBA: UInt32 = 3
  private static let errorFlag: UInt32 = 2
  /// PNG_IMAGE_FLAG_16BIT_sRGB: numbers of 16 bits, too, are sRGB's where nothing else is said.
  private static let flag16BitSRGB: UInt32 = 4

  /// The bytes of a PNG file of `pixels`, sRGB, with `texts` before the picture; without alpha if
  /// the picture is opaque.
  /// - Throws: `PNGError.invalidText`.
  package static func encode(
    _ pixels: Pixels, texts: [Text] = []
  ) throws(PNGError) -> [UInt8] {
    let format: ColorChannels = pixels.isOpaque ? .rgb : .rgba
    var writer = try PNGWriter(
      width: pixels.width, height: pixels.height, format: format, texts: texts)
    let stride = pixels.width * 4
    pixels.bytes.withUnsafeBufferPointer { bytes in
      for y in 0..<pixels.height {
        let row = bytes.baseAddress! + y * stride
        writer.write { target in
          switch format {
          case .rgba: target.baseAddress!.update(from: row, count: stride)
          case .rgb:
            var (from, to) = (0, 0)
            while to < target.count {
              target[to] = row[from]
              target[to + 1] = row[from + 1]
              target[to + 2] = row[from + 2]
              from += 4
              to += 3
            }
          }
        }
      }
    }
    return writer.finish()
  }

  /// The picture in a PNG file of any kind, converted to 8-bit sRGB with straight alpha and turned
  /// as its Exif says; of an animation the still picture.
  /// - Parameter maximumPixels: Larger pictures are refused before memory is taken for them.
  /// - Throws: `PNGError`.
  package static func decode(
    _ bytes: [UInt8], maximumPixels: Int = 4096 * 4096
  ) throws(PNGError) -> Pixels {
    guard bytes.starts(with: signature) else { throw .notPNG(FileFormat(bytes)) }
    let picture = try picture(in: bytes)
    var image = png_image()
    image.version = version
    defer { png_image_free(&image) }
    // The buffer has to stay in place from begin to finish, hence the result through the closure.
    let result = picture.file.withUnsafeBytes { source in
      read(source, into: &image, maximumPixels: maximumPixels)
    }
    var pixels = try result.get()
    if let primaries = picture.encoding.primaries { pixels = pixels.converted(from: primaries) }
    return pixels.turned(picture.orientation)
  }

  private static func read(
    _ source: UnsafeRawBufferPointer, into image: inout png_image, maximumPixels: Int
  ) -> Result<Pixels, PNGError> {
    guard png_image_begin_read_from_memory(&image, source.baseAddress, source.count) != 0 else {
      return .failure(.damaged(reason: reason(image)))
    }
    let width = Int(image.width)
    let height = Int(image.height)
    guard width > 0, height > 0, width <= maximumPixels / height else {
      return .failure(.tooLarge(width: width, height: height, maximumPixels: maximumPixels))
    }
    image.format = formatRGBA
    image.flags |= flag16BitSRGB
    var pixels = [UInt8](repeating: 0, count: width * height * 4)
    let isRead = pixels.withUnsafeMutableBytes {
      png_image_finish_read(&image, nil, $0.baseAddress, 0, nil)
    }
    // A warning (a wrong checksum of an ancillary chunk) does not spoil the picture.
    guard isRead != 0, image.warning_or_error & errorFlag == 0 else {
      return .failure(.damaged(reason: reason(image)))
    }
    return .success(Pixels(width: width, height: height, bytes: pixels))
  }

  /// What libpng found, in words for people.
  private static func reason(_ image: png_image) -> String {
    let message = withUnsafeBytes(of: image.message) { bytes in
      String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    let reasons = [
      ("CRC", "a checksum is wrong"), ("Not enough", "pixels are missing"),
      ("Read Error", "pixels are missing"), ("IHDR", "its header is wrong"),
      ("critical", "it has a part that no reader knows"), ("PLTE", "its palette is wrong"),
      ("IDAT", "its pixels cannot be unpacked"),
    ]
    return reasons.first { message.contains($0.0) }?.1 ?? "its parts do not fit together"
  }
}
