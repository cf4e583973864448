/// A picture of f32 channels, RGBA with premultiplied alpha: the form in which pictures are
/// averaged and laid over one another.
///
/// Always `0 <= colour <= alpha <= 1`: what a network puts outside is clamped on the way in.
package struct PremultipliedImage: Equatable, Sendable {
  package let width: Int
  package let height: Int
  /// `[height, width, 4]`.
  package private(set) var values: [Float]

  /// Takes over a decoder's output.
  /// - Parameter output: `[height, width, 4]` f32, premultiplied RGBA, nominally in `0...1`.
  ///   Alpha is clamped to `0...1`, colours to `0...alpha`; NaN becomes 0.
  package init(width: Int, height: Int, output: UnsafeBufferPointer<Float>) {
    precondition(width > 0 && height > 0 && output.count == width * height * 4)
    self.init(width: width, height: height) { target in
      for base in stride(from: 0, to: output.count, by: 4) {
        let alpha = Self.clamp(output[base + 3], to: 1)
        target[base] = Self.clamp(output[base], to: alpha)
        target[base + 1] = Self.clamp(output[base + 1], to: alpha)
        target[base + 2] = Self.clamp(output[base + 2], to: alpha)
        target[base + 3] = alpha
      }
    }
  }

  package init(_ pixels: Pixels) {
    self.init(width: pixels.width, height: pixels.height) { target in
      pixels.bytes.withUnsafeBufferPointer { bytes in
        for base in stride(from: 0, to: bytes.count, by: 4) {
          let alpha = Float(bytes[base + 3]) / 255
          for channel in 0..<3 {
            target[base + channel] = Float(bytes[base + channel]) / 255 * alpha
          }
          target[base + 3] = alpha
        }
      }
    }
  }

  init(width: Int, height: Int, fill: (UnsafeMutableBufferPointer<Float>) -> Void) {
    self.width = width
    self.height = height
    values = Array(unsafeUninitializedCapacity: width * height * 4) { buffer, count in
      buffer.initialize(repeating: 0)
      fill(buffer)
      count = buffer.count
    }
  }

  /// `value` in `0...limit`; NaN, which compares with nothing, becomes 0.
  private static func clamp(_ value: Float, to limit: Float) -> Float {
    value > 0 ? (value < limit ? value : limit) : 0
  }

  /// The picture with alpha stretched so that `range` becomes `0...1`: what a decoder leaves a
  /// little short of clear or of opaque becomes so, and colours keep their straight value.
  package func stretchingAlpha(from range: ClosedRange<Float>) -> PremultipliedImage {
    let scale = 1 / (range.upperBound - range.lowerBound)
    return PremultipliedImage(width: width, height: height) { target in
      values.withUnsafeBufferPointer { source in
        for base in stride(from: 0, to: source.count, by: 4) where source[base + 3] > 0 {
          let alpha = Self.clamp((source[base + 3] - range.lowerBound) * scale, to: 1)
          let gain = alpha / source[base + 3]
          for channel in 0..<3 {
            target[base + channel] = min(source[base + channel] * gain, alpha)
          }
          target[base + 3] = alpha
        }
      }
    }
  }

  /// The picture with each `factor`×`factor` box of pixels averaged into one.
  /// - Precondition: `factor` divides both sizes.
  package func boxAveraged(by factor: Int) -> PremultipliedImage {
    precondition(factor > 0 && width % factor == 0 && height % factor == 0)
    if factor == 1 { return self }
    let smallWidth = width / factor
    let weight = 1 / Float(factor * factor)
    return PremultipliedImage(width: smallWidth, height: height / factor) { target in
      values.withUnsafeBufferPointer { source in
        for y in 0..<height {
          for x in 0..<width {
            let from = (y * width + x) * 4
            let to = (y / factor * smallWidth + x / factor) * 4
            for channel in 0..<4 { target[to + channel] += source[from + channel] }
          }
        }
      }
      for index in target.indices { target[index] *= weight }
    }
  }

  /// The picture laid over an opaque `background`.
  /// Porter and Duff 1984, "Compositing Digital Images", the operator "over".
  package func composited(on background: Color) -> PremultipliedImage {
    let color = [background.red, background.green, background.blue].map { Float($0) / 255 }
    return PremultipliedImage(width: width, height: height) { target in
      values.withUnsafeBufferPointer { source in
        for base in stride(from: 0, to: source.count, by: 4) {
          let rest = 1 - source[base + 3]
          for channel in 0..<3 {
            target[base + channel] = min(source[base + channel] + rest * color[channel], 1)
          }
          target[base + 3] = 1
        }
      }
    }
  }

  /// The picture in 8 bits with straight alpha, rounded to the nearest; clear pixels are black.
  package func pixels() -> Pixels {
    let bytes = [UInt8](unsafeUninitializedCapacity: values.count) { target, count in
      values.withUnsafeBufferPointer { source in
        for base in stride(from: 0, to: source.count, by: 4) {
          let alpha = UInt8(source[base + 3] * 255 + 0.5)
          target.initializeElement(at: base + 3, to: alpha)
          for channel in 0..<3 {
            // Colour under an alpha that rounds to 0 cannot be seen: it is not kept.
            let straight = alpha == 0 ? 0 : min(source[base + channel] / source[base + 3], 1)
            target.initializeElement(at: base + channel, to: UInt8(straight * 255 + 0.5))
          }
        }
      }
      count = values.count
    }
    return Pixels(width: width, height: height, bytes: bytes)
  }
}
