/// A picture of f32 channels, RGBA with premultiplied alpha: the form in which pictures are
/// averaged and laid over one another.
///
/// Always `0 <= colour <= alpha <= 1`: what a network puts outside is clamped on the way in.
package struct PremultipliedImage: Equatable, Sendable {
  package let width: Int
  package let height: Int
  /// `[height, width]` of red, green, blue and alpha.
  package let rgba: [SIMD4<Float>]

  /// Takes over a decoder's output.
  /// - Parameters:
  ///   - output: `[height, width, 4]` f32, premultiplied RGBA, nominally in `0...1`. Alpha is
  ///     clamped to `0...1`, colours to `0...alpha`; NaN becomes 0.
  ///   - alphaRange: Stretched to `0...1`: what a decoder leaves a little short of clear or of
  ///     opaque becomes so, and colours keep their straight value.
  package init(
    width: Int, height: Int, output: UnsafeBufferPointer<Float>,
    alphaRange: ClosedRange<Float> = 0...1
  ) {
    precondition(width > 0 && height > 0 && output.count == width * height * 4)
    let (lowest, scale) = (
      alphaRange.lowerBound, 1 / (alphaRange.upperBound - alphaRange.lowerBound)
    )
    let source = UnsafeRawBufferPointer(output)
    self.init(width: width, height: height) { index in
      var color = source.loadUnaligned(fromByteOffset: index * 16, as: SIMD4<Float>.self)
      // NaN compares with nothing.
      color.replace(with: 0, where: .!(color .> 0))
      let given = min(color.w, 1)
      if given == 0 { return .zero }
      let alpha = min(max((given - lowest) * scale, 0), 1)
      color = color.limited(to: given) * (alpha / given)
      color.w = alpha
      color.replace(with: 0, where: .!(color .> 0))
      return color.limited(to: alpha)
    }
  }

  /// Takes over the output of a decoder without alpha.
  /// - Parameter output: `[height, width, 3]` f32, red, green and blue, nominally in `-1...1`, to
  ///   which they are clamped; NaN becomes -1.
  package init(width: Int, height: Int, rgbOutput output: UnsafeBufferPointer<Float>) {
    precondition(width > 0 && height > 0 && output.count == width * height * 3)
    self.init(width: width, height: height) { index in
      var color = SIMD4(output[index * 3], output[index * 3 + 1], output[index * 3 + 2], 1)
      color = (color + 1) / 2
      color.replace(with: 0, where: .!(color .> 0))
      return color.limited(to: 1)
    }
  }

  /// `[height, width, 3]` in `-1...1`, the picture laid over white: a copy for a network's input.
  package var rgbValues: [Float] {
    rgba.flatMap { pixel in
      let color = 2 * (pixel + (1 - pixel.w)).limited(to: 1) - 1
      return [color.x, color.y, color.z]
    }
  }

  package init(_ pixels: Pixels) {
    self = pixels.bytes.withUnsafeBufferPointer { bytes in
      PremultipliedImage(width: pixels.width, height: pixels.height) { index in
        let base = index * 4
        let alpha = Float(bytes[base + 3]) / 255
        let straight = SIMD4(
          Float(bytes[base]), Float(bytes[base + 1]), Float(bytes[base + 2]), 255)
        return straight / 255 * alpha
      }
    }
  }

  /// - Parameter pixel: Called for each one, line by line.
  init(width: Int, height: Int, pixel: (Int) -> SIMD4<Float>) {
    self.width = width
    self.height = height
    rgba = Array(unsafeUninitializedCapacity: width * height) { target, count in
      for index in 0..<target.count { target.initializeElement(at: index, to: pixel(index)) }
      count = target.count
    }
  }

  /// `[height, width, 4]`: a copy for a network's input.
  package var values: [Float] {
    rgba.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
  }

  /// Whether a part was cut out of the picture, to be drawn anew: it is clear somewhere, and not as
  /// the ground around a cut-out thing is, which most of the border shows. All clear is all hole.
  package var hasHole: Bool {
    guard rgba.contains(where: { $0.w == 0 }) else { return false }
    let sides = (0..<height).flatMap { [$0 * width, $0 * width + width - 1] }
    let ends = (0..<width).flatMap { [$0, (height - 1) * width + $0] }
    let clear = (sides + ends).count { rgba[$0].w < 0.5 }
    return clear <= width + height || rgba.allSatisfy { $0.w == 0 }
  }

  /// The picture with each `factor`×`factor` box of pixels averaged into one.
  /// - Precondition: `factor` divides both sizes.
  package func boxAveraged(by factor: Int) -> PremultipliedImage {
    precondition(factor > 0 && width % factor == 0 && height % factor == 0)
    if factor == 1 { return self }
    let smallWidth = width / factor
    let weight = 1 / Float(factor * factor)
    return PremultipliedImage(width: smallWidth, height: height / factor) { index in
      let corner = index / smallWidth * factor * width + index % smallWidth * factor
      var sum = SIMD4<Float>.zero
      for y in 0..<factor {
        for x in 0..<factor { sum += rgba[corner + y * width + x] }
      }
      return sum * weight
    }
  }

  /// The picture laid over an opaque `background`.
  /// Porter and Duff 1984, "Compositing Digital Images", the operator "over".
  package func composited(on background: Color) -> PremultipliedImage {
    let color =
      SIMD4(Float(background.red), Float(background.green), Float(background.blue), 255) / 255
    return PremultipliedImage(width: width, height: height) { index in
      var pixel = rgba[index]
      pixel = (pixel + (1 - pixel.w) * color).limited(to: 1)
      pixel.w = 1
      return pixel
    }
  }

  /// The picture in 8 bits with straight alpha, rounded to the nearest; clear pixels are black.
  package func pixels() -> Pixels {
    let bytes = [UInt8](unsafeUninitializedCapacity: rgba.count * 4) { target, count in
      for (index, pixel) in rgba.enumerated() {
        // Colour under an alpha that rounds to 0 cannot be seen: it is not kept.
        let alpha = UInt8(pixel.w * 255 + 0.5)
        let gain = alpha == 0 ? 0 : 255 / pixel.w
        let straight = (pixel * gain + 0.5).limited(to: 255.5)
        target.initializeElement(at: index * 4, to: UInt8(straight.x))
        target.initializeElement(at: index * 4 + 1, to: UInt8(straight.y))
        target.initializeElement(at: index * 4 + 2, to: UInt8(straight.z))
        target.initializeElement(at: index * 4 + 3, to: alpha)
      }
      count = target.count
    }
    return Pixels(width: width, height: height, bytes: bytes)
  }
}

extension SIMD4<Float> {
  /// Each number, or `limit` if that is less. The standard library's `pointwiseMin` goes lane by
  /// lane and takes four times as long.
  @inline(__always) func limited(to limit: Float) -> SIMD4<Float> {
    let limit = SIMD4(repeating: limit)
    return replacing(with: limit, where: self .> limit)
  }
}
