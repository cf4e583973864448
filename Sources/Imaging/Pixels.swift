/// The channels of a picture's pixels.
package enum ColorChannels: Int, Sendable {
  /// Red, green, blue: opaque.
  case rgb = 3
  /// Red, green, blue, alpha.
  case rgba = 4

  package var channels: Int { rawValue }
}

/// A picture of 8 bits a channel, RGBA with straight alpha, sRGB.
package struct Pixels: Equatable, Sendable {
  package let width: Int
  package let height: Int
  /// `[height, width, 4]`.
  package var bytes: [UInt8]

  /// - Precondition: The sizes are positive and `bytes` is `[height, width, 4]`.
  package init(width: Int, height: Int, bytes: [UInt8]) {
    precondition(width > 0 && height > 0, "a picture of \(width)x\(height)")
    precondition(bytes.count == width * height * 4, "\(bytes.count) bytes do not fill a picture")
    self.width = width
    self.height = height
    self.bytes = bytes
  }

  /// A picture of one colour.
  package init(width: Int, height: Int, filledWith color: Color) {
    let pixel = [color.red, color.green, color.blue, color.alpha]
    var bytes = [UInt8](repeating: color.red, count: width * height * 4)
    if pixel.contains(where: { $0 != color.red }) {
      for index in bytes.indices { bytes[index] = pixel[index & 3] }
    }
    self.init(width: width, height: height, bytes: bytes)
  }

  /// Whether nothing shows through.
  package var isOpaque: Bool {
    bytes.withUnsafeBufferPointer { bytes in
      stride(from: 3, to: bytes.count, by: 4).allSatisfy { bytes[$0] == 255 }
    }
  }

  package subscript(x: Int, y: Int) -> Color {
    let base = (y * width + x) * 4
    return Color(
      red: bytes[base], green: bytes[base + 1], blue: bytes[base + 2], alpha: bytes[base + 3])
  }
}

/// A colour of 8 bits a channel, straight alpha, sRGB.
package struct Color: Equatable, Sendable {
  package var red: UInt8
  package var green: UInt8
  package var blue: UInt8
  package var alpha: UInt8

  package init(red: UInt8, green: UInt8, blue: UInt8, alpha: UInt8 = 255) {
    self.red = red
    self.green = green
    self.blue = blue
    self.alpha = alpha
  }

  package static let white = Color(red: 255, green: 255, blue: 255)
  package static let clear = Color(red: 0, green: 0, blue: 0, alpha: 0)
}
